import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { base32 } from './base32.ts';

/** A file that a raw peer has, on a port of all interfaces of this machine: containers fetch it over their bridge. */
export interface FileSource {
  readonly name: string;
  readonly sizeBytes: number;
  /** `urn:sha1:…` */
  readonly urn: string;
  /** 40 hex digits. */
  readonly sha1Hex: string;
  readonly port: number;
  /** Requests that were answered with bytes. */
  served: number;
  stop(): Promise<void>;
}

/** Serves random bytes under `/uri-res/N2R?urn:sha1:…` and by index, with ranges (protocol page 08). */
export async function startFileSource(
  name: string,
  sizeBytes: number,
  { bytesPerSecond = Number.POSITIVE_INFINITY } = {},
): Promise<FileSource> {
  const content = randomBytes(sizeBytes);
  const sha1 = createHash('sha1').update(content).digest();
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const first = Number(range?.[1] ?? 0);
    const last = Math.min(Number(range?.[2] || sizeBytes - 1), sizeBytes - 1);
    response.writeHead(range === null ? 200 : 206, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': last - first + 1,
      ...(range !== null && { 'Content-Range': `bytes ${first}-${last}/${sizeBytes}` }),
    });
    source.served++;
    void give(content.subarray(first, last + 1), response, bytesPerSecond);
  });
  server.listen(0);
  await once(server, 'listening');
  const source: FileSource = {
    name,
    sizeBytes,
    urn: `urn:sha1:${base32(sha1)}`,
    sha1Hex: sha1.toString('hex'),
    port: (server.address() as AddressInfo).port,
    served: 0,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return source;
}

/** Sends a body at so many bytes a second, in tenths of a second. */
async function give(body: Uint8Array, response: ServerResponse, bytesPerSecond: number): Promise<void> {
  const piece = Math.max(1, Math.min(body.length, Math.ceil(bytesPerSecond / 10)));
  for (let at = 0; at < body.length && !response.destroyed; at += piece) {
    response.write(body.subarray(at, at + piece));
    if (at + piece < body.length) await sleep(100);
  }
  response.end();
}
