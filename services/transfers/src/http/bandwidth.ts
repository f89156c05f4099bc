import { setTimeout as sleep } from 'node:timers/promises';

/** Bytes that may be sent at once after a pause, as a share of a second. */
const BURST_SECONDS = 0.25;
/** Longest single wait, in ms: who went away meanwhile is noticed, and gives back what was booked for it. */
const LONGEST_WAIT_MS = 100;

/** Shares one rate among all transfers in one direction; each takes before it moves bytes. */
export class Bandwidth {
  readonly #bytesPerSecond: number;
  readonly #now: () => number;
  #available = 0;
  #atMs: number;

  /** @param bytesPerSecond 0: unlimited @param now ms, never goes back */
  constructor(bytesPerSecond: number, now: () => number = () => performance.now()) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#now = now;
    this.#atMs = now();
  }

  /** How long to wait before moving `bytes`, in ms; they are booked at once, so that waiting is paid in order. */
  book(bytes: number): number {
    if (this.#bytesPerSecond === 0) return 0;
    const now = this.#now();
    const gained = ((now - this.#atMs) / 1_000) * this.#bytesPerSecond;
    this.#available = Math.min(this.#bytesPerSecond * BURST_SECONDS, this.#available + gained) - bytes;
    this.#atMs = now;
    return this.#available >= 0 ? 0 : (-this.#available / this.#bytesPerSecond) * 1_000;
  }

  /** What was booked is not going to be moved: else those who ask and go away would use up the rate for hours ahead. */
  giveBack(bytes: number): void {
    if (this.#bytesPerSecond > 0) this.#available += bytes;
  }

  /** Waits until `bytes` may be moved, or until `cancelled` says that nobody wants to any more. */
  async take(bytes: number, cancelled: () => boolean): Promise<void> {
    let waitMs = this.book(bytes);
    while (waitMs > 0 && !cancelled()) {
      const stepMs = Math.min(waitMs, LONGEST_WAIT_MS);
      await sleep(stepMs);
      waitMs -= stepMs;
    }
  }
}
