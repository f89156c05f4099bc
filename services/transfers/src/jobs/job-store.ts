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
  /** Which of the part files holds the ranges: empty for the first, then a number that rises with each worker. */
  readonly part: string;
  /** A worker that was taken for dead may still write to that part file: the ranges have to be copied out of it. */
  readonly partIsShared: boolean;
}

/** What a job store counts. */
export class JobCounters {
  /** Downloads of workers that were gone, taken over by this one. */
  takenOver = 0;
  /** Downloads of this worker that another had taken over. */
  takenAway = 0;
  /** Records that nobody of ours wrote. */
  unreadable = 0;
  /** Writes that found the store away or without room. */
  refused = 0;
}

/** Who is told what other workers have to do with the downloads of this one. */
export interface JobFollower {
  /** How many more downloads this worker can have. */
  room(): number;
  /** A download of a worker that is gone is this worker's now. */
  taken(job: StoredJob): void;
  /** Another worker has that download: nothing of it may be touched any more. */
  lost(id: string): void;
}

/**
 * - `download-exists`: another worker has an unfinished download of that file
 * - `jobs-unavailable`: the store is not reached, or refuses, and nothing is known to have changed
 * - `download-taken-away`: another worker has that download now
 */
export type JobStoreErrorCode = 'download-exists' | 'jobs-unavailable' | 'download-taken-away';

/** Why a job was not noted. The message is a sentence for people. */
export class JobStoreError extends Error {
  readonly code: JobStoreErrorCode;

  constructor(code: JobStoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'JobStoreError';
    this.code = code;
  }
}

/** The store is not reached, or refuses, and nothing is known to have changed. */
export function unavailable(message: string, cause?: unknown): JobStoreError {
  return new JobStoreError('jobs-unavailable', message, { cause });
}

/** A job of another worker. */
export interface OthersJob {
  readonly worker: string;
  readonly job: StoredJob;
}

/** Keeps the downloads of one worker. */
export interface JobStore {
  readonly counters: JobCounters;
  /** Makes it usable, however long that takes. @throws where it cannot be used, or the signal fired */
  open(signal?: AbortSignal): Promise<void>;
  /** Takes up the jobs of this worker, the oldest first. */
  list(): Promise<readonly StoredJob[]>;
  /** The jobs of other workers, as they were noted last; empty where the store knows of none. @throws what the storage throws */
  others(): Promise<readonly OthersJob[]>;
  /** Puts a new job on record. @throws JobStoreError `download-exists`, `jobs-unavailable`; what the storage throws */
  create(job: StoredJob): Promise<void>;
  /**
   * Writes a job whole. Once it resolved, no other worker had the job a moment ago.
   * @throws JobStoreError `jobs-unavailable`, `download-taken-away`; what the storage throws. The record before it stays.
   */
  put(job: StoredJob): Promise<void>;
  /** The fencing token of a job of this worker: above that of every worker that had it before. */
  fence(id: string): number;
  /** @throws as `put` */
  remove(id: string): Promise<void>;
  /** From now on takes over what workers leave that are gone, where the store knows of other workers. */
  follow(follower: JobFollower): void;
  /** Leaves the jobs to whoever comes next. */
  close(): Promise<void>;
}
