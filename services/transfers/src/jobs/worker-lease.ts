import { setTimeout as sleep } from 'node:timers/promises';
import { KvError, type KvBucket, type KvEntry, type Logger } from '@filbert/kit';

/** A lease that was not renewed for this long is gone, in ms. */
export const LEASE_MS = 10_000;
/** Between two renewals, in ms. */
export const LEASE_RENEW_MS = 3_000;

export interface WorkerLeaseOptions {
  /** Whose records vanish when they were not written for as long as a lease lasts. */
  readonly bucket: KvBucket;
  readonly worker: string;
  /** This run of the worker. */
  readonly holder: string;
  readonly renewMs: number;
  readonly logger: Logger;
  /** It was without a lease for a while: others may have taken what is its. */
  readonly onLapsed: () => void;
}

/** Says that one worker lives: a record that vanishes by itself when the worker does not renew it. */
export class WorkerLease {
  readonly #options: WorkerLeaseOptions;
  readonly #value: Uint8Array;
  readonly #stopping = new AbortController();
  #revision: number | undefined;
  #usurped = false;
  #running: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;

  constructor(options: WorkerLeaseOptions) {
    this.#options = options;
    this.#value = Buffer.from(options.holder);
  }

  /** Another process runs under the name of this worker, and has the lease. */
  get isUsurped(): boolean {
    return this.#usurped;
  }

  /** Takes the lease, also from an earlier process of that name, which is dead or will notice. @throws KvError */
  async start(): Promise<void> {
    const { bucket, worker } = this.#options;
    const before = await bucket.get(worker);
    this.#revision = await (before === undefined
      ? bucket.create(worker, this.#value)
      : bucket.update(worker, this.#value, before.revision));
    this.#running = this.#run();
  }

  /** Renews it now. Never rejects. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew()
      .catch((error: unknown) => {
        // Made up for by the next one, unless NATS stays away: then everybody's lease ends, and nobody looks.
        this.#options.logger.debug({ err: error }, 'the lease was not renewed');
      })
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  /** Renews it no more: it ends by itself where it is not given back. Never rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    await this.#renewing;
  }

  /** Stops, and gives it back. Never rejects: a lease that cannot be given back ends by itself. */
  async release(): Promise<void> {
    await this.stop();
    if (this.#revision === undefined || this.#usurped) return;
    await this.#options.bucket.delete(this.#options.worker, this.#revision).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.#options.renewMs, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.renew();
    }
  }

  async #renew(): Promise<void> {
    const { bucket, worker, onLapsed } = this.#options;
    try {
      if (this.#revision === undefined || this.#usurped) throw new KvError('conflict', 'not held');
      this.#revision = await bucket.update(worker, this.#value, this.#revision);
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== 'conflict') throw error;
      const entry = await bucket.get(worker);
      if (entry !== undefined && !this.#isOurs(entry)) {
        this.#noticeOther();
        return;
      }
      // Ours: a renewal that was not answered was done. Gone: it ended while this process or NATS stood still.
      this.#revision = await (entry === undefined
        ? bucket.create(worker, this.#value)
        : bucket.update(worker, this.#value, entry.revision));
      this.#usurped = false;
      if (entry === undefined) onLapsed();
    }
  }

  #noticeOther(): void {
    if (this.#usurped) return;
    this.#usurped = true;
    const { worker, logger, onLapsed } = this.#options;
    logger.error({ worker }, 'another transfers process runs under this name: give each its own FILBERT_TRANSFERS_ID');
    onLapsed();
  }

  #isOurs({ value }: KvEntry): boolean {
    return Buffer.compare(value, this.#value) === 0;
  }
}
