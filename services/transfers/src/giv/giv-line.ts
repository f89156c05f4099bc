// GIV: the first line of a connection that answers a PUSH (docs/protocol/08-push-and-transfers.md §2).
import { guidFromHex, guidToHex, type Guid } from '@filbert/gnutella';

/** Longest line that is looked at, in bytes. */
export const MAX_GIV_BYTES = 1_024;

export interface GivLine {
  readonly index: number;
  readonly serventGuid: Guid;
  readonly fileName: string;
}

export type GivProgress =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'giv'; readonly line: GivLine; readonly usedBytes: number }
  | { readonly kind: 'refused'; readonly reason: 'too-long' | 'malformed' };

const LF = 0x0a;
const CR = 0x0d;

/** Writes `GIV <index>:<GUID>/<name>` with its two line ends. */
export function encodeGivLine({ index, serventGuid, fileName }: GivLine): Uint8Array {
  // A line end in the name would end the line.
  const name = fileName.replace(/[\p{Cc}]/gu, '_').slice(0, 255);
  return Buffer.from(`GIV ${index}:${guidToHex(serventGuid).toUpperCase()}/${name}\n\n`, 'utf8');
}

/** Reads a line that ends in LF LF, each perhaps with a CR before it; hex digits in either case. */
export function parseGivLine(bytes: Buffer): GivProgress {
  const end = bytes.indexOf(LF);
  if (end < 0 || end > MAX_GIV_BYTES) {
    return bytes.length > MAX_GIV_BYTES ? { kind: 'refused', reason: 'too-long' } : { kind: 'need-more' };
  }
  let at = end + 1;
  if (bytes[at] === CR) at++;
  if (at >= bytes.length) return { kind: 'need-more' };
  if (bytes[at] !== LF) return { kind: 'refused', reason: 'malformed' };
  const text = bytes.toString('utf8', 0, end).replace(/\r$/, '');
  const match = /^GIV (\d{1,10}):([0-9a-f]{32})\/(.*)$/is.exec(text);
  const serventGuid = guidFromHex(match?.[2] ?? '');
  const index = Number(match?.[1] ?? Number.NaN);
  if (serventGuid === undefined || !(index <= 0xffffffff)) return { kind: 'refused', reason: 'malformed' };
  return { kind: 'giv', line: { index, serventGuid, fileName: match?.[3] ?? '' }, usedBytes: at + 1 };
}
