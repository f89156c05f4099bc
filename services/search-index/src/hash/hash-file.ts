import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type Stats } from 'node:fs';
import { errorCode } from '@filbert/kit';
import type { HashFailure } from './hash-messages.ts';

const CHUNK_BYTES = 256 * 1024;

export type HashedContent =
  | { readonly ok: true; readonly sha1: Uint8Array; readonly sizeBytes: number; readonly modifiedMs: number }
  | { readonly ok: false; readonly reason: HashFailure; readonly detail: string };

/**
 * SHA-1 of a file, read chunk by chunk; blocks its thread. A symbolic link, anywhere in the path, is not followed: the
 * walker saw none, so one that is there now was put there since.
 * @param onBytes told of the bytes read so far after each chunk
 */
export function hashFile(path: string, onBytes: (bytes: number) => void): HashedContent {
  let file: number | undefined;
  try {
    // Not blocked by a pipe that took the file's place.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const before = fstatSync(file);
    if (!before.isFile() || realpathSync(path) !== path) {
      return { ok: false, reason: 'not-a-file', detail: 'it is no plain file inside the folder' };
    }
    const hash = createHash('sha1');
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let bytes = 0;
    // Never beyond the size it had: a file that grows for ever would keep the thread for ever.
    while (bytes <= before.size) {
      const read = readSync(file, chunk, 0, CHUNK_BYTES, bytes);
      if (read === 0) break;
      hash.update(chunk.subarray(0, read));
      bytes += read;
      onBytes(bytes);
    }
    const after = fstatSync(file);
    if (bytes !== before.size || !isSame(before, after)) {
      return { ok: false, reason: 'changed', detail: 'it changed while it was read' };
    }
    return { ok: true, sha1: hash.digest(), sizeBytes: bytes, modifiedMs: after.mtimeMs };
  } catch (error) {
    return { ok: false, ...failureOf(error) };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function isSame(a: Stats, b: Stats): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs;
}

function failureOf(error: unknown): { reason: HashFailure; detail: string } {
  const detail = error instanceof Error ? error.message : String(error);
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return { reason: 'vanished', detail };
  if (code === 'ELOOP' || code === 'ENXIO') return { reason: 'not-a-file', detail };
  return { reason: 'unreadable', detail };
}
