import { canonicalText } from './canonical-text.ts';
import { QueryDefect } from './query-defect.ts';
import { QueryExtensions } from './query-extensions.ts';
import { isWellFormedUtf8 } from './utf8.ts';
import { HASH_MULTIPLIER } from './word-hash.ts';

/** A longer QUERY payload is not read (docs/protocol/02-messages.md §4). */
export const MAX_SCANNED_QUERY_BYTES = 1024;
/** Words looked up per query; more only narrow the match further (docs/protocol/05-qrp.md §1.1). */
export const MAX_SCANNED_WORDS = 128;

const MIN_QUERY_BYTES = 4;
/** Words of fewer bytes of UTF-8 are not looked up. */
const MIN_WORD_BYTES = 3;
/** Less text is a query only together with a SHA-1. */
const MIN_TEXT_BYTES = 2;
const WHATS_NEW_TEXT = 'whatisnewxoxo';

const FLAGS_MARK = 0x8000;
const FLAG_FIREWALLED = 0x4000;
const FLAG_OUT_OF_BAND = 0x0400;
/** Flags of the senders that wrote the field little-endian. */
const SWAPPED_FLAGS = 0x9800;

// What becomes of an ASCII byte: a character of a word is its lower-case self.
const SEPARATES = 0;
const VANISHES = 1;
const ASCII_CLASS = new Uint8Array(128);
for (let code = 0; code < 0x20; code++) ASCII_CLASS[code] = VANISHES;
ASCII_CLASS[0x7f] = VANISHES;
ASCII_CLASS[0x0a] = 0x0a; // Line feeds are kept as they are.
for (let code = 0x30; code <= 0x39; code++) ASCII_CLASS[code] = code;
for (let code = 0x61; code <= 0x7a; code++) ASCII_CLASS[code] = ASCII_CLASS[code - 0x20] = code;

const SPACE = 0x20;
const HASH_SEED = 0x811c9dc5;
const HASH_PRIME = 0x01000193;

/** Whether the text in `bytes` from `start` to `end` is that of a query for what is new (docs/protocol/02-messages.md §9). */
export function isWhatsNewText(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== WHATS_NEW_TEXT.length) return false;
  for (let index = 0; index < WHATS_NEW_TEXT.length; index++) {
    if (((bytes[start + index] as number) | 0x20) !== WHATS_NEW_TEXT.charCodeAt(index)) return false;
  }
  return true;
}

/**
 * Reads what routing needs from a QUERY's payload, without making an object for it: one instance is reused from query
 * to query, and its fields hold until the next `scan`. Text that is all ASCII is hashed straight from the bytes; other
 * text takes the slow way through `canonicalText`, with the same results (docs/protocol/02-messages.md §9,
 * 03-ggep-huge.md §2, 05-qrp.md §1.1).
 */
export class QueryScanner {
  /** The flags field, normalised: bit 15 set, bytes in order. */
  flags = 0;
  /** Where the text starts, behind a byte order mark. */
  textStart = 0;
  /** Where the text's NUL is. */
  textEnd = 0;
  /** Full 32-bit hashes of the words of at least 3 bytes; the first `wordCount` count. */
  readonly wordHashes = new Uint32Array(MAX_SCANNED_WORDS);
  wordCount = 0;
  /** Full 32-bit hashes of the lower-cased `urn:sha1:` strings; the first `urnCount` count. */
  readonly urnHashes: Uint32Array;
  urnCount = 0;
  /** Asks for what is new, or for a feature that we do not know, rather than for words: GGEP WH, or the text WhatIsNewXOXO. */
  whatsNew = false;
  /** Wants hits out of band. */
  outOfBand = false;
  /** The sender is firewalled. */
  firewalled = false;
  /** 32-bit hash of the canonical text, equal for texts that differ only in case, accents or punctuation. */
  textHash = 0;

  readonly #extensions = new QueryExtensions();
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #ascii = true;

  constructor() {
    this.urnHashes = this.#extensions.urnHashes;
  }

