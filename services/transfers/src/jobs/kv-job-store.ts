import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { base32Encode } from '@filbert/gnutella';
import { KvError, type KeyValueStore, type KvBucket, type KvEntry, type KvWaitReason, type Logger } from '@filbert/kit';
import { downloadsFolderId } from './folder-id.ts';
import { GoneWorkers } from './gone-workers.ts';
import { JobCounters, JobStoreError, type JobFollower, type JobStore, type StoredJob } from './job-store.ts';
import { decodeJob, encodeJob, type JobOwner, type OwnedJob } from './stored-download.ts';
import { LEASE_MS, LEASE_RENEW_MS, WorkerLease } from './worker-lease.ts';

/** Longest record of a job, in bytes. */
export const MAX_RECORD_BYTES = 512 * 1024;
/** All jobs of all workers in JetStream together, in bytes. */
export const JOBS_BUCKET_BYTES = 64 * 1024 * 1024;
/** All leases together, and the longest, in bytes. */
export const LEASES_BUCKET_BYTES = 1024 * 1024;
export const MAX_LEASE_BYTES = 64;
/** Between two looks at who is gone, in ms. */
export const LOOK_INTERVAL_MS = 3_000;
/** Downloads that one worker takes over in one look, so that those of one that is gone are spread over the others. */
export const MAX_TAKEOVERS_PER_LOOK = 4;
/** All records are read this often, in ms: for the downloads of workers that nobody living has seen. */
export const FULL_LOOK_MS = 60_000;
/** Writes again where a write found a revision that is our own. */
const MAX_WRITE_TRIES = 3;

const JOBS_BUCKET = 'filbert-downloads';
const LEASES_BUCKET = 'filbert-transfers-workers';

export interface JobTimings {
  readonly leaseMs: number;
  readonly renewMs: number;
  readonly lookMs: number;
}

export interface KvJobStoreOptions {
  /** Connects to NATS; waits for it. */
  readonly connect: (signal?: AbortSignal) => Promise<KeyValueStore>;
  readonly worker: string;
  /** The downloads folder. */
  readonly downloads: string;
  /** Names this run of the worker: never used before. */
  readonly holder: string;
  readonly logger: Logger;
  /** By default as the constants above say. */
  readonly timings?: Partial<JobTimings>;
}

/** A record of this worker's. */
interface Held {
  readonly id: string;
  key: string;
  revision: number;
  incarnation: string;
  job: StoredJob;
}

interface Opened {
  readonly store: KeyValueStore;
  readonly jobs: KvBucket;
  readonly leases: KvBucket;
  readonly lease: WorkerLease;
  readonly gone: GoneWorkers;
  readonly owner: JobOwner;
}

/**
 * Downloads in a bucket that all workers of the node share. Each write names the revision that it replaces, which is the
 * fencing token: of two workers that both take a download for theirs, the one that another has taken it from is refused.
 * An unfinished download lies under the hash of its file, so that there is one of each file; a finished one under its id.
 */
export class KvJobStore implements JobStore {
  readonly counters = new JobCounters();
  readonly #options: KvJobStoreOptions;
  readonly #timings: JobTimings;
  readonly #held = new Map<string, Held>();
  /** The last write of each job: they go one behind the other. */
  readonly #writes = new Map<string, Promise<void>>();
  /** Records that a start may have left behind which was not answered, by key. */
  readonly #unanswered = new Map<string, string>();
  readonly #creating = new Set<string>();
  /** Workers with downloads or a lease, so far as seen. */
  readonly #known = new Set<string>();
  readonly #stopping = new AbortController();
  #opened: Opened | undefined;
  #follower: JobFollower | undefined;
  #looking: Promise<void> | undefined;
  #nextFullLookMs = 0;

