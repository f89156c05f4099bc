// The trailer of a QUERY HIT, "EQHD" (docs/protocol/02-messages.md §10).
import { inflateSync } from 'node:zlib';
import { readU16LE, writeU16LE } from '../encoding/integers.ts';
import { concatBytes, latin1, latin1Bytes, lenientUtf8, utf8Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepPart } from '../ggep/encode.ts';
import { GGEP_MAGIC, MAX_GGEP_ENTRIES, parseGgepBlock } from '../ggep/parse.ts';
import type { GgepEntry } from '../ggep/parse.ts';
import { HIT_TRAILER_FIXED_BYTES } from './query-hit-summary.ts';

/** XML as it is sent, and as it is after inflation. */
export const MAX_HIT_XML_BYTES = 32 * 1024;
export const MAX_HIT_XML_INFLATED_BYTES = 64 * 1024;

const Bit = { PUSH: 0x01, BUSY: 0x04, UPLOADED: 0x08, MEASURED: 0x10, GGEP: 0x20 } as const;
const MIN_OPEN_BYTES_FOR_FLAGS = 2;
const MIN_OPEN_BYTES_FOR_XML = 4;
const PLAIN_XML = '{plaintext}';
const DEFLATED_XML = '{deflate}';

/** What a servent says of itself; undefined where the trailer does not say. */
export interface HitFlags {
  readonly needsPush?: boolean | undefined;
  readonly isBusy?: boolean | undefined;
  readonly hasUploaded?: boolean | undefined;
  readonly speedIsMeasured?: boolean | undefined;
}

/** A trailer as it was read. */
export interface QueryHitTrailer extends HitFlags {
  /** 4 characters, one per byte, as they came. */
  readonly vendor: string;
  readonly ggep: readonly GgepEntry[];
  /** The XML bytes as they came, without their final NUL; read them with {@link hitXmlText}. */
  readonly xml: Uint8Array | undefined;
  /** Everything between open data and servent GUID. */
  readonly privateArea: Uint8Array;
}

/** A trailer to write. */
export interface HitTrailerFields extends HitFlags {
  /** 4 ASCII characters */
  readonly vendor: string;
  readonly ggep?: readonly GgepPart[];
  /** Written as plain text with open data of 4 bytes; without it the open data has 2. */
  readonly xml?: string;
}

/**
 * Reads the trailer `bytes[start, end)`, whose fixed part has been validated; undefined when it is empty. GGEP is
 * searched from the first 0xC3 on; blocks that break a rule, and what follows them, count as not there. So does XML
 * whose length does not fit.
 */
export function readHitTrailer(bytes: Uint8Array, start: number, end: number): QueryHitTrailer | undefined {
  if (end - start < HIT_TRAILER_FIXED_BYTES) return undefined;
  const openBytes = bytes[start + 4] as number;
  const privateStart = Math.min(start + HIT_TRAILER_FIXED_BYTES + openBytes, end);
  const hasFlags = openBytes >= MIN_OPEN_BYTES_FOR_FLAGS;
  const a = hasFlags ? (bytes[start + 5] as number) : 0;
  const b = hasFlags ? (bytes[start + 6] as number) : 0;
  const statedXml = openBytes >= MIN_OPEN_BYTES_FOR_XML ? readU16LE(bytes, start + 7) : 0;
  const xmlBytes = statedXml > 1 && statedXml <= end - privateStart ? statedXml : 0;
  return {
    vendor: latin1(bytes, start, start + 4),
    // The roles of the two bytes are swapped for PUSH.
    needsPush: flag(b, a, Bit.PUSH),
    isBusy: flag(a, b, Bit.BUSY),
    hasUploaded: flag(a, b, Bit.UPLOADED),
    speedIsMeasured: flag(a, b, Bit.MEASURED),
    ggep: readPrivateGgep(bytes, privateStart, end - xmlBytes),
    xml: xmlBytes === 0 ? undefined : withoutFinalNul(bytes.subarray(end - xmlBytes, end)),
    privateArea: bytes.subarray(privateStart, end),
  };
}

/** The text of a hit's XML, inflated if need be; undefined when it is too large or unreadable. Untrusted text. */
export function hitXmlText(xml: Uint8Array): string | undefined {
  if (xml.length > MAX_HIT_XML_BYTES) return undefined;
  const head = latin1(xml, 0, Math.min(xml.length, PLAIN_XML.length)).toLowerCase();
  if (head.startsWith(PLAIN_XML)) return lenientUtf8(xml, PLAIN_XML.length, xml.length);
  if (!head.startsWith(DEFLATED_XML)) return lenientUtf8(xml, 0, xml.length);
  try {
    const limit = { maxOutputLength: MAX_HIT_XML_INFLATED_BYTES };
    const inflated = inflateSync(xml.subarray(DEFLATED_XML.length), limit);
    return lenientUtf8(inflated, 0, inflated.length);
  } catch {
    return undefined;
  }
}

/**
 * The bytes of a trailer.
 * @throws GnutellaError `bad-payload` for a vendor code that is not 4 characters, `too-large` for XML over 32 KiB
 */
export function encodeHitTrailer(trailer: HitTrailerFields): Uint8Array {
  if (!/^[\x20-\x7e]{4}$/.test(trailer.vendor)) {
    throw new GnutellaError('bad-payload', 'a vendor code has 4 ASCII characters');
  }
  const ggep = encodeGgep(trailer.ggep ?? []);
  const xml = trailer.xml === undefined ? undefined : utf8Bytes(`${PLAIN_XML}${trailer.xml}\0`);
  if (xml !== undefined && xml.length > MAX_HIT_XML_BYTES) throw new GnutellaError('too-large', 'XML over 32 KiB');
  const open = new Uint8Array(xml === undefined ? MIN_OPEN_BYTES_FOR_FLAGS : MIN_OPEN_BYTES_FOR_XML);
  const features: readonly (readonly [bit: number, value: boolean | undefined])[] = [
    [Bit.BUSY, trailer.isBusy],
    [Bit.UPLOADED, trailer.hasUploaded],
    [Bit.MEASURED, trailer.speedIsMeasured],
    [Bit.GGEP, ggep.length > 0],
  ];
  let [a, b] = [0, 0];
  for (const [bit, value] of features) {
    if (value === undefined) continue;
    a |= bit;
    if (value) b |= bit;
  }
  if (trailer.needsPush !== undefined) b |= Bit.PUSH;
  if (trailer.needsPush === true) a |= Bit.PUSH;
  open[0] = a;
  open[1] = b;
  if (xml !== undefined) writeU16LE(open, 2, xml.length);
  const fixed = [latin1Bytes(trailer.vendor), Uint8Array.of(open.length), open];
  return concatBytes([...fixed, ggep, xml ?? new Uint8Array(0)]);
}

function flag(meaningful: number, value: number, bit: number): boolean | undefined {
  return (meaningful & bit) === 0 ? undefined : (value & bit) !== 0;
}

function readPrivateGgep(bytes: Uint8Array, start: number, end: number): readonly GgepEntry[] {
  const entries: GgepEntry[] = [];
  let at = bytes.indexOf(GGEP_MAGIC, start);
  while (at >= 0 && at < end && bytes[at] === GGEP_MAGIC && entries.length < MAX_GGEP_ENTRIES) {
    const block = parseGgepBlock(bytes, at, end);
    if (!block.ok) break;
    entries.push(...block.value.entries);
    at = block.value.end;
  }
  return entries;
}

function withoutFinalNul(xml: Uint8Array): Uint8Array {
  return xml.at(-1) === 0 ? xml.subarray(0, -1) : xml;
}
