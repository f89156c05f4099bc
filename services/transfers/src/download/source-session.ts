import { setTimeout as sleep } from 'node:timers/promises';
import { formatPeerAddress, formatSha1Urn, type PeerAddress, type Sha1 } from '@filbert/gnutella';
import { USER_AGENT } from '@filbert/contracts';
import type { Durations } from '@filbert/kit';
import type { BlameReason } from '../counters.ts';
import type { Bandwidth } from '../http/bandwidth.ts';
import type { Connection } from '../network/connection.ts';
import type { Range } from './range-set.ts';
import { judgeResponse, type SourceAnswer } from './response-head.ts';
import type { Source } from './source.ts';
import type { DownloadTimings } from './timings.ts';

/** Longest wait in a queue with the connection held, in ms; longer ones are waited out without it. */
const MAX_CONNECTED_WAIT_MS = 150_000;
/** A source must take a request within this, in ms. */
const WRITE_TIMEOUT_MS = 30_000;
/**
 * Bytes of a body that must have come once we have waited for the stall time in all; else a source could hold its stretch,
 * and with it the download, for years with a byte a minute.
 */
export const LEAST_BODY_BYTES = 32 * 1024;

/** How a session with a source ended. `idle`: nothing is left for it to fetch. */
export type SessionEnd =
  | { readonly kind: 'idle' | 'stopped' | 'reconnect' }
  | { readonly kind: 'blamed'; readonly reason: BlameReason; readonly retryAfterMs?: number | undefined };

/** What a session needs of its download. */
export interface SessionDownload {
  readonly sha1: Sha1;
  readonly isHtml: boolean;
  readonly doneBytes: number;
  /** Undefined while unknown. */
  readonly sizeBytes: number | undefined;
  /** The next stretch to fetch; it is the session's until it was received or released. */
  nextChunk(): Range | undefined;
  releaseChunk(chunk: Range): void;
  /** False where the source says another size than is known. */
  acceptSize(total: number, source: Source): boolean;
  /** @throws DiskError */
  receive(bytes: Buffer, position: number, source: Source): Promise<void>;
}

export interface SessionOptions {
  readonly download: SessionDownload;
  readonly source: Source;
  readonly connection: Connection;
  readonly bandwidth: Bandwidth;
  readonly timings: DownloadTimings;
  readonly signal: AbortSignal;
  /** Takes the time from each request to the first byte of the file. */
  readonly firstByte: Durations;
  /** Where we can be connected to, told to the source. */
  readonly ownAddress: PeerAddress | undefined;
}

/**
 * Fetches stretch after stretch from one source over one connection, until nothing is left or something goes wrong.
 * @throws DiskError
 */
export async function runSession(options: SessionOptions): Promise<SessionEnd> {
  const { connection, source, signal } = options;
  const onAbort = (): void => connection.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    let isFirst = true;
    for (;;) {
      const chunk = options.download.nextChunk();
      if (chunk === undefined) return { kind: 'idle' };
      let end: SessionEnd | { readonly kind: 'wait'; readonly waitMs: number } | undefined;
      try {
        end = await fetchChunk(options, chunk, isFirst);
      } finally {
        options.download.releaseChunk(chunk);
      }
      isFirst = false;
      if (signal.aborted) return { kind: 'stopped' };
      if (end?.kind === 'wait') {
        if (!(await waitConnected(connection, end.waitMs, signal))) {
          return signal.aborted ? { kind: 'stopped' } : { kind: 'blamed', reason: 'busy', retryAfterMs: end.waitMs };
        }
      } else if (end !== undefined) return end;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    source.queuePosition = 0;
    connection.destroy();
  }
}

