import { Durations } from '@filbert/kit';
import { SLOT_REFUSALS } from './slots/upload-slots.ts';

/** What became of requests, by what was answered. */
export const REQUEST_RESULTS = [
  'ok',
  'partial',
  'bad-request',
  'forbidden',
  'not-found',
  'not-acceptable',
  'same-file',
  'gone',
  'too-large',
  'bad-range',
  'too-often',
  'not-implemented',
  'busy',
  'timeout',
] as const;
export type RequestResult = (typeof REQUEST_RESULTS)[number];

/**
 * Why a shared file, or one that may be shared, was not sent now: its request was queued, or refused a slot and a place, or
 * the library does not answer, or the file is another than the one that was hashed.
 */
export const UPLOAD_REFUSALS = ['queued', ...SLOT_REFUSALS, 'library-away', 'file-changed'] as const;
export type UploadRefusal = (typeof UPLOAD_REFUSALS)[number];

/** What became of PUSHes for us. */
export const PUSH_RESULTS = [
  'served',
  'malformed',
  'not-ours',
  'bad-address',
  'own-address',
  'duplicate',
  'too-many',
  'rudp',
  'unreachable',
] as const;
export type PushResult = (typeof PUSH_RESULTS)[number];

/** What became of GIVs that reached us. */
export const GIV_RESULTS = ['claimed', 'relayed', 'unrequested', 'malformed'] as const;

/** Why connections were closed before they said what they want. */
export const CONNECTION_REFUSALS = ['too-many', 'bad-proxy-header', 'foreign', 'silent'] as const;

/** Why a download source was given up or left alone for a while. */
export const BLAME_REASONS = [
  'unreachable',
  'no-giv',
  'no-push-route',
  'closed-early',
  'timed-out',
  'stalled',
  'busy',
  'not-found',
  'forbidden',
  'bad-status',
  'bad-response',
  'html',
  'wrong-range',
  'wrong-size',
  'wrong-urn',
  'wrong-hash',
] as const;
export type BlameReason = (typeof BLAME_REASONS)[number];

function zeros<K extends string>(names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
}

/** Plain numbers that the metrics read at scrape time. */
export class TransfersCounters {
  readonly requests = zeros(REQUEST_RESULTS);
  readonly uploadsRefused = zeros(UPLOAD_REFUSALS);
  readonly pushes = zeros(PUSH_RESULTS);
  readonly givs = zeros(GIV_RESULTS);
  readonly refusedConnections = zeros(CONNECTION_REFUSALS);
  readonly blames = zeros(BLAME_REASONS);
  /** From a peer's request to the first byte of the file that the socket is given. */
  readonly uploadFirstByte = new Durations();
  /** From our request to the first byte of the file that a source sends. */
  readonly downloadFirstByte = new Durations();
  /** From a peer's request to the end of its answer: with files, and without. */
  readonly requestTook = { file: new Durations(), other: new Durations() };
  uploadedBytes = 0;
  downloadedBytes = 0;
  /** Bytes that were fetched and thrown away because the file's hash was wrong. */
  discardedBytes = 0;
  downloadsCompleted = 0;
  hashMismatches = 0;
  pushesSent = 0;
}
