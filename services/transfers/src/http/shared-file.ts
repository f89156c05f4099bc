import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { sep } from 'node:path';
import type { LibraryFile } from '../library.ts';

/** File systems keep times to different grains; the catalogue's may be rounded by this, in ms. */
const MODIFIED_SLACK_MS = 1;

export type OpenedFile =
  | { readonly kind: 'open'; readonly handle: FileHandle }
  /** `outside`: not within a share folder; `changed`: not what was hashed; `gone`: vanished or unreadable. */
  | { readonly kind: 'outside' | 'changed' | 'gone' };

/**
 * Opens a catalogued file for reading, if it is still what was hashed and really lies in a share folder: links that lead
 * out are not followed, and what is no regular file is not opened.
 * @param shareFolders those of the configuration; others are shared by a call, and only the catalogue knows them
 */
export async function openSharedFile(file: LibraryFile, shareFolders: readonly string[]): Promise<OpenedFile> {
  let handle: FileHandle | undefined;
  try {
    const path = await realpath(file.path);
    const added = file.shareFolder === '' ? [] : [file.shareFolder];
    if (!(await isInside(path, [...shareFolders, ...added]))) return { kind: 'outside' };
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = await handle.stat();
    const same =
      stat.isFile() && stat.size === file.sizeBytes && Math.abs(stat.mtimeMs - file.modifiedAtMs) <= MODIFIED_SLACK_MS;
    if (same) return { kind: 'open', handle };
    await handle.close();
    return { kind: 'changed' };
  } catch {
    await handle?.close();
    return { kind: 'gone' };
  }
}

async function isInside(path: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => undefined);
    if (root !== undefined && path.startsWith(root.endsWith(sep) ? root : root + sep)) return true;
  }
  return false;
}
