// The areas of a QUERY and of a hit record that mix HUGE strings, XML and GGEP (docs/protocol/03-ggep-huge.md §2).
import { latin1 } from '../encoding/text.ts';
import { GGEP_MAGIC, parseGgepBlock } from '../ggep/parse.ts';
import type { GgepBlock, GgepEntry } from '../ggep/parse.ts';
import { parseFileUrn } from './file-urn.ts';
import type { FileUrn } from './file-urn.ts';

/** Extensions read from one area: strings and GGEP entries together. The rest of the area is not looked at. */
export const MAX_EXTENSIONS = 32;

/** Longer strings that begin with "urn:" name no file. */
const MAX_URN_BYTES = 256;

const NUL = 0x00;
const SEPARATOR = 0x1c;
const LESS_THAN = 0x3c;

/** One thing in an area; `start` and `end` are offsets in the bytes that were split, separators not included. */
export type Extension =
  | { readonly kind: 'ggep'; readonly start: number; readonly end: number; readonly block: GgepBlock }
  | { readonly kind: 'urn'; readonly start: number; readonly end: number; readonly urn: FileUrn }
  | { readonly kind: 'xml'; readonly start: number; readonly end: number }
  | { readonly kind: 'unknown'; readonly start: number; readonly end: number };

/** A split area. Nothing of it is lost: `raw` is the whole of it, as it came. */
export interface ExtensionArea {
  readonly raw: Uint8Array;
  readonly extensions: readonly Extension[];
  /** A run of separators where one would do: such queries are dropped. */
  readonly overhead: boolean;
  /** More than {@link MAX_EXTENSIONS}: the rest was not read. */
  readonly truncated: boolean;
}

/**
 * Splits `bytes[start, end)`. Total and linear but for refused GGEP blocks, which {@link MAX_EXTENSIONS} bounds.
 * A block that breaks a rule is unknown text up to where something can be recognised again.
 */
export function splitExtensions(bytes: Uint8Array, start: number, end: number): ExtensionArea {
  const extensions: Extension[] = [];
  let overhead = false;
  let budget = MAX_EXTENSIONS;
  let at = start;
  let separators = 0;
  while (at < end && budget > 0) {
    const byte = bytes[at] as number;
    if (byte === NUL || byte === SEPARATOR) {
      separators += 1;
      overhead ||= separators > 1;
      at += 1;
      continue;
    }
    separators = 0;
    const extension = readExtension(bytes, at, end);
    budget -= extension.kind === 'ggep' ? extension.block.count : 1;
    extensions.push(extension);
    at = extension.end;
  }
  return { raw: bytes.subarray(start, end), extensions, overhead, truncated: budget < 0 || at < end };
}

/** The GGEP entries of all blocks of an area, in order: adjacent blocks merge. */
export function areaGgep(area: ExtensionArea): readonly GgepEntry[] {
  const blocks = area.extensions.flatMap((extension) => (extension.kind === 'ggep' ? [extension.block] : []));
  const [only] = blocks;
  if (only !== undefined && blocks.length === 1) return only.entries;
  return blocks.flatMap((block) => block.entries);
}

function readExtension(bytes: Uint8Array, at: number, end: number): Extension {
  const byte = bytes[at] as number;
  if (byte === GGEP_MAGIC) {
    const block = parseGgepBlock(bytes, at, end);
    if (block.ok) return { kind: 'ggep', start: at, end: block.value.end, block: block.value };
  } else if (startsUrn(bytes, at, end)) {
    const stop = endOfString(bytes, at, end);
    const urn: FileUrn = stop - at > MAX_URN_BYTES ? { kind: 'malformed' } : parseFileUrn(latin1(bytes, at, stop));
    return { kind: 'urn', start: at, end: stop, urn };
  } else if (byte === LESS_THAN) {
    return { kind: 'xml', start: at, end: endOfString(bytes, at, end) };
  }
  return { kind: 'unknown', start: at, end: endOfUnknown(bytes, at + 1, end) };
}

function endOfString(bytes: Uint8Array, at: number, end: number): number {
  let stop = at;
  while (stop < end && bytes[stop] !== NUL && bytes[stop] !== SEPARATOR) stop += 1;
  return stop;
}

function endOfUnknown(bytes: Uint8Array, at: number, end: number): number {
  let stop = at;
  for (; stop < end; stop += 1) {
    const byte = bytes[stop] as number;
    if (byte === NUL || byte === SEPARATOR || byte === GGEP_MAGIC) break;
    if (byte === LESS_THAN && stop + 1 < end && isLetter(bytes[stop + 1] as number)) break;
    if (startsUrn(bytes, stop, end)) break;
  }
  return stop;
}

function startsUrn(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    at + 4 <= end &&
    ((bytes[at] as number) | 0x20) === 0x75 &&
    ((bytes[at + 1] as number) | 0x20) === 0x72 &&
    ((bytes[at + 2] as number) | 0x20) === 0x6e &&
    bytes[at + 3] === 0x3a
  );
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}
