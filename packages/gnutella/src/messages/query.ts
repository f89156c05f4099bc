// QUERY, 0x80 (docs/protocol/02-messages.md §9).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { writeU16BE } from '../encoding/integers.ts';
import { concatBytes, indexOfNul, latin1Bytes, strictUtf8, utf8Bytes } from '../encoding/text.ts';
import { vlintDecode } from '../encoding/vlint.ts';
import { GnutellaError } from '../errors.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepPart } from '../ggep/encode.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgep, findGgepValue, GGEP_LAST } from '../ggep/parse.ts';
import type { GgepBlock, GgepEntry } from '../ggep/parse.ts';
import { Descriptor, HEADER_BYTES } from '../header.ts';
import { areaGgep, splitExtensions } from '../urn/extension-area.ts';
import type { ExtensionArea } from '../urn/extension-area.ts';
import { areaHashes } from '../urn/extension-hashes.ts';
import { formatSha1Urn } from '../urn/file-urn.ts';
import type { Sha1 } from '../urn/file-urn.ts';
import { newFrame } from './frame.ts';
import type { Envelope } from './frame.ts';
import { QueryFlag, readQueryFlags } from './query-flags.ts';

/** Payloads over this are not processed (02 §4). */
export const MAX_QUERY_BYTES = 256;
export const MIN_QUERY_BYTES = 4;
/** The text of a query for the newest files. */
export const WHATS_NEW_TEXT = 'WhatIsNewXOXO';
/** LimeWire's text of a query by URN alone. */
export const URN_ONLY_TEXT = '\\';

const TEXT_OFFSET = 2;
const MIN_TEXT_BYTES = 2;
const MAX_EXTENDED_TEXT_BYTES = 255;
const BYTE_ORDER_MARK = '\ufeff';
const WHATS_NEW_FEATURE = 1;
const FS = 0x1c;
const NUL = 0x00;

/** A QUERY's payload. The areas and entries are views of the bytes that were decoded. */
export interface Query {
  /** {@link QueryFlag} bits as they are meant, {@link readQueryFlags}. */
  readonly flags: number;
  /** The text of the message, without byte order mark. */
  readonly text: string;
  /** The text to match: GGEP XQ where it is readable, else {@link text}. */
  readonly searchText: string;
  /** Hashes asked for, by HUGE or GGEP. */
  readonly sha1s: readonly Sha1[];
  readonly isWhatsNew: boolean;
  /** Everything behind the text, split but complete in {@link ExtensionArea.raw}. */
  readonly area: ExtensionArea;
  readonly ggep: readonly GgepEntry[];
}

export type QueryRefusal =
  | 'short'
  | 'too-large'
  | 'no-flags'
  | 'no-nul'
  | 'not-utf8'
  | 'overhead'
  | 'malformed-urn'
  | 'short-text'
  | 'whats-new-with-hash';

/** Decodes and checks the payload `bytes[start, end)`, in the order of 02 §9. */
export function decodeQuery(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxBytes = MAX_QUERY_BYTES,
): Decoded<Query, QueryRefusal> {
  if (end - start < MIN_QUERY_BYTES) return refused('short');
  if (end - start > maxBytes) return refused('too-large');
  const textStart = start + TEXT_OFFSET;
  const nul = indexOfNul(bytes, textStart, end);
  if (nul < 0) return refused('no-nul');
  const markedText = strictUtf8(bytes, textStart, nul);
  if (markedText === undefined || markedText === BYTE_ORDER_MARK) return refused('not-utf8');
  const flags = readQueryFlags(bytes, start);
  if (flags === 0) return refused('no-flags');

  const area = splitExtensions(bytes, nul + 1, end);
  if (area.overhead) return refused('overhead');
  const hashes = areaHashes(area);
  if (hashes.malformed) return refused('malformed-urn');
  const ggep = areaGgep(area);
  // What a query for a feature asks for, also one that we do not know, does not stand in its text (conformance 200).
  const asksForFeature = findGgep(ggep, GgepId.WHATS_NEW) !== undefined;
  if (nul - textStart < MIN_TEXT_BYTES && hashes.sha1s.length === 0 && !asksForFeature) return refused('short-text');
  const text = markedText.startsWith(BYTE_ORDER_MARK) ? markedText.slice(1) : markedText;
  const isWhatsNew = text.toLowerCase() === WHATS_NEW_TEXT.toLowerCase() || asksForNewest(ggep);
  if (isWhatsNew && hashes.sha1s.length > 0) return refused('whats-new-with-hash');
  const searchText = readExtendedText(ggep) ?? text;
  return accepted({ flags, text, searchText, sha1s: hashes.sha1s, isWhatsNew, area, ggep });
}

