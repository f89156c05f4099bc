import type { FileHandle } from 'node:fs/promises';
import type { LibraryFile } from '../library.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { ByteSpan } from './byte-range.ts';
import type { Connection } from '../network/connection.ts';

/** Read and written at one time: two of these are the memory of one upload, in bytes. */
const PIECE_BYTES = 128 * 1024;

/** What of an opened file is to be sent. */
export interface FileBody {
  readonly file: LibraryFile;
  readonly handle: FileHandle;
  readonly span: ByteSpan;
  /** The client asked for a range. */
  readonly partial: boolean;
}

/**
 * Sends a range of a file at the peer's pace.
 * @param progress told when the socket is given the first bytes, and of the bytes that it took
 * @returns false where the peer went away or stalled, or the file became shorter
 * @throws what reading the file throws
 */
export async function sendFile(
  connection: Connection,
  { handle, span }: FileBody,
  bandwidth: Bandwidth,
  stallMs: number,
  progress: { readonly begun: () => void; readonly sent: (bytes: number) => void },
): Promise<boolean> {
  let at = span.first;
  while (at <= span.last) {
    // A new buffer each time: the socket keeps the one before until the kernel has taken it.
    const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, span.last - at + 1));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return false;
    await bandwidth.take(bytesRead, () => connection.closed);
    if (at === span.first) progress.begun();
    if (!(await connection.write(buffer.subarray(0, bytesRead), stallMs))) return false;
    at += bytesRead;
    progress.sent(bytesRead);
  }
  return true;
}
