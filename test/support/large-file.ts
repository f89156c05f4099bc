import { createHash } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statfsSync, writeSync } from 'node:fs';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const DIGEST_BYTES = 32;

/** Beyond what 32 bits can say. */
export const LARGE_FILE_BYTES = 5 * GIB;
/** Of the whole file, in base32; as `sha1sum` says it. */
export const LARGE_FILE_SHA1 = 'ZHPLZAGREHU42IKUFCRJDOZYUT5AKV6S';
/** Where the file holds something else than zeros: its ends, and around 2^32. Each stretch is 1 MiB. */
const STRETCHES = [
  { start: 0, label: 'head' },
  { start: 4 * GIB - MIB / 2, label: 'four GiB' },
  { start: LARGE_FILE_BYTES - MIB, label: 'tail' },
] as const;

/** @throws Error with a sentence where the file system of `folder` has less than `bytes` free */
export function requireFreeSpace(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const needed = `${Math.ceil(bytes / MIB)} MiB free in ${folder}`;
  throw new Error(
    `this test needs ${needed}, and there are ${Math.floor(free / MIB)} MiB: set TMPDIR to a larger disk`,
  );
}

/**
 * Writes the file, or its first `bytes` bytes but for `holes`, without taking room for its zeros.
 * @throws Error where the file system cannot do that
 */
export function writeLargeFile(path: string, { bytes = LARGE_FILE_BYTES, holes = [] }: LargeFileParts = {}): void {
  const file = openSync(path, 'w');
  try {
    for (const { start, label } of STRETCHES) {
      const content = stretch(label);
      const end = Math.min(bytes, start + content.length);
      for (const hole of holes) {
        content.fill(0, clamp(hole.start - start, content.length), clamp(hole.end - start, content.length));
      }
      if (end > start) writeSync(file, content, 0, end - start, start);
    }
    ftruncateSync(file, bytes);
    const { blocks } = fstatSync(file);
    if (blocks * 512 > 64 * MIB) throw new Error(`${path}: the file system writes out the zeros of a sparse file`);
  } finally {
    closeSync(file);
  }
}

export interface LargeFileParts {
  readonly bytes?: number;
  /** `[start, end)`: zeros there, whatever the file holds. */
  readonly holes?: readonly { readonly start: number; readonly end: number }[];
}

/** What the file holds in `[start, end)`. */
export function largeFileBytes(start: number, end: number): Buffer {
  const bytes = Buffer.alloc(end - start);
  for (const { start: at, label } of STRETCHES) {
    const content = stretch(label);
    const from = Math.max(start, at);
    const to = Math.min(end, at + content.length);
    if (to > from) content.copy(bytes, from - start, from - at, to - at);
  }
  return bytes;
}

/** What another file holds in `[start, end)`. */
export function bytesOfFile(path: string, start: number, end: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(end - start);
    const read = readSync(file, bytes, 0, bytes.length, start);
    return bytes.subarray(0, read);
  } finally {
    closeSync(file);
  }
}

/** 1 MiB that follows from the label. */
function stretch(label: string): Buffer {
  const pieces = Array.from({ length: MIB / DIGEST_BYTES }, (_, n) =>
    createHash('sha256').update(`${label} ${n}`).digest(),
  );
  return Buffer.concat(pieces);
}

function clamp(value: number, most: number): number {
  return Math.min(most, Math.max(0, value));
}
