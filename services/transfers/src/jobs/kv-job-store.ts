import type { KeyValueStore, KvBucket, KvWaitReason, Logger } from '@filbert/kit';
import { downloadsFolderId } from './folder-id.ts';
import { GoneWorkers } from './gone-workers.ts';
import { JOBS_BUCKET_BYTES, JobRecords, MAX_RECORD_BYTES } from './job-records.ts';
import {
  JobCounters,
  unavailable,
  type JobFollower,
  type JobStore,
  type OthersJob,
  type StoredJob,
} from './job-store.ts';
import { OwnRecords } from './own-records.ts';
import type { JobOwner } from './stored-download.ts';
import { LOOK_INTERVAL_MS, Takeovers } from './takeovers.ts';
import { LEASE_MS, LEASE_RENEW_MS, WorkerLease } from './worker-lease.ts';

/** All leases together, and the longest, in bytes. */
export const LEASES_BUCKET_BYTES = 1024 * 1024;
export const MAX_LEASE_BYTES = 64;

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
  /** By default as the constants of each say. */
  readonly timings?: Partial<JobTimings>;
}

interface Opened {
  readonly store: KeyValueStore;
  readonly owner: JobOwner;
  readonly records: JobRecords;
  readonly own: OwnRecords;
  readonly leases: KvBucket;
  readonly lease: WorkerLease;
  readonly gone: GoneWorkers;
}

/** Downloads in JetStream, in a bucket that all workers of the node share: what one leaves, another takes over. */
export class KvJobStore implements JobStore {
  readonly counters = new JobCounters();
  readonly #options: KvJobStoreOptions;
  readonly #timings: JobTimings;
  #opened: Opened | undefined;
  #follower: JobFollower | undefined;
  #takeovers: Takeovers | undefined;

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
    const { counters } = this;
    const owner = { worker, holder, folder: await downloadsFolderId(downloads) };
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
      const records = new JobRecords(jobs, counters, logger);
      const onLost = (id: string): void => this.#follower?.lost(id);
      const own = new OwnRecords({ records, owner, counters, logger, onLost });
      const onLapsed = (): void => void own.verify();
      const lease = new WorkerLease({ bucket: leases, worker, holder, renewMs, logger, onLapsed });
      await lease.start();
      const gone = new GoneWorkers(this.#timings, performance.now());
      store.onStatus((status) => {
        gone.unsettle(performance.now());
        if (status === 'connected') void lease.renew();
      });
      this.#opened = { store, owner, records, own, leases, lease, gone };
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  async list(): Promise<readonly StoredJob[]> {
    const { records, own, owner } = this.#open();
    const mine = (await records.list()).filter((record) => record.owner.worker === owner.worker);
    const taken: StoredJob[] = [];
    for (const record of await records.withoutRests(mine)) if (await own.claim(record)) taken.push(record.job);
    return taken.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  async others(): Promise<readonly OthersJob[]> {
    const { records, owner } = this.#open();
    const all = await records.list();
    return all.flatMap(({ owner: { worker }, job }) => (worker === owner.worker ? [] : [{ worker, job }]));
  }

  async create(job: StoredJob): Promise<void> {
    const { own, owner, lease } = this.#open();
    if (lease.isUsurped) throw unavailable(`another process runs under the name ${owner.worker}`);
    await own.create(job);
  }

  async put(job: StoredJob): Promise<void> {
    await this.#open().own.put(job);
  }

  fence(id: string): number {
    return this.#opened?.own.fence(id) ?? 0;
  }

  async remove(id: string): Promise<void> {
    await this.#open().own.remove(id);
  }

  follow(follower: JobFollower): void {
    const opened = this.#open();
    const { store, lease } = opened;
    const { counters } = this;
    const { logger } = this.#options;
    const { lookMs } = this.#timings;
    const mayLook = (): boolean => store.status === 'connected' && !lease.isUsurped;
    this.#follower = follower;
    this.#takeovers = new Takeovers({ ...opened, follower, mayLook, counters, logger, lookMs });
  }

  async close(): Promise<void> {
    await this.#takeovers?.stop();
    const opened = this.#opened;
    if (opened === undefined) return;
    const { own, lease, store } = opened;
    if (store.status === 'connected') {
      await own.putAway();
      await lease.release();
    }
    this.#opened = undefined;
    await store.close();
    await lease.stop();
  }

  /** @throws JobStoreError `jobs-unavailable` */
  #open(): Opened {
    if (this.#opened === undefined) throw unavailable('the downloads are not open');
    return this.#opened;
  }
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
