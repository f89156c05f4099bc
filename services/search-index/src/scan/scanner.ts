import { dirname } from 'node:path';
import type { Clock, Logger, TimerHandle, Timers } from '@filbert/kit';
import type { Library } from '../catalogue/library.ts';
import type { HashedFile, SharedFile } from '../catalogue/shared-file.ts';
import type { HashFailure } from '../hash/hash-messages.ts';
import type { FileToHash } from '../hash/hash-pool.ts';
import { DirtyFolders } from './dirty-folders.ts';
import { FolderTree } from './folder-tree.ts';
import type { FolderWatcher } from './folder-watcher.ts';
import { LEFT_OUT_REASONS, type LeftOutReason } from './left-out.ts';
import type { ShareFolders } from './share-folders.ts';
import { UnsettledFiles } from './unsettled-files.ts';
import { walk, type WalkedFile, type WalkFileSystem } from './walker.ts';

/** Paths whose trouble was told in the log and is not told again. */
const MAX_TOLD_PATHS = 1_000;

export interface ScannerOptions {
  readonly library: Library;
  readonly shares: ShareFolders;
  readonly watcher: FolderWatcher;
  readonly fs: WalkFileSystem;
  /** Takes a file to hash; false where the queue is full. */
  readonly hash: (file: FileToHash) => boolean;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly rescanIntervalMs: number;
}

/** Keeps the library like the share folders: looks through all of them from time to time, and through what changed. */
export class Scanner {
  /** Looks that ended. */
  readonly scans = { full: 0, partial: 0 };
  /** What the look under way, or the last one, came across. */
  readonly seen = { folders: 0, files: 0 };
  readonly #options: ScannerOptions;
  readonly #dirty = new DirtyFolders();
  readonly #unsettled = new UnsettledFiles();
  readonly #tree = new FolderTree();
  readonly #abort = new AbortController();
  readonly #told = new Set<string>();
  /** Of the last full look, and of the one under way. */
  #leftOut = noneLeftOut();
  #counting = noneLeftOut();
  #timer: TimerHandle | undefined;
  #fullDueMs = 0;
  #waiters: (() => void)[] = [];
  #running: Promise<void> | undefined;
  #queueWasFull = false;

  constructor(options: ScannerOptions) {
    this.#options = options;
  }

  get isScanning(): boolean {
    return this.#running !== undefined;
  }

  /** Files that changed lately and are left alone for a while. */
  get unsettled(): number {
    return this.#unsettled.resting(this.#options.clock.monotonic());
  }

  /** What the last full look left out. */
  get leftOut(): Readonly<Record<LeftOutReason, number>> {
    return this.#leftOut;
  }

  /** Takes over the catalogue, so that what is known is served at once; the first look is left to the caller. */
  async start(): Promise<void> {
    const { shares, library } = this.#options;
    await shares.refresh();
    const loading = library.load((path) => shares.holds(path));
    while (loading.next().done !== true) await nextTurn();
    for (const { path } of library.all()) this.#tree.add(path);
  }

  /** Looks through everything. Resolves once a look that began after the call has ended, or when the scanner stops. */
  rescan(): Promise<void> {
    const done = new Promise<void>((resolve) => this.#waiters.push(resolve));
    this.#fullDueMs = 0;
    this.#arm();
    return done;
  }

  /** Something changed in a folder. */
  changed(folder: string): void {
    this.#markDirty(folder);
  }

  /** The hashing threads have nothing more to do. */
  hashingIdle(): void {
    if (!this.#queueWasFull) return;
    this.#queueWasFull = false;
    void this.rescan();
  }

  hashed(files: readonly HashedFile[]): void {
    const { shares, library } = this.#options;
    if (!library.isFull) library.add(files.filter(({ path }) => shares.holds(path)));
  }

  hashFailed(path: string, reason: HashFailure, detail: string): void {
    if (reason === 'changed') {
      const delayMs = this.#unsettled.changed(path, this.#options.clock.monotonic());
      this.#markDirty(dirname(path), delayMs);
    } else if (reason === 'vanished') {
      this.#unsettled.forget(path);
    } else {
      this.#tell(path, `it cannot be hashed (${reason}): ${detail}`);
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#options.timers.clearTimeout(this.#timer);
    this.#options.watcher.close();
    await this.#running;
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #markDirty(folder: string, delayMs?: number): void {
    this.#dirty.add(folder, this.#options.clock.monotonic(), delayMs);
    this.#arm();
  }

  /** Sets the timer to whatever is due next. */
  #arm(): void {
    if (this.#running !== undefined || this.#abort.signal.aborted) return;
    const { timers, clock } = this.#options;
    timers.clearTimeout(this.#timer);
    const dueMs = Math.min(this.#fullDueMs, this.#dirty.nextMs ?? Infinity);
    this.#timer = timers.setTimeout(() => void this.#run(), Math.max(0, dueMs - clock.monotonic()));
  }

  async #run(): Promise<void> {
    if (this.#running !== undefined) return;
    this.#running = this.#scanDue().catch((error: unknown) => {
      this.#options.logger.error({ err: error }, 'looking through the share folders failed');
      this.#fullDueMs = this.#options.clock.monotonic() + this.#options.rescanIntervalMs;
    });
    await this.#running;
    this.#running = undefined;
    this.#arm();
  }

  async #scanDue(): Promise<void> {
    const nowMs = this.#options.clock.monotonic();
    const dirty = this.#dirty.take(nowMs);
    if (nowMs < this.#fullDueMs && dirty !== 'all') {
      if (dirty.length > 0) await this.#scanSome(dirty);
      return;
    }
    // Those that ask from now on get a look of their own.
    const waiters = this.#waiters.splice(0);
    this.#fullDueMs = nowMs + this.#options.rescanIntervalMs;
    this.#dirty.clear();
    try {
      await this.#scanAll();
    } finally {
      for (const resolve of waiters) resolve();
    }
  }

  async #scanAll(): Promise<void> {
    const { shares, watcher } = this.#options;
    this.#counting = noneLeftOut();
    await shares.refresh();
    for (const { path, state } of shares.all())
      if (state === 'missing') this.#tell(path, 'the share folder is missing');
    this.seen.folders = 0;
    this.seen.files = 0;
    const visited = await this.#walk(shares.roots(), () => true, this.seen);
    if (this.#abort.signal.aborted) return;
    for (const share of shares.all()) {
      if (share.realPath !== undefined) share.state = visited.has(share.realPath) ? 'served' : 'unreadable';
    }
    this.#withdraw(this.#tree.replaceAll(visited));
    watcher.retain((folder) => visited.has(folder));
    this.#leftOut = this.#counting;
    this.scans.full++;
  }

  async #scanSome(folders: readonly string[]): Promise<void> {
    const { shares } = this.#options;
    const starts = folders.filter((folder) => shares.holds(folder));
    this.#counting = noneLeftOut();
    const listed = new Set<string>();
    const visited = await this.#walk(starts, (path) => {
      listed.add(path);
      return !this.#tree.has(path);
    });
    if (this.#abort.signal.aborted) return;
    // A share folder itself may have gone.
    if (starts.some((folder) => !visited.has(folder))) await shares.refresh();
    this.#withdraw(this.#tree.replaceSome(starts, visited, listed));
    this.scans.partial++;
  }

