// Reading GGEP blocks (docs/protocol/03-ggep-huge.md §3).
import { inflateSync } from 'node:zlib';
import { cobsDecode } from '../encoding/cobs.ts';
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { latin1 } from '../encoding/text.ts';

export const GGEP_MAGIC = 0xc3;
export const GGEP_LAST = 0x80;
export const GGEP_COBS = 0x40;
export const GGEP_DEFLATED = 0x20;
const GGEP_RESERVED = 0x10;
const GGEP_ID_MASK = 0x0f;
export const GGEP_MAX_ID_BYTES = 15;
/** What three length bytes can say. */
export const GGEP_MAX_VALUE_BYTES = 0x3ffff;

/** Entries kept of one block; what follows is checked for its structure and counted, but not kept (§2). */
export const MAX_GGEP_ENTRIES = 32;

/** Output at which the inflation of one entry is given up (§3). */
export const MAX_GGEP_INFLATED_BYTES = 16 * 1024;

const MIN_DEFLATED_BYTES = 6;
const MORE_LENGTH = 0x80;
const LAST_LENGTH = 0x40;

/** One entry. Its bytes are views of the parsed message: copy what outlives it. */
export interface GgepEntry {
  readonly id: string;
  /** The entry as it came, flags byte to last data byte. */
  readonly raw: Uint8Array;
  /** The data with COBS undone, still deflated if {@link deflated}; read it with {@link ggepValue}. */
  readonly data: Uint8Array;
  readonly deflated: boolean;
}

/** A block that follows the rules. */
export interface GgepBlock {
  /** The first {@link MAX_GGEP_ENTRIES} entries in their order. */
  readonly entries: readonly GgepEntry[];
  /** Entries in the block, kept or not. */
  readonly count: number;
  /** Offset behind the block's last byte. */
  readonly end: number;
}

/** Why a block is refused as a whole. */
export type GgepRefusal =
  'no-magic' | 'empty' | 'reserved-bit' | 'bad-id' | 'bad-length' | 'truncated' | 'bad-cobs' | 'bad-deflate';

/**
 * Parses the block that begins at `start` and ends at `end` at the latest. A block that ends without the last bit is
 * taken as it is; any violated rule refuses the whole block. Deflated values are not inflated here.
 */
export function parseGgepBlock(bytes: Uint8Array, start = 0, end = bytes.length): Decoded<GgepBlock, GgepRefusal> {
  if (start >= end || bytes[start] !== GGEP_MAGIC) return refused('no-magic');
  const entries: GgepEntry[] = [];
  let count = 0;
  let at = start + 1;
  let last = false;
  while (!last && at < end) {
    const entryStart = at;
    const flags = bytes[at] as number;
    const idBytes = flags & GGEP_ID_MASK;
    if ((flags & GGEP_RESERVED) !== 0) return refused('reserved-bit');
    if (idBytes === 0) return refused('bad-id');
    const idStart = at + 1;
    at = idStart + idBytes;
    if (at >= end) return refused('truncated');
    if (!isId(bytes, idStart, at)) return refused('bad-id');

    let dataBytes = 0;
    let lengthBytes = 0;
    for (let more = true; more; lengthBytes += 1) {
      if (at >= end) return refused('truncated');
      const byte = bytes[at] as number;
      const marks = byte & (MORE_LENGTH | LAST_LENGTH);
      if (lengthBytes === 3 || marks === 0 || marks === (MORE_LENGTH | LAST_LENGTH)) return refused('bad-length');
      dataBytes = (dataBytes << 6) | (byte & 0x3f);
      more = marks === MORE_LENGTH;
      at += 1;
    }
    const dataStart = at;
    at += dataBytes;
    if (at > end) return refused('truncated');

    const data = (flags & GGEP_COBS) === 0 ? bytes.subarray(dataStart, at) : cobsDecode(bytes, dataStart, at);
    if (data === undefined) return refused('bad-cobs');
    const deflated = (flags & GGEP_DEFLATED) !== 0;
    if (deflated && !hasZlibHeader(data)) return refused('bad-deflate');
    count += 1;
    if (count <= MAX_GGEP_ENTRIES) {
      const id = latin1(bytes, idStart, idStart + idBytes);
      entries.push({ id, raw: bytes.subarray(entryStart, at), data, deflated });
    }
    last = (flags & GGEP_LAST) !== 0;
  }
  if (count === 0) return refused('empty');
  return accepted({ entries, count, end: at });
}

/** Why the tail of a PING, PONG or PUSH is refused. */
export type GgepTailRefusal = GgepRefusal | 'too-large' | 'too-many-extensions';

/** GGEP behind the fixed part of a PING, PONG or PUSH (docs/protocol/02-messages.md §4). */
export const MAX_GGEP_TAIL_BYTES = 1536;

/**
 * Parses an area that holds nothing but GGEP blocks, as in PING, PONG and PUSH; adjacent blocks merge. An empty area
 * has no entries. {@link MAX_GGEP_ENTRIES} entries are taken for rubbish (§2).
 */
export function parseGgepTail(
  bytes: Uint8Array,
  start: number,
  end: number,
): Decoded<readonly GgepEntry[], GgepTailRefusal> {
  if (start >= end) return accepted(NO_ENTRIES);
  if (end - start > MAX_GGEP_TAIL_BYTES) return refused('too-large');
  const merged: GgepEntry[] = [];
  for (let at = start; at < end;) {
    const block = parseGgepBlock(bytes, at, end);
    if (!block.ok) return block;
    merged.push(...block.value.entries);
    if (merged.length >= MAX_GGEP_ENTRIES) return refused('too-many-extensions');
    at = block.value.end;
  }
  return accepted(merged);
}

/** The first entry with that id: of duplicates the first wins (§3). */
export function findGgep(entries: readonly GgepEntry[], id: string): GgepEntry | undefined {
  for (const entry of entries) if (entry.id === id) return entry;
  return undefined;
}

/**
 * The value of an entry, inflated if need be.
 * @param maxBytes where inflation is given up
 * @returns undefined when the data does not inflate, or to more than `maxBytes`
 */
export function ggepValue(entry: GgepEntry, maxBytes = MAX_GGEP_INFLATED_BYTES): Uint8Array | undefined {
  if (!entry.deflated) return entry.data;
  try {
    return inflateSync(entry.data, { maxOutputLength: maxBytes });
  } catch {
    return undefined;
  }
}

/** The value of the first entry with that id; undefined when there is none or it is unreadable. */
export function findGgepValue(entries: readonly GgepEntry[], id: string): Uint8Array | undefined {
  const entry = findGgep(entries, id);
  return entry === undefined ? undefined : ggepValue(entry);
}

const NO_ENTRIES: readonly GgepEntry[] = [];

function isId(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i] as number;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}

function hasZlibHeader(data: Uint8Array): boolean {
  if (data.length < MIN_DEFLATED_BYTES) return false;
  const cmf = data[0] as number;
  const flg = data[1] as number;
  return (cmf & 0x0f) === 8 && cmf >>> 4 <= 7 && (cmf * 256 + flg) % 31 === 0;
}
