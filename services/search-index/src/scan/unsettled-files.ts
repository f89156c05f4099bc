/** A file that changed while it was hashed is hashed again after the first of these, twice as long each time, up to the last. */
export const FIRST_RETRY_MS = 1_000;
export const LONGEST_RETRY_MS = 10 * 60_000;
/** Files that are waited for; beyond it the one that was noted first is hashed again as soon as it is seen. */
export const MAX_UNSETTLED_FILES = 10_000;

/** Files that somebody is writing to. */
export class UnsettledFiles {
  readonly #files = new Map<string, { readonly attempts: number; readonly untilMs: number }>();

  get size(): number {
    return this.#files.size;
  }

  /** Notes that a file changed under the hand. @returns how long to leave it alone, in ms */
  changed(path: string, nowMs: number): number {
    const attempts = (this.#files.get(path)?.attempts ?? 0) + 1;
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts - 1, 20));
    this.#files.delete(path);
    const oldest = this.#files.keys().next();
    if (this.#files.size >= MAX_UNSETTLED_FILES && oldest.done !== true) this.#files.delete(oldest.value);
    this.#files.set(path, { attempts, untilMs: nowMs + delayMs });
    return delayMs;
  }

  /** Time in ms that a file is to be left alone yet; 0 where it may be hashed. */
  restMs(path: string, nowMs: number): number {
    return Math.max(0, (this.#files.get(path)?.untilMs ?? 0) - nowMs);
  }

  /** The file was hashed, or is gone. */
  settled(path: string): void {
    this.#files.delete(path);
  }
}
