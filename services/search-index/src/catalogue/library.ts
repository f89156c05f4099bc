import type { Logger } from '@filbert/kit';
import { NameIndex } from '../match/name-index.ts';
import type { Catalogue } from './catalogue.ts';
import { NewestFiles } from './newest-files.ts';
import { sha1Key, type HashedFile, type SharedFile } from './shared-file.ts';

/** Files that are shared at one time. */
export const MAX_SHARED_FILES = 2_000_000;
/** Files that are gone and still remembered; the one that went first is hashed again if it comes back. */
export const MAX_ABSENT_FILES = 200_000;
/** Files that are loaded in one step. */
const FILES_PER_STEP = 500;
/** How long a file that is gone is remembered, so that it need not be hashed again when it is back. */
export const FORGET_AFTER_MS = 30 * 24 * 3_600_000;

export interface LibraryOptions {
  readonly catalogue: Catalogue;
  readonly logger: Logger;
  /** ms since 1970 */
  readonly now: () => number;
  /** Default `MAX_SHARED_FILES`. */
  readonly maxFiles?: number;
}

/** The shared files in memory, over the catalogue on disk: what is there, by path, index, hash and words. */
export class Library {
  /** Total of the files shared. */
  bytes = 0;
  /** Rises with every change of what is shared. */
  version = 0;
  /** Times that the catalogue could not be written. */
  catalogueErrors = 0;
  readonly names = new NameIndex();
  readonly #options: LibraryOptions;
  readonly #byPath = new Map<string, SharedFile>();
  readonly #byIndex = new Map<number, SharedFile>();
  readonly #bySha1 = new Map<string, SharedFile[]>();
  /** Known by hash, but not there: not shared. */
  readonly #absent = new Map<string, SharedFile>();
  readonly #bySlot: (SharedFile | undefined)[] = [];
  readonly #slots = new Map<number, number>();
  readonly #freeSlots: number[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #newest = new NewestFiles();
  #ordered: readonly SharedFile[] | undefined;
  #writeFailed = false;

  constructor(options: LibraryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byPath.size;
  }

