import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode } from '@filbert/kit';
import { base32Encode, type Sha1 } from '@filbert/gnutella';
import { numberedName } from './file-names.ts';
import type { Range } from './range-set.ts';

/** Read at one time while hashing, in bytes. */
const HASH_PIECE_BYTES = 1024 * 1024;
/** Copied at one time, in bytes. */
const COPY_PIECE_BYTES = 1024 * 1024;
/** Tries to find a name that is not taken. */
const MAX_NAME_TRIES = 1_000;

export type DiskErrorCode = 'disk-full' | 'disk-failed';

/** The downloads folder cannot be written or read. */
export class DiskError extends Error {
  readonly code: DiskErrorCode;

  constructor(code: DiskErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DiskError';
    this.code = code;
  }
}

/** What of `node:fs` writes the bytes: replaced by tests that need a full disk. */
export type WriteAt = (handle: FileHandle, bytes: Uint8Array, position: number) => Promise<void>;

export interface PartFileOptions {
  /** The downloads folder; unfinished files lie in its folder `incomplete`. */
  readonly folder: string;
  readonly name: string;
  readonly sha1: Sha1;
  /**
   * Tells the part files of one download apart: empty for the first, which is mostly the only one, then numbers that rise
   * with each worker that had the download.
   */
  readonly part: string;
  readonly writeAt?: WriteAt;
}

/** A file that is being fetched. Nothing is reserved ahead: it is as long as the last byte written. */
export class PartFile {
  readonly path: string;
  readonly #options: PartFileOptions;
  readonly #writeAt: WriteAt;
  #handle: FileHandle | undefined;

  constructor(options: PartFileOptions) {
    this.#options = options;
    this.#writeAt = options.writeAt ?? writeWhole;
    const { folder, name, sha1, part } = options;
    this.path = join(folder, 'incomplete', `${name}.${base32Encode(sha1)}${part === '' ? '' : `.${part}`}.part`);
  }

  /** Opens or creates it. @returns its length in bytes @throws DiskError */
  async open(): Promise<number> {
    return guarded(`cannot use ${this.path}`, async () => {
      await mkdir(join(this.#options.folder, 'incomplete'), { recursive: true });
      // A link that somebody put there must not lead our writes elsewhere.
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
      this.#handle = await open(this.path, flags, 0o644);
      return (await this.#handle.stat()).size;
    });
  }

  /** @throws DiskError */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    await guarded(`cannot write ${this.path}`, () => this.#writeAt(this.#open(), bytes, position));
  }

  /**
   * Takes over ranges of another part file, which stays as it is, as far as it is long; they survive a power cut afterwards.
   * @throws DiskError; also the signal's reason
   */
  async copyFrom(path: string, ranges: Iterable<Range>, signal: AbortSignal): Promise<void> {
    await guarded(`cannot copy ${path}`, async () => {
      const from = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        const piece = Buffer.allocUnsafeSlow(COPY_PIECE_BYTES);
        for (const { start, end } of ranges) {
          for (let at = start; at < end;) {
            signal.throwIfAborted();
            const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, end - at), at);
            if (bytesRead === 0) break;
            await this.#writeAt(this.#open(), piece.subarray(0, bytesRead), at);
            at += bytesRead;
          }
        }
        await this.#open().datasync();
      } finally {
        await from.close();
      }
    });
  }

  /** Deletes the earlier part files of this download: never that of a later worker, whatever this one slept through. @throws DiskError */
  async removeEarlier(): Promise<void> {
    const { name, sha1, part } = this.#options;
    const folder = dirname(this.path);
    const prefix = `${name}.${base32Encode(sha1)}.`;
    await guarded(`cannot clear up ${folder}`, async () => {
      for (const other of await readdir(folder)) {
        if (!other.startsWith(prefix)) continue;
        const number = /^(?:(\d+)\.)?part$/.exec(other.slice(prefix.length));
        if (number !== null && Number(number[1] ?? -1) < Number(part)) await rm(join(folder, other), { force: true });
      }
    });
  }

  /** What was written before survives a power cut afterwards. @throws DiskError */
  async sync(): Promise<void> {
    await guarded(`cannot write ${this.path}`, () => this.#open().datasync());
  }

  /** Throws away what was fetched. @throws DiskError */
  async clear(): Promise<void> {
    await guarded(`cannot write ${this.path}`, () => this.#open().truncate(0));
  }

  /** Whether the first `size` bytes have the hash. @throws DiskError; also the signal's reason */
  async verify(size: number, signal: AbortSignal): Promise<boolean> {
    return guarded(`cannot read ${this.path}`, () => hasSha1(this.#open(), size, this.#options.sha1, signal));
  }

  /**
   * Brings a verified file into the downloads folder under a name that is not taken: nothing there is ever replaced.
   * @param announce told the path before the file appears there
   * @throws DiskError
   */
  async finish(size: number, announce: (path: string) => Promise<void>): Promise<string> {
    const { folder, name } = this.#options;
    return guarded(`cannot finish ${name} in ${folder}`, async () => {
      const handle = this.#open();
      await handle.truncate(size);
      await handle.sync();
      for (let n = 0; n < MAX_NAME_TRIES; n++) {
        const path = join(folder, n === 0 ? name : numberedName(name, n));
        if (await exists(path)) continue;
        await announce(path);
        if (!(await moveTo(this.path, path))) continue;
        await this.close();
        await syncFolder(folder);
        return path;
      }
      throw new Error('every name is taken');
    });
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** Closes and deletes it. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  #open(): FileHandle {
    if (this.#handle === undefined) throw new DiskError('disk-failed', `${this.path} is not open`);
    return this.#handle;
  }
}

/** Whether a finished file is there with this size and hash. */
export async function isFinishedFile(path: string, size: number, sha1: Sha1, signal: AbortSignal): Promise<boolean> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const found = await handle.stat();
    return found.isFile() && found.size === size && (await hasSha1(handle, size, sha1, signal));
  } catch {
    return false;
  } finally {
    await handle?.close();
  }
}

/** Bytes in a part file; 0 where there is none. @throws DiskError */
export function fileLength(path: string): Promise<number> {
  return guarded(`cannot use ${path}`, async () => {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return 0;
      throw error;
    }
  });
}

async function hasSha1(handle: FileHandle, size: number, sha1: Sha1, signal: AbortSignal): Promise<boolean> {
  const hash = createHash('sha1');
  const buffer = Buffer.allocUnsafeSlow(Math.max(1, Math.min(HASH_PIECE_BYTES, size)));
  let at = 0;
  while (at < size) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - at), at);
    if (bytesRead === 0) return false;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash.digest().equals(sha1);
}

async function writeWhole(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** False where the name was taken in the meantime. */
async function moveTo(from: string, to: string): Promise<boolean> {
  try {
    // A second name, and then only that: unlike rename, link never replaces a file.
    await link(from, to);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    // File systems without hard links: hold the name with an empty file and replace that.
    return moveByPlaceholder(from, to);
  }
  await unlink(from);
  return true;
}

async function moveByPlaceholder(from: string, to: string): Promise<boolean> {
  try {
    await (await open(to, 'wx')).close();
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
  await rename(from, to);
  return true;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  // Some file systems cannot; the file itself is on disk.
  await handle.sync().catch(() => undefined);
  await handle.close();
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => errorCode(error) !== 'ENOENT',
  );
}

async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof DiskError || !(cause instanceof Error) || cause.name === 'AbortError') throw cause;
    const code = errorCode(cause);
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new DiskError(full ? 'disk-full' : 'disk-failed', `${what}: ${cause.message}`, { cause });
  }
}
