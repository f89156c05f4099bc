import { isAbsolute, resolve, sep } from 'node:path';
import { errorCode } from '@filbert/kit';
import { holdsNodeData } from './left-out.ts';
import type { WalkFileSystem } from './walker.ts';

/** Folders that are shared at most. */
export const MAX_SHARES = 1_000;

/** `waiting`: not looked at yet. */
export type ShareState = 'waiting' | 'served' | 'missing' | 'unreadable';

/** A folder whose files are shared. */
export interface Share {
  /** As it was given, absolute. */
  readonly path: string;
  /** Given by the configuration, and not by a call. */
  readonly configured: boolean;
  /** The same without symbolic links; undefined while it is missing. */
  realPath: string | undefined;
  state: ShareState;
}

export interface ShareFoldersOptions {
  readonly fs: WalkFileSystem;
  readonly configured: readonly string[];
  /** Added by calls, from the catalogue. */
  readonly added: readonly string[];
  /** Never shared, wherever it lies: it holds the node's identity. */
  readonly dataFolder: string;
}

/** The folders that are shared, and which of them are there. */
export class ShareFolders {
  readonly #fs: WalkFileSystem;
  readonly #dataFolder: string;
  readonly #shares: Share[] = [];
  #realDataFolder: string | undefined;

  constructor({ fs, configured, added, dataFolder }: ShareFoldersOptions) {
    this.#fs = fs;
    this.#dataFolder = resolve(dataFolder);
    for (const path of configured) this.#add(path, true);
    for (const path of added) this.#add(path, false);
  }

  all(): readonly Share[] {
    return this.#shares;
  }

  /** Looks which folders are there now. */
  async refresh(): Promise<void> {
    this.#realDataFolder = await this.#fs.realpath(this.#dataFolder).catch(() => this.#dataFolder);
    for (const share of this.#shares) {
      share.realPath = await this.#fs.realpath(share.path).catch(() => undefined);
      if (share.realPath === undefined) share.state = 'missing';
    }
  }

  /** The folders to walk: those that are there and do not lie within another. */
  roots(): readonly string[] {
    const paths = [...new Set(this.#shares.flatMap(({ realPath }) => realPath ?? []))];
    return paths.filter(
      (path) => !this.isOwnData(path) && !paths.some((other) => other !== path && isWithin(path, other)),
    );
  }

  /** Whether a real path lies in a folder that is shared, and not in the data folder. */
  holds(path: string): boolean {
    return this.folderOf(path) !== undefined;
  }

  /** The folder that is shared and holds this real path, without symbolic links; undefined where none does now. */
  folderOf(path: string): string | undefined {
    if (this.isOwnData(path)) return undefined;
    return this.#shares.find(({ realPath }) => realPath !== undefined && isWithin(path, realPath))?.realPath;
  }

  /** Whether a real path is the node's data folder or lies in it, and not in a folder there that is shared by name. */
  isOwnData(path: string): boolean {
    const data = this.#realDataFolder ?? this.#dataFolder;
    if (!isWithin(path, data)) return false;
    return !this.#shares.some(
      ({ realPath }) =>
        realPath !== undefined && realPath !== data && isWithin(realPath, data) && isWithin(path, realPath),
    );
  }

  /**
   * Checks a folder that somebody wants shared.
   * @returns its real path, or a sentence that says why it cannot be
   */
  async judge(path: string): Promise<{ readonly realPath: string } | { readonly problem: string }> {
    if (!isAbsolute(path)) return { problem: `"${path}" is not an absolute path` };
    if (this.#shares.length >= MAX_SHARES) return { problem: `${MAX_SHARES} folders are shared already` };
    try {
      const realPath = await this.#fs.realpath(path);
      if (!(await this.#fs.lstat(realPath)).isDirectory()) return { problem: `"${path}" is not a folder` };
      if (this.isOwnData(realPath)) return { problem: `"${path}" is the node's own data folder` };
      if (await holdsNodeData(realPath, this.#fs)) return { problem: `"${path}" is the data folder of another node` };
      const holder = this.folderOf(realPath);
      if (holder !== undefined) {
        return { problem: `"${path}" is shared already${holder === realPath ? '' : `, with "${holder}"`}` };
      }
      // Opening it is the only test that counts.
      const entries = (await this.#fs.opendir(realPath))[Symbol.asyncIterator]();
      await entries.next();
      await entries.return?.();
      return { realPath };
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return { problem: `"${path}" does not exist` };
      return { problem: `"${path}" cannot be read: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  /** Adds a folder that `judge` found good. */
  add(realPath: string): void {
    this.#add(realPath, false);
  }

  /**
   * Takes a folder away that was added; the next look withdraws its files.
   * @param path as `all` tells it, or another way to it
   * @returns the path under which it was added, or a sentence that says why it stays
   */
  async remove(path: string): Promise<{ readonly removed: string } | { readonly problem: string }> {
    const realPath = await this.#fs.realpath(path).catch(() => path);
    const at = this.#shares.findIndex((share) => share.path === path || share.realPath === realPath);
    const share = this.#shares[at];
    if (share === undefined) return { problem: `"${path}" is not shared; "filbert share list" shows what is` };
    if (share.configured) {
      return { problem: `"${path}" is shared by the node's settings (--share): start it without that` };
    }
    this.#shares.splice(at, 1);
    return { removed: share.path };
  }

  #add(path: string, configured: boolean): void {
    const absolute = resolve(path);
    if (this.#shares.some((share) => share.path === absolute)) return;
    this.#shares.push({ path: absolute, configured, realPath: undefined, state: 'waiting' });
  }
}

/** Whether `path` is `folder` or lies in it; both absolute and without `..`. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
