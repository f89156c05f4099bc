/** A folder is looked through once nothing changed in it for this long, */
export const QUIET_MS = 500;
/** and at the latest this long after the first change. */
export const LONGEST_WAIT_MS = 5_000;
/** Folders that wait; with more, everything is looked through. */
export const MAX_DIRTY_FOLDERS = 512;

interface Due {
  readonly latestMs: number;
  dueMs: number;
}

/** Folders in which something changed, and when to look. */
export class DirtyFolders {
  readonly #due = new Map<string, Due>();
  #overflow: Due | undefined;

  get size(): number {
    return this.#due.size + (this.#overflow === undefined ? 0 : 1);
  }

  /** Notes a change. @param delayMs how long to wait for quiet */
  add(folder: string, nowMs: number, delayMs = QUIET_MS): void {
    const known = this.#overflow ?? this.#due.get(folder);
    if (known !== undefined) {
      known.dueMs = Math.min(known.latestMs, nowMs + delayMs);
      return;
    }
    const due: Due = { dueMs: nowMs + delayMs, latestMs: nowMs + Math.max(delayMs, LONGEST_WAIT_MS) };
    if (this.#due.size < MAX_DIRTY_FOLDERS) {
      this.#due.set(folder, due);
      return;
    }
    this.#due.clear();
    this.#overflow = due;
  }

  /** When the next look is due; undefined for never. */
  get nextMs(): number | undefined {
    let next = this.#overflow?.dueMs;
    for (const { dueMs } of this.#due.values()) if (next === undefined || dueMs < next) next = dueMs;
    return next;
  }

  /** Takes out what is due: folders, or 'all' where there were too many to tell. */
  take(nowMs: number): readonly string[] | 'all' {
    if (this.#overflow !== undefined) {
      if (this.#overflow.dueMs > nowMs) return [];
      this.#overflow = undefined;
      return 'all';
    }
    const folders = [...this.#due].filter(([, { dueMs }]) => dueMs <= nowMs).map(([folder]) => folder);
    for (const folder of folders) this.#due.delete(folder);
    return folders;
  }

  clear(): void {
    this.#due.clear();
    this.#overflow = undefined;
  }
}
