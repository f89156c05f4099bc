import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '@filbert/kit';
import { holdsNodeData, nameLeftOut, type LeftOutReason } from './left-out.ts';

/** Folders within folders that are looked into. */
export const MAX_DEPTH = 32;
/** Entries of folders that one look takes. */
export const MAX_ENTRIES = 5_000_000;
/** Files of one folder whose sizes are asked for at one time. */
const FILES_PER_GROUP = 32;

/** What walking needs of a file system: injected, so that tests can make it fail. */
export interface WalkFileSystem {
  opendir(path: string): Promise<AsyncIterable<Dirent>>;
  lstat(path: string): Promise<Stats>;
  realpath(path: string): Promise<string>;
}

/** The system's files. */
export const systemFiles: WalkFileSystem = { opendir: (path) => opendir(path), lstat, realpath };

/** A file as the walker saw it. */
export interface WalkedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** ms since 1970, with fractions. */
  readonly modifiedMs: number;
}

/** What a walk comes across. `folder` is told of each folder that could be opened, before what is in it. */
export type WalkEvent =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'subfolder'; readonly path: string }
  | { readonly kind: 'files'; readonly folder: string; readonly files: readonly WalkedFile[] }
  | { readonly kind: 'left-out'; readonly path: string; readonly reason: LeftOutReason; readonly detail: string };

export interface WalkOptions {
  readonly fs: WalkFileSystem;
  /** Whether to look into a folder that was come across. */
  readonly descend: (path: string) => boolean;
  /** Told of each folder just before it is opened. */
  readonly onEnter: (path: string) => void;
  readonly signal: AbortSignal;
  /** Default `MAX_ENTRIES`. */
  readonly maxEntries?: number;
}

/**
 * Walks through folders. Symbolic links are never followed, so nothing outside is reached; what lies inside is come across
 * anyway. What cannot be read is an event and no error.
 * @param starts absolute paths without symbolic links
 */
export async function* walk(starts: readonly string[], options: WalkOptions): AsyncGenerator<WalkEvent> {
  const { fs, descend, onEnter, signal, maxEntries = MAX_ENTRIES } = options;
  const waiting = starts.map((path) => ({ path, depth: 0 }));
  let entries = 0;
  for (let next = waiting.pop(); next !== undefined && !signal.aborted; next = waiting.pop()) {
    const { path: folder, depth } = next;
    onEnter(folder);
    try {
      // A link may have taken the folder's place since it was come across.
      if ((await fs.realpath(folder)) !== folder) {
        yield { kind: 'left-out', path: folder, reason: 'symlink', detail: '' };
        continue;
      }
      if (await holdsNodeData(folder, fs)) {
        yield { kind: 'left-out', path: folder, reason: 'own-data', detail: '' };
        continue;
      }
      const listing = await fs.opendir(folder);
      yield { kind: 'folder', path: folder };
      let group: string[] = [];
      for await (const entry of listing) {
        if (signal.aborted) return;
        const path = join(folder, entry.name);
        if (++entries > maxEntries) {
          yield { kind: 'left-out', path, reason: 'too-many', detail: `over ${maxEntries} entries` };
          return;
        }
        const verdict = judge(entry);
        if (verdict === 'folder') {
          yield { kind: 'subfolder', path };
          if (!descend(path)) continue;
          if (depth >= MAX_DEPTH) yield { kind: 'left-out', path, reason: 'too-deep', detail: '' };
          else waiting.push({ path, depth: depth + 1 });
        } else if (verdict !== 'file') {
          yield { kind: 'left-out', path, reason: verdict, detail: '' };
        } else if (group.push(path) >= FILES_PER_GROUP) {
          yield* measure(folder, group, fs);
          group = [];
        }
      }
      yield* measure(folder, group, fs);
    } catch (error) {
      yield { kind: 'left-out', path: folder, ...failure(error) };
    }
  }
}

function judge(entry: Dirent): 'folder' | 'file' | LeftOutReason {
  const leftOut = nameLeftOut(entry.name);
  // A folder's name is not told to peers, and `films.part` is a good name for one.
  if (entry.isDirectory()) return leftOut === 'hidden' || leftOut === 'odd-name' ? leftOut : 'folder';
  if (leftOut !== undefined) return leftOut;
  if (entry.isSymbolicLink()) return 'symlink';
  const isOther = entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice();
  // Some file systems do not say what an entry is; the measuring does.
  return isOther ? 'not-a-file' : 'file';
}

/** Sizes and times of files that lie in `folder`. */
async function* measure(folder: string, paths: readonly string[], fs: WalkFileSystem): AsyncGenerator<WalkEvent> {
  if (paths.length === 0) return;
  const files: WalkedFile[] = [];
  const results = await Promise.allSettled(paths.map((path) => fs.lstat(path)));
  for (const [at, result] of results.entries()) {
    const path = paths[at] as string;
    if (result.status === 'rejected') {
      yield { kind: 'left-out', path, ...failure(result.reason) };
      continue;
    }
    const { value: stats } = result;
    if (stats.isFile() && stats.size > 0) files.push({ path, sizeBytes: stats.size, modifiedMs: stats.mtimeMs });
    else yield { kind: 'left-out', path, reason: otherKind(stats), detail: '' };
  }
  if (files.length > 0) yield { kind: 'files', folder, files };
}

function otherKind(stats: Stats): LeftOutReason {
  if (stats.isFile()) return 'empty';
  return stats.isSymbolicLink() ? 'symlink' : 'not-a-file';
}

function failure(error: unknown): { readonly reason: LeftOutReason; readonly detail: string } {
  const code = errorCode(error);
  const detail = error instanceof Error ? error.message : String(error);
  return { reason: code === 'ENOENT' || code === 'ENOTDIR' ? 'vanished' : 'unreadable', detail };
}