  get isFull(): boolean {
    return this.size >= (this.#options.maxFiles ?? MAX_SHARED_FILES);
  }

  /** One file of each hash. */
  *distinct(): Generator<SharedFile> {
    for (const [file] of this.#bySha1.values()) if (file !== undefined) yield file;
  }

  /** Calls `listener` after each change of what is shared; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes over what the catalogue knows, without looking at the disk; in steps, so that the event loop may have its turns.
   * @param isShared whether the path lies in a folder that is shared now
   */
  *load(isShared: (path: string) => boolean): Generator<undefined, void> {
    const { catalogue, now } = this.#options;
    this.#write('forget', () => catalogue.forget(now() - FORGET_AFTER_MS));
    const outside: SharedFile[] = [];
    let files = 0;
    for (const { file, isMissing } of catalogue.files()) {
      if (++files % FILES_PER_STEP === 0) yield;
      if (!isMissing && isShared(file.path) && !this.isFull) {
        this.#admit(file);
        continue;
      }
      // Remembered for a while: a folder that is shared again costs nothing.
      this.#remember(file);
      if (!isMissing) outside.push(file);
    }
    this.#write('mark', () => catalogue.markMissing(outside, now()));
    this.#changed();
  }

  /** Adds files that were just hashed, and returns them; none where the catalogue cannot be written. */
  add(files: readonly HashedFile[]): readonly SharedFile[] {
    const stored = this.#write('store', () => this.#options.catalogue.store(files, this.#options.now()));
    if (stored === undefined) return [];
    for (const file of stored) {
      const before = this.#byPath.get(file.path);
      if (before !== undefined) this.#remove(before);
      this.#absent.delete(file.path);
      this.#admit(file);
    }
    this.#changed();
    return stored;
  }

  /** Stops sharing files that are not there, and remembers their hashes. */
  withdraw(files: readonly SharedFile[]): void {
    if (files.length === 0) return;
    for (const file of files) {
      if (this.#byPath.get(file.path) !== file) continue;
      this.#remove(file);
      this.#remember(file);
    }
    this.#write('mark', () => this.#options.catalogue.markMissing(files, this.#options.now()));
    this.#changed();
  }

  /** Shares files again that were withdrawn and are back unchanged. */
  restore(files: readonly SharedFile[]): void {
    if (files.length === 0) return;
    for (const file of files) {
      if (!this.#absent.delete(file.path)) continue;
      this.#admit(file);
    }
    this.#write('mark', () => this.#options.catalogue.markPresent(files));
    this.#changed();
  }

  /** The file that is shared under this path. */
  atPath(path: string): SharedFile | undefined {
    return this.#byPath.get(path);
  }

  /** A file that was shared under this path and is not there now. */
  absentAt(path: string): SharedFile | undefined {
    return this.#absent.get(path);
  }

  byIndex(index: number): SharedFile | undefined {
    return this.#byIndex.get(index);
  }

  /** One of the files with this hash, 20 bytes. */
  bySha1(sha1: Uint8Array): SharedFile | undefined {
    return this.#bySha1.get(sha1Key(sha1))?.[0];
  }

  /**
   * Files whose names have all words of `text`, each hash once.
   * @param accept asked about each of them; those it refuses do not count
   */
  search(text: string, limit: number, accept: (file: SharedFile) => boolean = () => true): SharedFile[] {
    const taken = new Set<string>();
    const slots = this.names.search(text, limit, (slot) => {
      const file = this.#bySlot[slot];
      if (file === undefined || !accept(file)) return false;
      const key = sha1Key(file.sha1);
      return !taken.has(key) && taken.add(key).size > 0;
    });
    return slots.flatMap((slot) => this.#bySlot[slot] ?? []);
  }

  /** The files that came last, of the `MAX_NEWEST_KEPT` newest, the newest first, each hash once; `accept` as for `search`. */
  newest(limit: number, accept: (file: SharedFile) => boolean = () => true): SharedFile[] {
    const newest: SharedFile[] = [];
    const taken = new Set<string>();
    for (const file of this.#newest.list(this.#byPath.values())) {
      if (newest.length >= limit) break;
      const key = sha1Key(file.sha1);
      if (taken.has(key) || !accept(file)) continue;
      taken.add(key);
      newest.push(file);
    }
    return newest;
  }

  /** Every shared file in order of index. */
  inOrder(): readonly SharedFile[] {
    this.#ordered ??= [...this.#byIndex.values()].sort((a, b) => a.index - b.index);
    return this.#ordered;
  }

  all(): Iterable<SharedFile> {
    return this.#byPath.values();
  }

  #admit(file: SharedFile): void {
    const slot = this.#freeSlots.pop() ?? this.#bySlot.length;
    this.#bySlot[slot] = file;
    this.#slots.set(file.index, slot);
    this.#byPath.set(file.path, file);
    this.#byIndex.set(file.index, file);
    const key = sha1Key(file.sha1);
    const same = this.#bySha1.get(key);
    if (same === undefined) this.#bySha1.set(key, [file]);
    else same.push(file);
    this.names.add(slot, file.name);
    this.#newest.add(file);
    this.bytes += file.sizeBytes;
  }

  #remember(file: SharedFile): void {
    const oldest = this.#absent.keys().next();
    if (this.#absent.size >= MAX_ABSENT_FILES && oldest.done !== true) this.#absent.delete(oldest.value);
    this.#absent.set(file.path, file);
  }

  #remove(file: SharedFile): void {
    const slot = this.#slots.get(file.index);
    if (slot !== undefined) {
      this.names.remove(slot);
      this.#bySlot[slot] = undefined;
      this.#freeSlots.push(slot);
      this.#slots.delete(file.index);
    }
    this.#byPath.delete(file.path);
    this.#newest.remove(file);
    this.#byIndex.delete(file.index);
    const key = sha1Key(file.sha1);
    const others = this.#bySha1.get(key)?.filter((other) => other !== file) ?? [];
    if (others.length === 0) this.#bySha1.delete(key);
    else this.#bySha1.set(key, others);
    this.bytes -= file.sizeBytes;
  }

  #changed(): void {
    this.version++;
    this.#ordered = undefined;
    for (const listener of this.#listeners) listener();
  }

  /** Runs a write; a disk that refuses costs the write and a log line, told once. */
  #write<T>(what: string, work: () => T): T | undefined {
    try {
      const result = work();
      if (this.#writeFailed) this.#options.logger.info('the catalogue can be written again');
      this.#writeFailed = false;
      return result;
    } catch (error) {
      this.catalogueErrors++;
      if (!this.#writeFailed) {
        this.#options.logger.error({ err: error, what }, 'the catalogue cannot be written; will try again');
      }
      this.#writeFailed = true;
      return undefined;
    }
  }
}
