import { base32Encode } from '@filbert/gnutella';
import { KvError, type KvBucket, type KvEntry, type Logger } from '@filbert/kit';
import type { JobCounters, StoredJob } from './job-store.ts';
import { decodeJob, type JobOwner, type OwnedJob } from './stored-download.ts';

/** Longest record of a job, in bytes. */
export const MAX_RECORD_BYTES = 512 * 1024;
/** All jobs of all workers in JetStream together, in bytes. */
export const JOBS_BUCKET_BYTES = 64 * 1024 * 1024;

/** A job as the bucket has it. */
export interface ReadRecord extends OwnedJob {
  readonly entry: KvEntry;
}

/**
 * The bucket with the downloads of all workers. An unfinished download lies under the hash of its file, so that there is one
 * of each file; a finished one under its id.
 */
export class JobRecords {
  readonly bucket: KvBucket;
  readonly #counters: JobCounters;
  readonly #logger: Logger;

  constructor(bucket: KvBucket, counters: JobCounters, logger: Logger) {
    this.bucket = bucket;
    this.#counters = counters;
    this.#logger = logger;
  }

  /** The records that can be read; the others are counted and stay. @throws KvError */
  async list(): Promise<readonly ReadRecord[]> {
    return (await this.bucket.list()).flatMap((entry) => {
      const record = decodeJob(entry.value);
      if (record !== undefined) return [{ ...record, entry }];
      this.#counters.unreadable++;
      this.#logger.warn({ key: entry.key }, 'a record of a download cannot be read and is passed over');
      return [];
    });
  }

  /**
   * The records but for those of downloads that are finished and whose worker ended before it had cleared up: these go.
   * @throws KvError
   */
  async withoutRests(records: readonly ReadRecord[]): Promise<readonly ReadRecord[]> {
    const finished = new Set(records.filter(({ job }) => job.state === 'completed').map(({ job }) => job.id));
    const isRest = ({ job }: ReadRecord): boolean => job.state !== 'completed' && finished.has(job.id);
    for (const { entry } of records.filter(isRest)) {
      await this.bucket.delete(entry.key, entry.revision).catch(ignoreConflict);
    }
    return records.filter((record) => !isRest(record));
  }
}

/** Where an unfinished download lies. */
export function unfinishedKey({ sha1 }: StoredJob): string {
  return `unfinished.${base32Encode(sha1)}`;
}

/** Where a finished download lies. */
export function finishedKey({ id }: StoredJob): string {
  return `finished.${id}`;
}

/** Whether a record is of this run of this worker. */
export function isOwn(owner: JobOwner, own: JobOwner): boolean {
  return owner.worker === own.worker && owner.holder === own.holder;
}

/** Whether a write failed because somebody else had written. */
export function isConflict(error: unknown): boolean {
  return error instanceof KvError && error.code === 'conflict';
}

/** For what somebody else may have done, or undone, in the meantime. @throws whatever is not that */
export function ignoreConflict(error: unknown): undefined {
  if (!isConflict(error)) throw error;
  return undefined;
}
