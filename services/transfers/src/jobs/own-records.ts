import { KvError, type KvEntry, type Logger } from '@filbert/kit';
import { finishedKey, ignoreConflict, isConflict, isOwn, unfinishedKey } from './job-records.ts';
import type { JobRecords, ReadRecord } from './job-records.ts';
import { JobStoreError, unavailable, type JobCounters, type StoredJob } from './job-store.ts';
import { decodeJob, encodeJob, type JobOwner } from './stored-download.ts';

/** Writes again where a write found a revision that is our own. */
const MAX_WRITE_TRIES = 3;

export interface OwnRecordsOptions {
  readonly records: JobRecords;
  readonly owner: JobOwner;
  readonly counters: JobCounters;
  readonly logger: Logger;
  /** Another worker has that download. */
  readonly onLost: (id: string) => void;
}

/** A record of this worker's. */
interface Held {
  readonly id: string;
  key: string;
  revision: number;
  incarnation: string;
  job: StoredJob;
}

/**
 * The downloads of this worker in the bucket that all workers share. Each write names the revision that it replaces, which is
 * the fencing token: of two workers that both take a download for theirs, the one that another has taken it from is refused.
 */
export class OwnRecords {
  readonly #options: OwnRecordsOptions;
  readonly #held = new Map<string, Held>();
  /** The last write of each job: they go one behind the other. */
  readonly #writes = new Map<string, Promise<void>>();
  /** Records that a start may have left behind which was not answered, by key. */
  readonly #unanswered = new Map<string, string>();
  readonly #creating = new Set<string>();

  constructor(options: OwnRecordsOptions) {
    this.#options = options;
  }

  /** Whether records may lie there of starts that were not answered; `settle` removes them. */
  get owesSettling(): boolean {
    return this.#unanswered.size > 0;
  }

  /** The fencing token; 0 of a download that is not ours. */
  fence(id: string): number {
    return this.#held.get(id)?.revision ?? 0;
  }

  /** @throws JobStoreError `download-exists`, `jobs-unavailable` */
  async create(job: StoredJob): Promise<void> {
    const { owner, counters } = this.#options;
    const key = unfinishedKey(job);
    const bytes = encodeJob(job, owner);
    this.#creating.add(job.id);
    try {
      for (let tries = 0; tries < MAX_WRITE_TRIES; tries++) {
        const revision = await this.#createOnce(key, bytes);
        if (revision === undefined) continue;
        this.#unanswered.delete(key);
        this.#hold(job, key, revision);
        return;
      }
      throw unavailable('the record of this file changes all the time');
    } catch (error) {
      if (error instanceof KvError) {
        counters.refused++;
        // Whether it was written nobody knows: whoever asked is told that it was not, so that it must go.
        this.#unanswered.set(key, job.id);
        throw unavailable(`a download cannot be started while NATS is away (${error.message}): try again later`, error);
      }
      throw error;
    } finally {
      this.#creating.delete(job.id);
    }
  }

