import type { SharedFile } from './shared-file.ts';

/** Newest files that are kept at hand: what is new is asked for often, and a library may hold millions. */
export const MAX_NEWEST_KEPT = 100;

/** The files that came last, the newest first, kept up to date with each one that comes or goes. */
export class NewestFiles {
  #files: SharedFile[] = [];
  /** Older ones were left out: they are looked for again when too many of those here are gone. */
  #hasOlder = false;

  add(file: SharedFile): void {
    const last = this.#files.at(-1);
    if (this.#files.length >= MAX_NEWEST_KEPT && last !== undefined && !isNewer(file, last)) {
      this.#hasOlder = true;
      return;
    }
    const at = this.#files.findIndex((other) => isNewer(file, other));
    this.#files.splice(at < 0 ? this.#files.length : at, 0, file);
    if (this.#files.length <= MAX_NEWEST_KEPT) return;
    this.#files.pop();
    this.#hasOlder = true;
  }

  remove(file: SharedFile): void {
    const at = this.#files.indexOf(file);
    if (at >= 0) this.#files.splice(at, 1);
  }

  /** @param all every file, to look through where too few are left */
  list(all: Iterable<SharedFile>): readonly SharedFile[] {
    if (this.#hasOlder && this.#files.length < MAX_NEWEST_KEPT / 2) {
      this.#files = [];
      this.#hasOlder = false;
      for (const file of all) this.add(file);
    }
    return this.#files;
  }
}

function isNewer(a: SharedFile, b: SharedFile): boolean {
  return a.addedMs > b.addedMs || (a.addedMs === b.addedMs && a.index > b.index);
}
