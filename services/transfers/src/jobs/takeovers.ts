import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KvBucket, Logger } from '@filbert/kit';
import type { GoneWorkers } from './gone-workers.ts';
import { isOwn, type JobRecords, type ReadRecord } from './job-records.ts';
import type { JobCounters, JobFollower, StoredJob } from './job-store.ts';
import type { OwnRecords } from './own-records.ts';
import type { JobOwner } from './stored-download.ts';

/** Between two looks at who is gone, in ms. */
export const LOOK_INTERVAL_MS = 3_000;
/** Downloads that one worker takes over in one look, so that those of one that is gone are spread over the others. */
export const MAX_TAKEOVERS_PER_LOOK = 4;
/** All records are read this often, in ms: for the downloads of workers that nobody living has seen. */
export const FULL_LOOK_MS = 60_000;

export interface TakeoversOptions {
  readonly records: JobRecords;
  readonly own: OwnRecords;
  readonly leases: KvBucket;
  readonly gone: GoneWorkers;
  readonly owner: JobOwner;
  readonly follower: JobFollower;
  /** Whether NATS is there, and our own lease is ours. */
  readonly mayLook: () => boolean;
  readonly counters: JobCounters;
  readonly logger: Logger;
  readonly lookMs: number;
}

/** Looks after the downloads of workers that are gone, those whose bytes lie in our downloads folder. */
export class Takeovers {
  readonly #options: TakeoversOptions;
  /** Workers with downloads or a lease, so far as seen. */
  readonly #known = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #looking: Promise<void>;
  #nextFullLookMs = 0;

  /** Looks from now on. */
  constructor(options: TakeoversOptions) {
    this.#options = options;
    this.#looking = this.#lookAgainAndAgain();
  }

  /** Ends the look under way. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#looking;
  }

  async #lookAgainAndAgain(): Promise<void> {
    const { signal } = this.#stopping;
    const { lookMs, logger, gone } = this.#options;
    while (!signal.aborted) {
      await sleep(lookMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#look();
      } catch (error) {
        logger.debug({ err: error }, 'the other workers could not be looked at');
        gone.unsettle(performance.now());
        // A takeover that was not answered may have been done.
        this.#nextFullLookMs = 0;
      }
    }
  }

  async #look(): Promise<void> {
    const { leases, gone, own, owner, mayLook } = this.#options;
    if (!mayLook()) return;
    const leased = new Set((await leases.list()).map(({ key }) => key));
    for (const other of leased) if (other !== owner.worker) this.#known.add(other);
    const now = performance.now();
    const workersGone = gone.look(this.#known, leased, now);
    if (workersGone.size === 0 && !own.owesSettling && now < this.#nextFullLookMs) return;
    await this.#lookAtJobs(workersGone, now);
  }

  async #lookAtJobs(workersGone: ReadonlySet<string>, now: number): Promise<void> {
    const { records, own, owner, gone, follower } = this.#options;
    const all = await records.list();
    this.#nextFullLookMs = now + FULL_LOOK_MS;
    for (const record of all) {
      if (!isOwn(record.owner, owner)) {
        if (record.owner.worker !== owner.worker) this.#known.add(record.owner.worker);
      } else if (await own.settle(record)) {
        follower.taken(record.job);
      }
    }
    const free = all.filter((record) => workersGone.has(record.owner.worker) && record.owner.folder === owner.folder);
    const left = await this.#takeOver(await records.withoutRests(free));
    for (const worker of workersGone) {
      // What is not for us, in a folder of its own, is not looked for again until the next full look.
      if (left.some((record) => record.owner.worker === worker)) continue;
      this.#known.delete(worker);
      gone.forget(worker);
    }
  }

  /** Takes over a few of these. @returns those that are left */
  async #takeOver(free: readonly ReadRecord[]): Promise<readonly ReadRecord[]> {
    const { own, owner, follower, counters, logger } = this.#options;
    // What is to be fetched comes first; beyond that each worker has an order of its own, so that they rarely collide.
    const order = new Map(free.map((record) => [record, rank(record.job, owner.worker)]));
    const waiting = [...free].sort((a, b) => ((order.get(a) ?? '') < (order.get(b) ?? '') ? -1 : 1));
    for (let taken = 0; taken < MAX_TAKEOVERS_PER_LOOK && follower.room() > 0;) {
      const record = waiting.shift();
      if (record === undefined) break;
      const { owner: before, job: left } = record;
      const mayBeOpen = before.holder !== '' && left.state !== 'completed';
      const job = { ...left, partIsShared: left.partIsShared || mayBeOpen };
      if (!(await own.claim({ ...record, job }))) continue;
      taken++;
      counters.takenOver++;
      logger.info({ download: job.id, from: before.worker }, 'a download of a worker that is gone was taken over');
      follower.taken(job);
    }
    return waiting;
  }
}

function rank({ id, state }: StoredJob, worker: string): string {
  const place = createHash('sha1').update(`${worker} ${id}`).digest('hex');
  return `${state === 'completed' ? 1 : 0} ${place}`;
}