  /** Writes a job whole. @throws JobStoreError `jobs-unavailable`, `download-taken-away` */
  put(job: StoredJob): Promise<void> {
    return this.#inTurn(job.id, async (held) => {
      if (job.state !== 'completed') {
        held.revision = await this.#replace(held, held.key, encodeJob(job, this.#options.owner));
      } else {
        await this.#putFinished(held, job);
      }
      held.job = job;
    });
  }

  /** @throws as `put` */
  remove(id: string): Promise<void> {
    return this.#inTurn(id, async (held) => {
      await this.#delete(held, held.key);
      this.#held.delete(id);
    });
  }

  /** Says of all that nothing of them is open here any more: whoever takes them over needs no copy of the bytes. */
  async putAway(): Promise<void> {
    const { records, owner } = this.#options;
    const nobody = { ...owner, holder: '' };
    const turns = [...this.#held.keys()].map((id) =>
      this.#inTurn(id, async ({ key, revision, job }) => {
        if (job.state !== 'completed') await records.bucket.update(key, encodeJob(job, nobody), revision);
      }),
    );
    await Promise.allSettled(turns);
  }

  /** Makes a record this run's own. @returns false where somebody else was quicker @throws KvError */
  async claim({ entry, job }: ReadRecord): Promise<boolean> {
    const { records, owner } = this.#options;
    try {
      this.#hold(job, entry.key, await records.bucket.update(entry.key, encodeJob(job, owner), entry.revision));
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  /**
   * Looks after a record with our name that nobody here may know: of a start or a takeover that was not answered.
   * @returns whether it is a download to go on with @throws KvError
   */
  async settle(record: ReadRecord): Promise<boolean> {
    const { entry, job } = record;
    if (this.#held.has(job.id) || this.#creating.has(job.id)) return false;
    if (this.#unanswered.get(entry.key) !== job.id) return this.claim(record);
    await this.#options.records.bucket.delete(entry.key, entry.revision).catch(ignoreConflict);
    this.#unanswered.delete(entry.key);
    return false;
  }

  /** After a time without a lease: whatever others have taken meanwhile is dropped. Never rejects. */
  async verify(): Promise<void> {
    const { bucket } = this.#options.records;
    for (const id of [...this.#held.keys()]) {
      try {
        await this.#inTurn(id, async (held) => {
          const entry = await bucket.get(held.key);
          const isLost = entry === undefined ? bucket.incarnation === held.incarnation : !this.#isOurs(entry);
          if (isLost) this.#lose(held);
        });
      } catch (error) {
        // The next write of it finds out as well.
        this.#options.logger.debug({ err: error, download: id }, 'a download could not be checked');
      }
    }
  }

  #hold(job: StoredJob, key: string, revision: number): void {
    const { incarnation } = this.#options.records.bucket;
    this.#held.set(job.id, { id: job.id, key, revision, incarnation, job });
  }

  /** @returns its revision; undefined where that is to be tried again @throws KvError; JobStoreError `download-exists` */
  async #createOnce(key: string, bytes: Uint8Array): Promise<number | undefined> {
    const { records, owner } = this.#options;
    const { bucket } = records;
    try {
      return await bucket.create(key, bytes);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    const entry = await bucket.get(key);
    if (entry === undefined) return undefined;
    const other = decodeJob(entry.value);
    if (other === undefined) {
      throw new JobStoreError('download-exists', `there is a record of this file that cannot be read: ${key}`);
    }
    const { job } = other;
    if (isOwn(other.owner, owner) && !this.#held.has(job.id)) {
      // Of a start of ours that was not answered.
      return bucket.update(key, bytes, entry.revision).catch(ignoreConflict);
    }
    throw new JobStoreError('download-exists', `${other.owner.worker} has a download of this file already: ${job.id}`);
  }

  /** One write of a job after the other: each needs the revision of the one before. */
  async #inTurn(id: string, write: (held: Held) => Promise<void>): Promise<void> {
    const before = this.#writes.get(id) ?? Promise.resolve();
    const turn = before.then(async () => {
      const held = this.#held.get(id);
      if (held === undefined) throw takenAway(id);
      try {
        await write(held);
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        this.#options.counters.refused++;
        throw unavailable(`the download is not noted: ${error.message}`, error);
      }
    });
    const done = turn.catch(() => undefined);
    this.#writes.set(id, done);
    void done.then(() => {
      if (this.#writes.get(id) === done) this.#writes.delete(id);
    });
    await turn;
  }

  /** Writes over a record of ours. @returns its new revision @throws KvError; JobStoreError `download-taken-away` */
  async #replace(held: Held, key: string, bytes: Uint8Array): Promise<number> {
    const { bucket } = this.#options.records;
    let { revision } = held;
    for (let tries = 0; ; tries++) {
      try {
        return await bucket.update(key, bytes, revision);
      } catch (error) {
        if (!isConflict(error) || tries >= MAX_WRITE_TRIES) throw error;
      }
      const entry = await bucket.get(key);
      if (entry === undefined) {
        // A server that lost its disk gets its records again; one that still has the bucket speaks of a job that is no more.
        if (bucket.incarnation === held.incarnation) throw this.#lose(held);
        held.incarnation = bucket.incarnation;
        return bucket.create(key, bytes);
      }
      if (!this.#isOurs(entry)) throw this.#lose(held);
      // A write of ours that was not answered was done.
      revision = entry.revision;
    }
  }

  /** Removes a record of ours; one that is gone already is removed. @throws as `#replace` */
  async #delete(held: Held, key: string): Promise<void> {
    const { bucket } = this.#options.records;
    let { revision } = held;
    for (let tries = 0; ; tries++) {
      try {
        await bucket.delete(key, revision);
        return;
      } catch (error) {
        if (!isConflict(error) || tries >= MAX_WRITE_TRIES) throw error;
      }
      const entry = await bucket.get(key);
      if (entry === undefined) return;
      if (!this.#isOurs(entry)) throw this.#lose(held);
      revision = entry.revision;
    }
  }

  /** Writes the finished download under its id, and then takes the unfinished one away. */
  async #putFinished(held: Held, job: StoredJob): Promise<void> {
    const { records, owner } = this.#options;
    const { bucket } = records;
    const key = finishedKey(job);
    const bytes = encodeJob(job, owner);
    if (held.key === key) {
      held.revision = await this.#replace(held, key, bytes);
      return;
    }
    let finishedRevision: number;
    try {
      finishedRevision = await bucket.create(key, bytes);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const entry = await bucket.get(key);
      if (entry === undefined || !this.#isOurs(entry)) throw this.#lose(held);
      finishedRevision = await bucket.update(key, bytes, entry.revision);
    }
    try {
      await this.#delete(held, held.key);
    } catch (error) {
      // Whoever has the unfinished one now finds the file and finishes it under the same id.
      if (error instanceof JobStoreError) await bucket.delete(key, finishedRevision).catch(() => undefined);
      throw error;
    }
    held.key = key;
    held.revision = finishedRevision;
  }

  #lose(held: Held): JobStoreError {
    const { counters, logger, onLost } = this.#options;
    if (this.#held.delete(held.id)) {
      counters.takenAway++;
      logger.warn({ download: held.id }, 'another worker has taken this download over: it is dropped here');
      onLost(held.id);
    }
    return takenAway(held.id);
  }

  #isOurs(entry: KvEntry): boolean {
    const record = decodeJob(entry.value);
    return record !== undefined && isOwn(record.owner, this.#options.owner);
  }
}

function takenAway(id: string): JobStoreError {
  return new JobStoreError('download-taken-away', `another worker has the download ${id} now`);
}