  /**
   * Reads the payload in `bytes` from `payloadStart` to `payloadEnd`. Anything but `QueryDefect.none` means that the
   * query is to be dropped; the fields then hold nothing of use.
   */
  scan(bytes: Uint8Array, payloadStart: number, payloadEnd: number): QueryDefect {
    const length = payloadEnd - payloadStart;
    if (length < MIN_QUERY_BYTES) return QueryDefect.tooShort;
    if (length > MAX_SCANNED_QUERY_BYTES) return QueryDefect.tooLong;

    let textEnd = payloadStart + 2;
    let seen = 0;
    while (textEnd < payloadEnd) {
      const byte = bytes[textEnd] as number;
      if (byte === 0) break;
      seen |= byte;
      textEnd++;
    }
    if (textEnd === payloadEnd) return QueryDefect.noTerminator;
    this.textStart = payloadStart + 2;
    this.textEnd = textEnd;
    this.#ascii = seen < 0x80;
    if (!this.#ascii && !this.#checkUtf8(bytes)) return QueryDefect.badUtf8;

    if (!this.#readFlags(((bytes[payloadStart] as number) << 8) | (bytes[payloadStart + 1] as number))) {
      return QueryDefect.noFlags;
    }

    const extensions = this.#extensions;
    const defect = extensions.parse(bytes, textEnd + 1, payloadEnd);
    if (defect !== QueryDefect.none) return defect;
    this.urnCount = extensions.urnCount;

    const isWhatsNew = extensions.whatsNew || isWhatsNewText(bytes, this.textStart, textEnd);
    this.whatsNew = isWhatsNew || extensions.asksForFeature;
    if (isWhatsNew && this.urnCount > 0) return QueryDefect.whatsNewWithUrn;
    if (textEnd - this.textStart < MIN_TEXT_BYTES && this.urnCount === 0 && !this.whatsNew)
      return QueryDefect.tooLittle;

    if (this.#ascii) this.#hashAscii(bytes);
    else this.#hashCanonical(canonicalText(this.#decoder.decode(bytes.subarray(this.textStart, textEnd))));
    return QueryDefect.none;
  }

  /** Checks the text and steps over a byte order mark, which must not be alone. */
  #checkUtf8(bytes: Uint8Array): boolean {
    const start = this.textStart;
    if (!isWellFormedUtf8(bytes, start, this.textEnd)) return false;
    if (bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf) {
      this.textStart = start + 3;
      return this.textStart < this.textEnd;
    }
    return true;
  }

  #readFlags(raw: number): boolean {
    if (raw === 0) return false;
    let flags = raw;
    if ((raw & FLAGS_MARK) === 0) {
      const swapped = ((raw & 0xff) << 8) | (raw >> 8);
      flags = (swapped & SWAPPED_FLAGS) === SWAPPED_FLAGS ? swapped : FLAGS_MARK;
    }
    this.flags = flags;
    this.outOfBand = (flags & FLAG_OUT_OF_BAND) !== 0;
    this.firewalled = (flags & FLAG_FIREWALLED) !== 0;
    return true;
  }

  #hashAscii(bytes: Uint8Array): void {
    const hashes = this.wordHashes;
    const end = this.textEnd;
    let words = 0;
    let textHash = HASH_SEED;
    let folded = 0;
    let shift = 0;
    let wordBytes = 0;
    let started = false;
    for (let at = this.textStart; at < end; at++) {
      const character = ASCII_CLASS[bytes[at] as number] as number;
      if (character > VANISHES) {
        if (wordBytes === 0 && started) textHash = Math.imul(textHash ^ SPACE, HASH_PRIME);
        started = true;
        textHash = Math.imul(textHash ^ character, HASH_PRIME);
        folded ^= character << shift;
        shift = (shift + 8) & 24;
        wordBytes++;
      } else if (character === SEPARATES) {
        if (wordBytes >= MIN_WORD_BYTES && words < MAX_SCANNED_WORDS) {
          hashes[words++] = Math.imul(folded, HASH_MULTIPLIER);
        }
        folded = shift = wordBytes = 0;
      }
    }
    if (wordBytes >= MIN_WORD_BYTES && words < MAX_SCANNED_WORDS) hashes[words++] = Math.imul(folded, HASH_MULTIPLIER);
    this.wordCount = words;
    this.textHash = textHash >>> 0;
  }

  /** The same for canonical text, unit by unit. */
  #hashCanonical(text: string): void {
    const hashes = this.wordHashes;
    let words = 0;
    let textHash = HASH_SEED;
    let folded = 0;
    let shift = 0;
    let wordBytes = 0;
    for (let index = 0; index <= text.length; index++) {
      const unit = index < text.length ? text.charCodeAt(index) : SPACE;
      if (index < text.length) textHash = Math.imul(textHash ^ unit, HASH_PRIME);
      if (unit === SPACE) {
        if (wordBytes >= MIN_WORD_BYTES && words < MAX_SCANNED_WORDS) {
          hashes[words++] = Math.imul(folded, HASH_MULTIPLIER);
        }
        folded = shift = wordBytes = 0;
        continue;
      }
      folded ^= (unit & 0xff) << shift;
      shift = (shift + 8) & 24;
      // A surrogate is half of four bytes.
      const isSurrogate = (unit & 0xf800) === 0xd800;
      wordBytes += unit < 0x80 ? 1 : unit < 0x800 || isSurrogate ? 2 : 3;
    }
    this.wordCount = words;
    this.textHash = textHash >>> 0;
  }
}
