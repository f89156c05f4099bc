import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { base32Encode } from '@filbert/gnutella';
import { startRawServer, type RawServer, type SeenRequest } from '../../transfers/raw-http.ts';

const PIECE_BYTES = 64 * 1024;

/** How a source gives what it is asked for. */
export interface Giving {
  readonly bytesPerSecond: () => number;
  /** Ends the connection after so many bytes of the answer to this request; undefined: never. */
  readonly cutAfter?: (request: number) => number | undefined;
  /** Answers wait for it. */
  readonly gate?: () => Promise<void>;
}

/** A source that gives what it is asked for bit by bit; the server remembers what it was asked for. */
export async function slowSource(content: Buffer, giving: Giving): Promise<RawServer> {
  let requests = 0;
  return startRawServer((request, socket) => {
    void give(content, request, socket, giving, requests++).catch(() => socket.destroy());
  });
}

async function give(
  content: Buffer,
  { first, last }: SeenRequest,
  socket: Socket,
  { bytesPerSecond, cutAfter, gate }: Giving,
  request: number,
): Promise<void> {
  await gate?.();
  const end = Math.min(last + 1, content.length);
  const length = end - first;
  const cut = Math.min(length, cutAfter?.(request) ?? length);
  socket.write(
    `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${first}-${end - 1}/${content.length}\r\n` +
      `Content-Length: ${length}\r\n\r\n`,
  );
  for (let at = 0; at < cut && !socket.destroyed; at += PIECE_BYTES) {
    const piece = content.subarray(first + at, first + Math.min(at + PIECE_BYTES, cut));
    socket.write(piece);
    await sleep((piece.length / bytesPerSecond()) * 1_000);
  }
  if (cut < length) socket.end();
}

/** A magnet that names a source of the file. */
export function magnetOf(content: Buffer, port: number, name = 'resumed.bin'): string {
  const urn = `urn:sha1:${base32Encode(createHash('sha1').update(content).digest())}`;
  const source = encodeURIComponent(`http://127.0.0.1:${port}/uri-res/N2R?${urn}`);
  return `magnet:?xt=${urn}&xl=${content.length}&dn=${name}&xs=${source}`;
}