  /** Walks, and returns the folders that could be opened with the files in them that may be shared. */
  async #walk(
    starts: readonly string[],
    descend: (path: string) => boolean,
    seen = { folders: 0, files: 0 },
  ): Promise<Map<string, Set<string>>> {
    const { fs, watcher } = this.#options;
    const visited = new Map<string, Set<string>>();
    const events = walk(starts, {
      fs,
      descend: (path) => !this.#isOwnData(path) && descend(path) && !visited.has(path),
      onEnter: (path) => watcher.add(path),
      signal: this.#abort.signal,
    });
    for await (const event of events) {
      if (event.kind === 'folder') {
        seen.folders++;
        visited.set(event.path, new Set());
      } else if (event.kind === 'files') {
        seen.files += event.files.length;
        this.#take(event.files, visited.get(event.folder));
      } else if (event.kind === 'left-out') {
        this.#countLeftOut(event.path, event.reason, event.detail);
        if (event.reason === 'unreadable' && visited.has(event.path)) visited.delete(event.path);
      }
    }
    return visited;
  }

  /** Compares files with what is known of them. */
  #take(files: readonly WalkedFile[], folder: Set<string> | undefined): void {
    const { library, hash, clock } = this.#options;
    const restored: SharedFile[] = [];
    const outdated: SharedFile[] = [];
    for (const file of files) {
      const known = library.atPath(file.path);
      const absent = known === undefined ? library.absentAt(file.path) : undefined;
      folder?.add(file.path);
      if (known !== undefined && isUnchanged(known, file)) continue;
      if (known !== undefined) {
        outdated.push(known);
        // What changed while the service was away is settled by now.
        if (this.scans.full > 0) this.#unsettled.changed(file.path, clock.monotonic());
      }
      if (library.isFull) {
        this.#countLeftOut(file.path, 'too-many', '');
      } else if (absent !== undefined && isUnchanged(absent, file)) {
        restored.push(absent);
      } else {
        const restMs = this.#unsettled.restMs(file.path, clock.monotonic());
        if (restMs > 0) this.#dirty.add(dirname(file.path), clock.monotonic(), restMs);
        else if (!hash(file)) this.#queueWasFull = true;
      }
    }
    library.withdraw(outdated);
    library.restore(restored);
  }

  #withdraw(paths: Iterable<string>): void {
    const { library } = this.#options;
    const gone: SharedFile[] = [];
    for (const path of paths) {
      this.#unsettled.forget(path);
      const file = library.atPath(path);
      if (file !== undefined) gone.push(file);
    }
    library.withdraw(gone);
    if (gone.length > 0) this.#options.logger.info({ files: gone.length }, 'files are gone and not shared any more');
  }

  #isOwnData(path: string): boolean {
    const isOwn = this.#options.shares.isOwnData(path);
    if (isOwn) this.#counting['own-data']++;
    return isOwn;
  }

  #countLeftOut(path: string, reason: LeftOutReason, detail: string): void {
    this.#counting[reason]++;
    if (reason === 'unreadable') this.#tell(path, `it cannot be read: ${detail}`);
    else if (reason === 'too-deep' || reason === 'too-many') this.#tell(path, `left out: ${reason}`);
  }

  /** A log line about a path, once. */
  #tell(path: string, what: string): void {
    if (this.#told.has(path) || this.#told.size >= MAX_TOLD_PATHS) return;
    this.#told.add(path);
    this.#options.logger.warn({ path }, what);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isUnchanged(known: SharedFile, file: WalkedFile): boolean {
  return known.sizeBytes === file.sizeBytes && known.modifiedMs === file.modifiedMs;
}

function noneLeftOut(): Record<LeftOutReason, number> {
  return Object.fromEntries(LEFT_OUT_REASONS.map((reason) => [reason, 0])) as Record<LeftOutReason, number>;
}
