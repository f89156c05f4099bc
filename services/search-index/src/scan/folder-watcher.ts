import { watch } from 'node:fs';
import { errorCode } from '@filbert/kit';
import type { Logger } from '@filbert/kit';

/** Folders that are watched; those beyond are looked through from time to time only. */
export const MAX_WATCHED_FOLDERS = 8_192;

/** A watch on one folder. */
export interface FolderWatch {
  close(): void;
}

/**
 * Watches one folder, not what is below it.
 * @throws where the system has no watch left or the folder cannot be read
 */
export type WatchFolder = (path: string, onChange: () => void, onError: (error: Error) => void) => FolderWatch;

/** The system's watches. */
export const systemWatch: WatchFolder = (path, onChange, onError) => {
  const watcher = watch(path, { persistent: false }, onChange);
  watcher.on('error', onError);
  return watcher;
};

export interface FolderWatcherOptions {
  readonly onChange: (folder: string) => void;
  readonly logger: Logger;
  readonly watchFolder: WatchFolder;
}

/**
 * Tells of folders in which something changed. One plain watch for each folder: recursive watches exist natively on few
 * systems, and Node's stand-in on Linux takes one for each file.
 */
export class FolderWatcher {
  readonly #options: FolderWatcherOptions;
  readonly #watches = new Map<string, FolderWatch>();
  #isShort = false;

  constructor(options: FolderWatcherOptions) {
    this.#options = options;
  }

  get watched(): number {
    return this.#watches.size;
  }

  /** Begins to watch a folder; does nothing where it is watched already or no watch is to be had. */
  add(folder: string): void {
    if (this.#watches.has(folder)) return;
    if (this.#watches.size >= MAX_WATCHED_FOLDERS) {
      this.#tellShort(`over ${MAX_WATCHED_FOLDERS} folders`);
      return;
    }
    const { onChange, watchFolder } = this.#options;
    try {
      const watch = watchFolder(
        folder,
        () => onChange(folder),
        () => this.#drop(folder),
      );
      this.#watches.set(folder, watch);
    } catch (error) {
      const code = errorCode(error);
      // What cannot be read is told by the walk.
      if (code === 'ENOSPC' || code === 'EMFILE') this.#tellShort('the system has no watch left');
    }
  }

  /** Ends the watches of all other folders. */
  retain(isKept: (folder: string) => boolean): void {
    for (const folder of this.#watches.keys()) if (!isKept(folder)) this.#drop(folder);
  }

  close(): void {
    this.retain(() => false);
  }

  #drop(folder: string): void {
    this.#watches.get(folder)?.close();
    this.#watches.delete(folder);
  }

  #tellShort(why: string): void {
    if (this.#isShort) return;
    this.#isShort = true;
    this.#options.logger.warn(`${why}: changes in some share folders are found only by the regular look`);
  }
}
