/** A file that changed is hashed after the first of these, twice as long after each further change, up to the last. */
export const FIRST_RETRY_MS = 1_000;
export const LONGEST_RETRY_MS = 10 * 60_000;
/** Files that are remembered; beyond it the one that changed longest ago is forgotten, and hashed as soon as it is seen. */
export const MAX_UNSETTLED_FILES = 10_000;

/** Files that somebody writes to: a log that grows by a line a second is not to be hashed every second. */
export class UnsettledFiles {
  readonly #files = new Map<string, { readonly changes: number; readonly untilMs: number }>();

  get size(): number {
    return this.#files.size;
  }

  /** Files that are left alone now. */
  resting(nowMs: number): number {
    let count = 0;
    for (const { untilMs } of this.#files.values()) if (untilMs > nowMs) count++;
    return count;
  }

  /**
   * Notes that a file changed since it was seen, or while it was hashed. Changes count together unless the file was quiet for
   * `LONGEST_RETRY_MS`.
   * @returns how long to leave it alone, in ms
   */
  changed(path: string, nowMs: number): number {
    const known = this.#files.get(path);
    const isFurther = known !== undefined && nowMs < known.untilMs + LONGEST_RETRY_MS;
    const changes = isFurther ? known.changes + 1 : 1;
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(changes - 1, 20));
    this.#files.delete(path);
    const oldest = this.#files.keys().next();
    if (this.#files.size >= MAX_UNSETTLED_FILES && oldest.done !== true) this.#files.delete(oldest.value);
    this.#files.set(path, { changes, untilMs: nowMs + delayMs });
    return delayMs;
  }

  /** Time in ms that a file is to be left alone yet; 0 where it may be hashed. */
  restMs(path: string, nowMs: number): number {
    return Math.max(0, (this.#files.get(path)?.untilMs ?? 0) - nowMs);
  }

  /** The file is gone. */
  forget(path: string): void {
    this.#files.delete(path);
  }
}
