// Writing GGEP blocks (docs/protocol/03-ggep-huge.md §3).
import { deflateSync } from 'node:zlib';
import { cobsEncode } from '../encoding/cobs.ts';
import { concatBytes, latin1Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { GGEP_COBS, GGEP_DEFLATED, GGEP_LAST, GGEP_MAGIC, GGEP_MAX_ID_BYTES, GGEP_MAX_VALUE_BYTES } from './parse.ts';
import type { GgepEntry } from './parse.ts';

/** Values up to this size are not worth deflating. */
const MIN_BYTES_TO_DEFLATE = 48;

/** An entry to write. */
export interface GgepField {
  readonly id: string;
  readonly value: Uint8Array;
  /** Deflates the value where that makes it smaller; never below 49 bytes. */
  readonly deflate?: boolean;
}

/** Something to put into a block: a value of ours, or an entry that came from elsewhere and stays byte for byte. */
export type GgepPart = GgepField | GgepEntry;

/** Where the block goes. */
export interface GgepPlace {
  /** The place forbids NUL, as hit records do: values that hold one are COBS-encoded. */
  readonly nulFree?: boolean;
}

/**
 * One block of the parts in their order; no bytes at all for no parts.
 * @throws GnutellaError `bad-ggep` for an id that is not 1…15 printable ASCII characters or a value over 262,143 bytes
 */
export function encodeGgep(parts: readonly GgepPart[], place: GgepPlace = {}): Uint8Array {
  if (parts.length === 0) return new Uint8Array(0);
  const pieces: Uint8Array[] = [Uint8Array.of(GGEP_MAGIC)];
  parts.forEach((part, i) => {
    pieces.push(encodeEntry(part, i === parts.length - 1, place.nulFree === true));
  });
  return concatBytes(pieces);
}

/**
 * The length field for a value of `size` bytes: 1 to 3 bytes.
 * @throws GnutellaError `bad-ggep` over 262,143
 */
export function encodeGgepLength(size: number): Uint8Array {
  if (!Number.isInteger(size) || size < 0 || size > GGEP_MAX_VALUE_BYTES) {
    throw new GnutellaError('bad-ggep', `no GGEP value has ${size} bytes`);
  }
  const low = 0x40 | (size & 0x3f);
  if (size < 0x40) return Uint8Array.of(low);
  const middle = 0x80 | ((size >>> 6) & 0x3f);
  if (size < 0x1000) return Uint8Array.of(middle, low);
  return Uint8Array.of(0x80 | (size >>> 12), middle, low);
}

function encodeEntry(part: GgepPart, last: boolean, nulFree: boolean): Uint8Array {
  if ('raw' in part) {
    if (nulFree && part.raw.includes(0)) return writeEntry(part.id, part.data, part.deflated, last, true);
    const copy = part.raw.slice();
    copy[0] = ((copy[0] as number) & ~GGEP_LAST) | (last ? GGEP_LAST : 0);
    return copy;
  }
  const deflated =
    part.deflate === true && part.value.length > MIN_BYTES_TO_DEFLATE ? deflateSync(part.value) : undefined;
  const smaller = deflated !== undefined && deflated.length < part.value.length;
  return writeEntry(part.id, smaller ? deflated : part.value, smaller, last, nulFree);
}

function writeEntry(id: string, value: Uint8Array, deflated: boolean, last: boolean, nulFree: boolean): Uint8Array {
  if (id.length === 0 || id.length > GGEP_MAX_ID_BYTES || !/^[\x20-\x7e]+$/.test(id)) {
    throw new GnutellaError('bad-ggep', 'a GGEP id has 1 to 15 printable ASCII characters');
  }
  const cobs = nulFree && value.includes(0);
  const data = cobs ? cobsEncode(value) : value;
  const flags = (last ? GGEP_LAST : 0) | (cobs ? GGEP_COBS : 0) | (deflated ? GGEP_DEFLATED : 0) | id.length;
  return concatBytes([Uint8Array.of(flags), latin1Bytes(id), encodeGgepLength(data.length), data]);
}
