import type { Sha1 } from '@filbert/gnutella';
import type { SourceFacts } from '../download/source.ts';
import type { Range } from '../download/range-set.ts';

/** States that a download has on disk; what it does in between is not kept. */
export const STORED_STATES = ['active', 'paused', 'disk-full', 'failed', 'completed'] as const;
export type StoredState = (typeof STORED_STATES)[number];

/** A download as it survives its process. */
export interface StoredJob {
  readonly id: string;
  readonly sha1: Sha1;
  /** Safe file name. */
  readonly name: string;
  /** Undefined while unknown. */
  readonly sizeBytes: number | undefined;
  /** A source said the size, not who asked for the file. */
  readonly sizeIsLearned: boolean;
  readonly state: StoredState;
  readonly reason: string;
  /** Bytes that are on disk for certain. */
  readonly ranges: readonly Range[];
  readonly sources: readonly SourceFacts[];
  /** Keys of the sources whose bytes are in the file. */
  readonly contributors: readonly string[];
  /** The hash was wrong before with several sources: now one at a time, so that the liar is found. */
  readonly oneSourceOnly: boolean;
  /** Where the finished file is, or is about to be. Empty before. */
  readonly path: string;
  readonly createdAtMs: number;
  readonly finishedAtMs: number;
}

/** Keeps the downloads of one worker. */
export interface JobStore {
  /** All jobs, the oldest first. */
  list(): Promise<readonly StoredJob[]>;
  /** Writes a job whole. @throws where the storage refuses; the record before it stays */
  put(job: StoredJob): Promise<void>;
  remove(id: string): Promise<void>;
  close(): Promise<void>;
}
