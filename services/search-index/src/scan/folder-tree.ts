import { dirname } from 'node:path';

const NO_FILES: ReadonlySet<string> = new Set();

/** The folders that were last seen, and the files in each: what is not seen again is gone. */
export class FolderTree {
  #folders = new Map<string, Set<string>>();

  has(folder: string): boolean {
    return this.#folders.has(folder);
  }

  /** Notes a file that is known from before. */
  add(path: string): void {
    const folder = dirname(path);
    const files = this.#folders.get(folder);
    if (files === undefined) this.#folders.set(folder, new Set([path]));
    else files.add(path);
  }

  /** Takes over a look through everything. Returns the paths of files that it did not see. */
  replaceAll(visited: ReadonlyMap<string, Set<string>>): string[] {
    const gone: string[] = [];
    for (const [folder, files] of this.#folders) addMissing(gone, files, visited.get(folder) ?? NO_FILES);
    this.#folders = new Map(visited);
    return gone;
  }

  /**
   * Takes over a look through some folders, which left out subfolders that were known. Returns the paths of files that are
   * gone: those not seen in folders that were visited, and all in folders that are not there any more.
   * @param starts the folders to look through
   * @param visited those that could be opened
   * @param listed the subfolders that were seen
   */
  replaceSome(
    starts: readonly string[],
    visited: ReadonlyMap<string, Set<string>>,
    listed: ReadonlySet<string>,
  ): string[] {
    const gone: string[] = [];
    const started = new Set(starts);
    const goneFolders = new Set<string>();
    // A folder comes before those in it.
    for (const folder of [...this.#folders.keys()].sort()) {
      const parent = dirname(folder);
      const isGone =
        (started.has(folder) && !visited.has(folder)) ||
        (visited.has(parent) && !visited.has(folder) && !listed.has(folder)) ||
        goneFolders.has(parent);
      if (!isGone) continue;
      goneFolders.add(folder);
      addMissing(gone, this.#folders.get(folder) ?? NO_FILES, NO_FILES);
      this.#folders.delete(folder);
    }
    for (const [folder, files] of visited) {
      addMissing(gone, this.#folders.get(folder) ?? NO_FILES, files);
      this.#folders.set(folder, files);
    }
    return gone;
  }
}

/** One by one: a folder may have had more files than a call takes arguments. */
function addMissing(gone: string[], before: ReadonlySet<string>, now: ReadonlySet<string>): void {
  for (const path of before) if (!now.has(path)) gone.push(path);
}
