import type { FileHandle } from 'node:fs/promises';
import type { LibraryFile } from '../library.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { ByteSpan } from './byte-range.ts';
import type { Connection } from '../network/connection.ts';

/** Read and written at one time, at most and at least: two of these are the memory of one upload, in bytes. */
export const MAX_PIECE_BYTES = 128 * 1024;
export const MIN_PIECE_BYTES = 8 * 1024;
/** A piece that was taken within this makes the next one larger, one that took longer than that smaller, in ms. */
const QUICK_PIECE_MS = 2_000;
const SLOW_PIECE_MS = 8_000;

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
 * @param progress told when the socket is given the first bytes, and of the bytes that it took: false there ends it
 * @returns false where it was ended, the peer went away or stalled, or the file became shorter
 * @throws what reading the file throws
 */
export async function sendFile(
  connection: Connection,
  { handle, span }: FileBody,
  bandwidth: Bandwidth,
  stallMs: number,
  progress: { readonly begun: () => void; readonly sent: (bytes: number) => boolean },
): Promise<boolean> {
  let at = span.first;
  let pieceBytes = MIN_PIECE_BYTES;
  while (at <= span.last) {
    // A new buffer each time: the socket keeps the one before until the kernel has taken it.
    const buffer = Buffer.allocUnsafeSlow(Math.min(pieceBytes, span.last - at + 1));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return false;
    await bandwidth.take(bytesRead, () => connection.closed);
    if (connection.closed) {
      bandwidth.giveBack(bytesRead);
      return false;
    }
    if (at === span.first) progress.begun();
    const begunMs = performance.now();
    if (!(await connection.write(buffer.subarray(0, bytesRead), stallMs))) return false;
    pieceBytes = nextPieceBytes(pieceBytes, performance.now() - begunMs);
    at += bytesRead;
    if (!progress.sent(bytesRead)) return false;
  }
  return true;
}

/**
 * Size of the next piece. A peer has the stall time for each: small pieces let one on a slow line go on, large ones cost less.
 * @param tookMs - how long the peer took for a piece of `pieceBytes`
 */
export function nextPieceBytes(pieceBytes: number, tookMs: number): number {
  if (tookMs < QUICK_PIECE_MS) return Math.min(MAX_PIECE_BYTES, 2 * pieceBytes);
  return tookMs > SLOW_PIECE_MS ? Math.max(MIN_PIECE_BYTES, pieceBytes / 2) : pieceBytes;
}
