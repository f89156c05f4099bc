import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@filbert/kit';
import { JobStoreError, type JobStore, type StoredJob } from '../jobs/job-store.ts';

/** Between two attempts to note what has to be on record before the next step, in ms. */
const NOTE_AGAIN_MS = 250;

export interface DownloadNotesOptions {
  readonly id: string;
  readonly store: JobStore;
  readonly logger: Logger;
  /** The download as it is now. */
  readonly stored: () => StoredJob;
}

/** Notes one download in the store: what cannot be noted when it is due is made up for. */
export class DownloadNotes {
  readonly #options: DownloadNotesOptions;
  #isDropped = false;
  #owes = false;

  constructor(options: DownloadNotesOptions) {
    this.#options = options;
  }

  /** Another worker has it: nothing of it is noted any more. */
  get isDropped(): boolean {
    return this.#isDropped;
  }

  drop(): void {
    this.#isDropped = true;
  }

  /** Puts a new job on record. @throws what the store throws */
  create(): Promise<void> {
    return this.#options.store.create(this.#options.stored());
  }

  /** @throws what the store throws */
  remove(): Promise<void> {
    return this.#options.store.remove(this.#options.id);
  }

  /** @throws what the store throws */
  async put(): Promise<void> {
    const { id, store, logger, stored } = this.#options;
    await store.put(stored());
    if (!this.#owes) return;
    this.#owes = false;
    logger.info({ download: id }, 'the state of a download is noted again');
  }

  /** Notes it; what fails is made up for. Never rejects. */
  async save(): Promise<void> {
    if (this.#isDropped) return;
    try {
      await this.put();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Notes what could not be noted when it was due. Never rejects. */
  async makeUp(): Promise<void> {
    if (this.#owes) await this.save();
  }

  /**
   * Notes it before something that cannot be undone, however long the store is away: nobody else has it then.
   * @param onWaiting - it could not be noted, and is tried again
   * @throws JobStoreError `download-taken-away`; also the reason of the signal
   */
  async confirm(signal: AbortSignal, onWaiting: () => void): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      try {
        await this.put();
        return;
      } catch (error) {
        this.failed(error);
        // A store of this machine alone: nobody else can have the job.
        if (!(error instanceof JobStoreError)) return;
        if (error.code !== 'jobs-unavailable') throw error;
      }
      onWaiting();
      await sleep(NOTE_AGAIN_MS, undefined, { signal });
    }
  }

  /** It could not be noted. */
  failed(error: unknown): void {
    if (this.#isDropped || (error instanceof JobStoreError && error.code === 'download-taken-away')) return;
    const { id, logger } = this.#options;
    if (!this.#owes) logger.warn({ err: error, download: id }, 'the state of a download is not noted');
    this.#owes = true;
  }
}
