// Small records that several processes share, each write of which names the revision that it replaces.
import type { BusStatus } from '../bus/bus.ts';

/** A record as it stands. */
export interface KvEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Of its last write: higher than that of every earlier write to the bucket. */
  readonly revision: number;
}

/** What a bucket is. Where it exists already, it stays as it is. */
export interface KvBucketOptions {
  /** Letters, digits, `-` and `_`. */
  readonly name: string;
  /** Longest value, in bytes. */
  readonly maxValueBytes: number;
  /** All of it together on the server's disk, in bytes. */
  readonly maxBytes: number;
  /** Records that were not written for this long vanish. Default: never. */
  readonly maxAgeMs?: number;
}

/** Waiting for a bucket that the server does not give yet. */
export interface KvWaiting {
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Told why, at the first failure and then every 5 s. */
  readonly onWaiting?: (reason: KvWaitReason) => void;
}

/** `no-jetstream`: the server has no JetStream; `refused`: what it says itself, for want of room for one. */
export type KvWaitReason =
  { readonly kind: 'no-jetstream' | 'no-answer' } | { readonly kind: 'refused'; readonly sentence: string };

/** Records by key: letters, digits, `-`, `_`, `=`, `/`, in tokens joined by dots. Every call throws KvError. */
export interface KvBucket {
  /** Another one once the server has lost the bucket, so that it was made anew. */
  readonly incarnation: string;
  get(key: string): Promise<KvEntry | undefined>;
  /** Every record whose key begins with that token, or every record. In no order, and of no one moment. */
  list(firstToken?: string): Promise<readonly KvEntry[]>;
  /** Writes a record that is not there. `conflict` where it is. @returns its revision */
  create(key: string, value: Uint8Array): Promise<number>;
  /** Writes a record that has this revision. `conflict` where it has another or is not there. @returns its new revision */
  update(key: string, value: Uint8Array, revision: number): Promise<number>;
  /** Removes a record that has this revision. `conflict` as for `update`. */
  delete(key: string, revision: number): Promise<void>;
}

/** Where buckets are. */
export interface KeyValueStore {
  readonly status: BusStatus;
  /** Calls `listener` with every later change of the status; returns how to stop that. */
  onStatus(listener: (status: BusStatus) => void): () => void;
  /**
   * Makes the bucket, or opens the one that is there. A server that cannot give it yet is waited for.
   * @throws KvError `closed` where the signal fired or the store was closed
   */
  openBucket(options: KvBucketOptions, waiting?: KvWaiting): Promise<KvBucket>;
  close(): Promise<void>;
}

/**
 * - `conflict`: the record has another revision
 * - `unavailable`: the server was not reached or did not answer; a write may have been done all the same
 * - `too-large`: the value is longer than the bucket takes
 * - `full`: the bucket or the server's disk is full
 * - `closed`: the store was closed, or whoever waited for it gave up
 */
export type KvErrorCode = 'conflict' | 'unavailable' | 'too-large' | 'full' | 'closed';

/** Why a record was not read or written. */
export class KvError extends Error {
  readonly code: KvErrorCode;

  constructor(code: KvErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KvError';
    this.code = code;
  }
}