  constructor(options: KvJobStoreOptions) {
    this.#options = options;
    this.#timings = {
      leaseMs: LEASE_MS,
      renewMs: LEASE_RENEW_MS,
      lookMs: LOOK_INTERVAL_MS,
      ...options.timings,
    };
  }

  async open(signal?: AbortSignal): Promise<void> {
    const { connect, worker, holder, downloads, logger } = this.#options;
    const folder = await downloadsFolderId(downloads);
    const store = await connect(signal);
    const waiting = {
      ...(signal === undefined ? {} : { signal }),
      onWaiting: (reason: KvWaitReason) => logger.warn(waitSentence(reason)),
    };
    try {
      const jobs = await store.openBucket(
        { name: JOBS_BUCKET, maxValueBytes: MAX_RECORD_BYTES, maxBytes: JOBS_BUCKET_BYTES },
        waiting,
      );
      const { leaseMs, renewMs } = this.#timings;
      const leases = await store.openBucket(
        { name: LEASES_BUCKET, maxValueBytes: MAX_LEASE_BYTES, maxBytes: LEASES_BUCKET_BYTES, maxAgeMs: leaseMs },
        waiting,
      );
      const onLapsed = (): void => void this.#verify();
      const lease = new WorkerLease({ bucket: leases, worker, holder, renewMs, logger, onLapsed });
      await lease.start();
      const gone = new GoneWorkers(this.#timings, performance.now());
      store.onStatus((status) => {
        gone.unsettle(performance.now());
        if (status === 'connected') void lease.renew();
      });
      this.#opened = { store, jobs, leases, lease, gone, owner: { worker, holder, folder } };
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async list(): Promise<readonly StoredJob[]> {
    const { jobs, owner } = this.#open();
    const records = this.#read(await jobs.list());
    const mine = records.filter((record) => record.owner.worker === owner.worker);
    const taken: StoredJob[] = [];
    for (const record of await this.#withoutRests(mine)) if (await this.#claim(record)) taken.push(record.job);
    return taken.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  async create(job: StoredJob): Promise<void> {
    const { jobs, owner, lease } = this.#open();
    if (lease.isUsurped) throw unavailable(`another process runs under the name ${owner.worker}`);
    const key = unfinishedKey(job);
    const bytes = encodeJob(job, owner);
    this.#creating.add(job.id);
    try {
      for (let tries = 0; tries < MAX_WRITE_TRIES; tries++) {
        const revision = await this.#createOnce(key, bytes);
        if (revision === undefined) continue;
        this.#unanswered.delete(key);
        this.#held.set(job.id, { id: job.id, key, revision, incarnation: jobs.incarnation, job });
        return;
      }
      throw unavailable('the record of this file changes all the time');
    } catch (error) {
      if (error instanceof KvError) {
        this.counters.refused++;
        // Whether it was written nobody knows: whoever asked is told that it was not, so that it must go.
        this.#unanswered.set(key, job.id);
        throw unavailable(`a download cannot be started while NATS is away (${error.message}): try again later`, error);
      }
      throw error;
    } finally {
      this.#creating.delete(job.id);
    }
  }

  put(job: StoredJob): Promise<void> {
    return this.#inTurn(job.id, async (held) => {
      if (job.state !== 'completed') {
        held.revision = await this.#replace(held, held.key, encodeJob(job, this.#open().owner));
      } else {
        await this.#putFinished(held, job);
      }
      held.job = job;
    });
  }

  fence(id: string): number {
    return this.#held.get(id)?.revision ?? 0;
  }

  remove(id: string): Promise<void> {
    return this.#inTurn(id, async (held) => {
      await this.#delete(held, held.key);
      this.#held.delete(id);
    });
  }

  follow(follower: JobFollower): void {
    this.#follower = follower;
    this.#looking = this.#lookAgainAndAgain();
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#looking;
    const opened = this.#opened;
    if (opened === undefined) return;
    const { jobs, owner, lease, store } = opened;
    if (store.status === 'connected') {
      // Nothing of these is open here any more: whoever takes them over needs no copy of what was fetched.
      const putAway = { ...owner, holder: '' };
      await Promise.allSettled(
        [...this.#held.keys()].map((id) =>
          this.#inTurn(id, async ({ key, revision, job }) => {
            if (job.state !== 'completed') await jobs.update(key, encodeJob(job, putAway), revision);
          }),
        ),
      );
      await lease.release();
    }
    this.#opened = undefined;
    await store.close();
    await lease.stop();
  }

  #open(): Opened {
    if (this.#opened === undefined) throw unavailable('the downloads are not open');
    return this.#opened;
  }

  /** @returns its revision; undefined where that is to be tried again @throws KvError; JobStoreError `download-exists` */
  async #createOnce(key: string, bytes: Uint8Array): Promise<number | undefined> {
    const { jobs, owner } = this.#open();
    try {
      return await jobs.create(key, bytes);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
    const entry = await jobs.get(key);
    if (entry === undefined) return undefined;
    const other = decodeJob(entry.value);
    if (other === undefined) {
      throw new JobStoreError('download-exists', `there is a record of this file that cannot be read: ${key}`);
    }
    const { job } = other;
    if (isOwn(other.owner, owner) && !this.#held.has(job.id)) {
      // Of a start of ours that was not answered.
      return jobs.update(key, bytes, entry.revision).catch(ignoreConflict);
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
        this.counters.refused++;
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
    const { jobs } = this.#open();
    let { revision } = held;
    for (let tries = 0; ; tries++) {
      try {
        return await jobs.update(key, bytes, revision);
      } catch (error) {
        if (!isConflict(error) || tries >= MAX_WRITE_TRIES) throw error;
      }
      const entry = await jobs.get(key);
      if (entry === undefined) {
        // A server that lost its disk gets its records again; one that still has the bucket speaks of a job that is no more.
        if (jobs.incarnation === held.incarnation) throw this.#lose(held);
        held.incarnation = jobs.incarnation;
        return jobs.create(key, bytes);
      }
      if (!this.#isOurs(entry)) throw this.#lose(held);
      // A write of ours that was not answered was done.
      revision = entry.revision;
    }
  }

  /** Removes a record of ours; one that is gone already is removed. @throws as `#replace` */
  async #delete(held: Held, key: string): Promise<void> {
    const { jobs } = this.#open();
    let { revision } = held;
    for (let tries = 0; ; tries++) {
      try {
        await jobs.delete(key, revision);
        return;
      } catch (error) {
        if (!isConflict(error) || tries >= MAX_WRITE_TRIES) throw error;
      }
      const entry = await jobs.get(key);
      if (entry === undefined) return;
      if (!this.#isOurs(entry)) throw this.#lose(held);
      revision = entry.revision;
    }
  }

  /** Writes the finished download under its id, and then takes the unfinished one away. */
  async #putFinished(held: Held, job: StoredJob): Promise<void> {
    const { jobs, owner } = this.#open();
    const key = finishedKey(job);
    const bytes = encodeJob(job, owner);
    if (held.key === key) {
      held.revision = await this.#replace(held, key, bytes);
      return;
    }
    let finishedRevision: number;
    try {
      finishedRevision = await jobs.create(key, bytes);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const entry = await jobs.get(key);
      if (entry === undefined || !this.#isOurs(entry)) throw this.#lose(held);
      finishedRevision = await jobs.update(key, bytes, entry.revision);
    }
    try {
      await this.#delete(held, held.key);
    } catch (error) {
      // Whoever has the unfinished one now finds the file and finishes it under the same id.
      if (error instanceof JobStoreError) await jobs.delete(key, finishedRevision).catch(() => undefined);
      throw error;
    }
    held.key = key;
    held.revision = finishedRevision;
  }

  #lose(held: Held): JobStoreError {
    if (this.#held.delete(held.id)) {
      this.counters.takenAway++;
      this.#options.logger.warn(
        { download: held.id },
        'another worker has taken this download over: it is dropped here',
      );
      this.#follower?.lost(held.id);
    }
    return takenAway(held.id);
  }

  #isOurs(entry: KvEntry): boolean {
    const record = decodeJob(entry.value);
    return record !== undefined && isOwn(record.owner, this.#open().owner);
  }

  /** Makes a record this run's own. @returns false where somebody else was quicker @throws KvError */
  async #claim({ entry, job }: ReadRecord): Promise<boolean> {
    const { jobs, owner } = this.#open();
    try {
      const revision = await jobs.update(entry.key, encodeJob(job, owner), entry.revision);
      this.#held.set(job.id, { id: job.id, key: entry.key, revision, incarnation: jobs.incarnation, job });
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  /** The records that can be read; the others are counted and stay. */
  #read(entries: readonly KvEntry[]): ReadRecord[] {
    return entries.flatMap((entry) => {
      const record = decodeJob(entry.value);
      if (record !== undefined) return [{ ...record, entry }];
      this.counters.unreadable++;
      this.#options.logger.warn({ key: entry.key }, 'a record of a download cannot be read and is passed over');
      return [];
    });
  }

  /** The records but for those of downloads that are finished and whose worker ended before it had cleared up. */
  async #withoutRests(records: readonly ReadRecord[]): Promise<readonly ReadRecord[]> {
    const finished = new Set(records.filter(({ job }) => job.state === 'completed').map(({ job }) => job.id));
    const isRest = ({ job }: ReadRecord): boolean => job.state !== 'completed' && finished.has(job.id);
    for (const { entry } of records.filter(isRest)) {
      await this.#open().jobs.delete(entry.key, entry.revision).catch(ignoreConflict);
    }
    return records.filter((record) => !isRest(record));
  }

  /** After a time without a lease: whatever others have taken meanwhile is dropped. Never rejects. */
  async #verify(): Promise<void> {
    for (const id of [...this.#held.keys()]) {
      try {
        await this.#inTurn(id, async (held) => {
          const { jobs } = this.#open();
          const entry = await jobs.get(held.key);
          const isLost = entry === undefined ? jobs.incarnation === held.incarnation : !this.#isOurs(entry);
          if (isLost) this.#lose(held);
        });
      } catch (error) {
        // The next write of it finds out as well.
        this.#options.logger.debug({ err: error, download: id }, 'a download could not be checked');
      }
    }
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.#timings.lookMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#look();
      } catch (error) {
        this.#options.logger.debug({ err: error }, 'the other workers could not be looked at');
        this.#open().gone.unsettle(performance.now());
        // A takeover that was not answered may have been done.
        this.#nextFullLookMs = 0;
      }
    }
  }

  async #look(): Promise<void> {
    const { store, leases, gone, lease } = this.#open();
    if (store.status !== 'connected' || lease.isUsurped) return;
    const { worker } = this.#options;
    const leased = new Set((await leases.list()).map(({ key }) => key));
    for (const other of leased) if (other !== worker) this.#known.add(other);
    const now = performance.now();
    const workersGone = gone.look(this.#known, leased, now);
    if (workersGone.size === 0 && this.#unanswered.size === 0 && now < this.#nextFullLookMs) return;
    await this.#lookAtJobs(workersGone, now);
  }

  async #lookAtJobs(workersGone: ReadonlySet<string>, now: number): Promise<void> {
    const { jobs, owner, gone } = this.#open();
    const records = this.#read(await jobs.list());
    this.#nextFullLookMs = now + FULL_LOOK_MS;
    for (const record of records) {
      if (isOwn(record.owner, owner)) await this.#settle(record);
      else if (record.owner.worker !== owner.worker) this.#known.add(record.owner.worker);
    }
    const free = records.filter(
      (record) => workersGone.has(record.owner.worker) && record.owner.folder === owner.folder,
    );
    const left = await this.#takeOver(await this.#withoutRests(free));
    for (const worker of workersGone) {
      // What is not for us, in a folder of its own, is not looked for again until the next full look.
      if (left.some((record) => record.owner.worker === worker)) continue;
      this.#known.delete(worker);
      gone.forget(worker);
    }
  }

  /** A record of ours that nobody here knows: of a start or a takeover that was not answered. */
  async #settle(record: ReadRecord): Promise<void> {
    const { jobs } = this.#open();
    const { entry, job } = record;
    if (this.#held.has(job.id) || this.#creating.has(job.id)) return;
    if (this.#unanswered.get(entry.key) === job.id) {
      await jobs.delete(entry.key, entry.revision).catch(ignoreConflict);
      this.#unanswered.delete(entry.key);
    } else if (await this.#claim(record)) {
      this.#follower?.taken(job);
    }
  }

  /** Takes over a few of these. @returns those that are left */
  async #takeOver(free: readonly ReadRecord[]): Promise<readonly ReadRecord[]> {
    const { logger, worker } = this.#options;
    // What is to be fetched comes first; beyond that each worker has an order of its own, so that they rarely collide.
    const order = new Map(free.map((record) => [record, rank(record.job, worker)]));
    const waiting = [...free].sort((a, b) => ((order.get(a) ?? '') < (order.get(b) ?? '') ? -1 : 1));
    for (let taken = 0; taken < MAX_TAKEOVERS_PER_LOOK && (this.#follower?.room() ?? 0) > 0;) {
      const record = waiting.shift();
      if (record === undefined) break;
      const { owner, job: left } = record;
      const mayBeOpen = owner.holder !== '' && left.state !== 'completed';
      const job = { ...left, partIsShared: left.partIsShared || mayBeOpen };
      if (!(await this.#claim({ ...record, job }))) continue;
      taken++;
      this.counters.takenOver++;
      logger.info({ download: job.id, from: owner.worker }, 'a download of a worker that is gone was taken over');
      this.#follower?.taken(job);
    }
    return waiting;
  }
}

interface ReadRecord extends OwnedJob {
  readonly entry: KvEntry;
}

function unfinishedKey({ sha1 }: StoredJob): string {
  return `unfinished.${base32Encode(sha1)}`;
}

function finishedKey({ id }: StoredJob): string {
  return `finished.${id}`;
}

function isOwn(owner: JobOwner, own: JobOwner): boolean {
  return owner.worker === own.worker && owner.holder === own.holder;
}

function rank({ id, state }: StoredJob, worker: string): string {
  const place = createHash('sha1').update(`${worker} ${id}`).digest('hex');
  return `${state === 'completed' ? 1 : 0} ${place}`;
}

function isConflict(error: unknown): boolean {
  return error instanceof KvError && error.code === 'conflict';
}

/** For what somebody else may have done, or undone, in the meantime. @throws whatever is not that */
function ignoreConflict(error: unknown): undefined {
  if (!isConflict(error)) throw error;
  return undefined;
}

function unavailable(message: string, cause?: unknown): JobStoreError {
  return new JobStoreError('jobs-unavailable', message, { cause });
}

function takenAway(id: string): JobStoreError {
  return new JobStoreError('download-taken-away', `another worker has the download ${id} now`);
}

function waitSentence(reason: KvWaitReason): string {
  const remedy = 'or set FILBERT_JOB_STORE=sqlite, so that each worker keeps its downloads in a file of its own';
  switch (reason.kind) {
    case 'no-jetstream':
      return `waiting for JetStream, which keeps the downloads: start nats-server with -js and a store (-sd FOLDER), ${remedy}`;
    case 'refused':
      return `waiting for JetStream, which refuses the store of the downloads: ${reason.sentence}; give it room, ${remedy}`;
    case 'no-answer':
      return 'waiting for JetStream, which keeps the downloads: NATS does not answer';
  }
}