/** @returns undefined where the connection is good for the next stretch */
async function fetchChunk(
  options: SessionOptions,
  chunk: Range,
  isFirst: boolean,
): Promise<SessionEnd | { readonly kind: 'wait'; readonly waitMs: number } | undefined> {
  const { connection, download, source, timings } = options;
  const askedMs = performance.now();
  if (!(await connection.write(requestText(options, chunk, isFirst), WRITE_TIMEOUT_MS))) {
    return isFirst ? blamed('closed-early') : { kind: 'reconnect' };
  }
  const result = await connection.readHead(timings.headMs);
  if (result.kind === 'timeout') return blamed('timed-out');
  // A server may end a connection between two requests.
  if (result.kind === 'ended') return isFirst || result.begun ? blamed('closed-early') : { kind: 'reconnect' };
  if (result.kind === 'refused') return blamed('bad-response');
  const { sha1, isHtml } = download;
  const answer = judgeResponse(result.head, { sha1, range: chunk, isHtml });
  switch (answer.kind) {
    case 'fault':
      return { kind: 'blamed', reason: answer.reason, retryAfterMs: answer.retryAfterMs };
    case 'queued':
      source.queuePosition = answer.position;
      source.ticket = answer.ticket ?? source.ticket;
      if (!answer.keepAlive || answer.waitMs > MAX_CONNECTED_WAIT_MS) {
        return { kind: 'blamed', reason: 'busy', retryAfterMs: answer.waitMs };
      }
      if (!(await skipBody(connection, answer.bodyBytes, timings.headMs))) return blamed('closed-early');
      return { kind: 'wait', waitMs: answer.waitMs };
    case 'body':
      source.queuePosition = 0;
      return receiveBody(options, answer, askedMs);
  }
}

async function receiveBody(
  { connection, download, source, bandwidth, timings, firstByte }: SessionOptions,
  { span, total, keepAlive, unread }: SourceAnswer & { readonly kind: 'body' },
  askedMs: number,
): Promise<SessionEnd | undefined> {
  if (total !== undefined && !download.acceptSize(total, source)) return blamed('wrong-size');
  // Without a size nobody could tell when the file is whole, and the same stretch would be fetched again and again.
  if (total === undefined && download.sizeBytes === undefined) return blamed('wrong-range');
  let at = span.start;
  // What came since, and how long we waited for it: the time in which our own --download-rate holds us back does not count.
  let came = 0;
  let waitedMs = 0;
  while (at < span.end) {
    const readAtMs = performance.now();
    const bytes = await connection.read(timings.stallMs - waitedMs);
    if (bytes === 'timeout') return blamed('stalled');
    if (bytes === 'ended') return blamed('closed-early');
    if (at === span.start) firstByte.observe((performance.now() - askedMs) / 1_000);
    came += bytes.length;
    waitedMs += performance.now() - readAtMs;
    if (came >= LEAST_BODY_BYTES) {
      came = 0;
      waitedMs = 0;
    }
    const wanted = bytes.subarray(0, span.end - at);
    await bandwidth.take(wanted.length, () => connection.closed);
    await download.receive(wanted, at, source);
    at += wanted.length;
    if (wanted.length < bytes.length) connection.unread(bytes.subarray(wanted.length));
  }
  return keepAlive && !unread ? undefined : { kind: 'reconnect' };
}

function requestText(options: SessionOptions, chunk: Range, isFirst: boolean): string {
  const { download, source, connection, ownAddress } = options;
  const urn = formatSha1Urn(download.sha1);
  const lines = [
    `GET /uri-res/N2R?${urn} HTTP/1.1`,
    `Host: ${formatPeerAddress(connection.remote)}`,
    `User-Agent: ${USER_AGENT}`,
    'Connection: keep-alive',
    `Range: bytes=${chunk.start}-${chunk.end - 1}`,
    `X-Gnutella-Content-URN: ${urn}`,
    'X-Queue: 1.0',
  ];
  if (source.ticket !== undefined) lines.push(`X-Queued: position=${source.queuePosition}; ID=${source.ticket}`);
  if (isFirst) lines.push('X-Features: queue/1.0');
  if (isFirst && ownAddress !== undefined) lines.push(`X-Node: ${formatPeerAddress(ownAddress)}`);
  if (download.doneBytes > 0) lines.push(`X-Downloaded: ${download.doneBytes}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

async function skipBody(connection: Connection, count: number, timeoutMs: number): Promise<boolean> {
  let left = count;
  while (left > 0) {
    const bytes = await connection.read(timeoutMs);
    if (bytes === 'ended' || bytes === 'timeout') return false;
    if (bytes.length > left) connection.unread(bytes.subarray(left));
    left -= bytes.length;
  }
  return true;
}

/** False where the source hung up or the download was stopped meanwhile. */
async function waitConnected(connection: Connection, waitMs: number, signal: AbortSignal): Promise<boolean> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  if (connection.closed) return false;
  connection.socket.once('close', onClose);
  try {
    await sleep(waitMs, undefined, { signal: AbortSignal.any([signal, gone.signal]) });
    return true;
  } catch {
    return false;
  } finally {
    // A connection may wait in a queue hundreds of times.
    connection.socket.off('close', onClose);
  }
}

function blamed(reason: BlameReason): SessionEnd {
  return { kind: 'blamed', reason };
}