/** What a QUERY of ours says. */
export interface QueryFields {
  /** {@link QueryFlag} bits; IS_FLAGS is added. */
  readonly flags: number;
  readonly text: string;
  readonly sha1s?: readonly Sha1[];
  readonly xml?: string;
  readonly ggep?: readonly GgepPart[];
  /** A NUL at the end, as LimeWire writes it. */
  readonly finalNul?: boolean;
}

/**
 * A QUERY frame: text, NUL, then URNs, XML and GGEP with one separator between them.
 * @throws GnutellaError `bad-payload` for a NUL or separator inside text or XML; `too-large` over 65,535 bytes
 */
export function encodeQuery(envelope: Envelope, query: QueryFields): Uint8Array {
  for (const text of [query.text, query.xml ?? '']) {
    if (text.includes('\0') || text.includes('\x1c'))
      throw new GnutellaError('bad-payload', 'query text has no NUL or separator');
  }
  const strings = (query.sha1s ?? []).map((sha1) => latin1Bytes(formatSha1Urn(sha1)));
  if (query.xml !== undefined && query.xml !== '') strings.push(utf8Bytes(query.xml));
  const block = encodeGgep(query.ggep ?? []);
  if (block.length > 0) strings.push(block);
  const text = utf8Bytes(query.text);
  const pieces: Uint8Array[] = [text, Uint8Array.of(NUL)];
  strings.forEach((piece, i) => {
    if (i > 0) pieces.push(Uint8Array.of(FS));
    pieces.push(piece);
  });
  if (query.finalNul === true) pieces.push(Uint8Array.of(NUL));
  const body = concatBytes(pieces);
  const frame = newFrame(envelope, Descriptor.QUERY, TEXT_OFFSET + body.length);
  writeU16BE(frame, HEADER_BYTES, query.flags | QueryFlag.IS_FLAGS);
  frame.set(body, HEADER_BYTES + TEXT_OFFSET);
  return frame;
}

/**
 * A copy of a QUERY frame with one more GGEP block at the end of its extension area; all other bytes of the payload stay
 * as they are, as for the SO key of an out-of-band proxy (docs/protocol/06-query-routing-dq.md §7).
 * @param payloadStart offset of the payload in `frame`, which ends where the frame does
 * @returns undefined when nothing can follow the payload: it has no NUL behind its text, or its last block is open
 * @throws GnutellaError `too-large` when the result does not fit a message
 */
export function appendQueryGgep(
  frame: Uint8Array,
  payloadStart: number,
  envelope: Envelope,
  parts: readonly GgepPart[],
): Uint8Array | undefined {
  const nul = indexOfNul(frame, payloadStart + TEXT_OFFSET, frame.length);
  if (nul < 0) return undefined;
  const last = splitExtensions(frame, nul + 1, frame.length).extensions.at(-1);
  const endsInBlock = last?.kind === 'ggep' && last.end === frame.length;
  if (endsInBlock && !isClosed(last.block)) return undefined;
  const lastByte = frame.at(-1);
  // Text that runs to the very end needs a separator; a second one would be overhead.
  const needsSeparator = !endsInBlock && lastByte !== NUL && lastByte !== FS;
  const payload = concatBytes([
    frame.subarray(payloadStart),
    needsSeparator ? Uint8Array.of(FS) : new Uint8Array(0),
    encodeGgep(parts),
  ]);
  const result = newFrame(envelope, Descriptor.QUERY, payload.length);
  result.set(payload, HEADER_BYTES);
  return result;
}

/** Whether the block says where it ends: without the last bit, it would swallow what is put behind it. */
function isClosed(block: GgepBlock): boolean {
  const flags = block.count === block.entries.length ? block.entries.at(-1)?.raw[0] : undefined;
  return flags !== undefined && (flags & GGEP_LAST) !== 0;
}

function asksForNewest(ggep: readonly GgepEntry[]): boolean {
  const value = findGgepValue(ggep, GgepId.WHATS_NEW);
  return value !== undefined && vlintDecode(value) === WHATS_NEW_FEATURE;
}

function readExtendedText(ggep: readonly GgepEntry[]): string | undefined {
  const value = findGgepValue(ggep, GgepId.EXTENDED_QUERY);
  if (value === undefined || value.length === 0 || value.length > MAX_EXTENDED_TEXT_BYTES) return undefined;
  return strictUtf8(value, 0, value.length);
}
