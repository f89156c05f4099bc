import { QueryDefect } from './query-defect.ts';
import { hashSha1Bytes, hashSha1Digits, isBase32 } from './urn-hash.ts';

/** URNs honoured per query (docs/protocol/03-ggep-huge.md §6); later ones are ignored. */
export const MAX_SCANNED_URNS = 10;
/** Extensions looked at per query, GGEP entries counted one by one (§2); later ones are ignored. */
const MAX_SCANNED_EXTENSIONS = 32;

const NUL = 0x00;
const SEPARATOR = 0x1c;
const COLON = 0x3a;
const DOT = 0x2e;
const LESS_THAN = 0x3c;
const GGEP_MAGIC = 0xc3;

const GGEP_LAST = 0x80;
const GGEP_COBS = 0x40;
const GGEP_DEFLATE = 0x20;
const GGEP_RESERVED = 0x10;
const GGEP_ID_LENGTH = 0x0f;
const MAX_LENGTH_BYTES = 3;
const MIN_DEFLATED_BYTES = 6;

const SHA1_DIGITS = 32;
const TIGER_DIGITS = 39;
const H_SHA1 = 1;
const H_SHA1_BYTES = 1 + 20;
const H_BITPRINT = 2;
const H_BITPRINT_BYTES = 1 + 20 + 24;
const WHATS_NEW = 1;

/** Enough for every COBS-encoded value that is read here. */
const SCRATCH_BYTES = 80;

function isSeparator(byte: number | undefined): boolean {
  return byte === NUL || byte === SEPARATOR;
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

/** Whether `word` (lower-case ASCII) stands at `at`, in any case. */
function startsWith(bytes: Uint8Array, at: number, end: number, word: string): boolean {
  if (at + word.length > end) return false;
  for (let index = 0; index < word.length; index++) {
    const byte = bytes[at + index] as number;
    const folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (folded !== word.charCodeAt(index)) return false;
  }
  return true;
}

/** End of the string extension that starts at `at`. */
function stringEnd(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && !isSeparator(bytes[at])) at++;
  return at;
}

/** Where unknown text ends and something known may begin. */
function resync(bytes: Uint8Array, at: number, end: number): number {
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    if (isSeparator(byte) || byte === GGEP_MAGIC) return at;
    if (byte === LESS_THAN && isLetter(bytes[at + 1])) return at;
    if ((byte | 0x20) === 0x75 && startsWith(bytes, at, end, 'urn:')) return at;
  }
  return end;
}

/**
 * Reads from a query's extension area what routing needs: hashes of its SHA-1 URNs and whether it asks for what is new
 * (docs/protocol/03-ggep-huge.md §2, §3, §5, §6). Reused from query to query; allocates nothing.
 */
export class QueryExtensions {
  /** Full 32-bit hashes of the lower-cased `urn:sha1:` strings; the first `urnCount` count. */
  readonly urnHashes = new Uint32Array(MAX_SCANNED_URNS);
  urnCount = 0;
  /** GGEP WH with value 1. */
  whatsNew = false;
  /** Where the data of GGEP XQ lies, as it came: the text that the query's own stands for. Both 0 without one (§6). */
  extendedTextStart = 0;
  extendedTextEnd = 0;
  /** GGEP WH with any value: what the query asks for is not found by its words (conformance 200). */
  asksForFeature = false;

  readonly #scratch = new Uint8Array(SCRATCH_BYTES);
  #seenH = false;
  #seenU = false;
  #seenWh = false;
  #extensions = 0;
  // The GGEP entry read last.
  #flags = 0;
  #idAt = 0;
  #dataAt = 0;
  #dataEnd = 0;

  /** Forgets the last query. */
  clear(): void {
    this.urnCount = 0;
    this.whatsNew = false;
    this.extendedTextStart = this.extendedTextEnd = 0;
    this.asksForFeature = false;
    this.#seenH = this.#seenU = this.#seenWh = false;
    this.#extensions = 0;
  }

  /** Reads the area from `start` (behind the text's NUL) to `end` (of the payload) after forgetting the last query. */
  parse(bytes: Uint8Array, start: number, end: number): QueryDefect {
    this.clear();
    let at = start;
    while (at < end && this.#extensions < MAX_SCANNED_EXTENSIONS) {
      const byte = bytes[at] as number;
      if (isSeparator(byte)) {
        if (at + 1 < end && isSeparator(bytes[at + 1])) return QueryDefect.badExtensions;
        at++;
        continue;
      }
      this.#extensions++;
      if (byte === GGEP_MAGIC) {
        const blockEnd = this.#blockEnd(bytes, at + 1, end);
        if (blockEnd < 0) {
          at = resync(bytes, at + 1, end);
          continue;
        }
        if (!this.#readBlock(bytes, at + 1, blockEnd)) return QueryDefect.badUrn;
        at = blockEnd;
      } else if (startsWith(bytes, at, end, 'urn:')) {
        const urnEnd = stringEnd(bytes, at, end);
        if (!this.#readUrn(bytes, at + 4, urnEnd)) return QueryDefect.badUrn;
        at = urnEnd;
      } else if (byte === LESS_THAN) {
        at = stringEnd(bytes, at, end);
      } else {
        at = resync(bytes, at + 1, end);
      }
    }
    return QueryDefect.none;
  }

  #addUrn(hash: number): void {
    if (this.urnCount < MAX_SCANNED_URNS) this.urnHashes[this.urnCount++] = hash;
  }

  /** A URN without its `urn:`; false if it is malformed. No value means "label results with URNs": ignored. */
  #readUrn(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end) return true;
    let colon = start;
    while (colon < end && bytes[colon] !== COLON) {
      const byte = bytes[colon] as number;
      if (!isLetter(byte) && !(byte >= 0x30 && byte <= 0x39) && byte !== 0x2d) return false;
      colon++;
    }
    if (colon === start) return false;
    const valueAt = colon + 1;
    const valueBytes = end - valueAt;
    if (valueBytes <= 0) return true;
    if (startsWith(bytes, start, end, 'sha1:')) {
      if (valueBytes !== SHA1_DIGITS || !isBase32(bytes, valueAt, SHA1_DIGITS)) return false;
    } else if (startsWith(bytes, start, end, 'bitprint:')) {
      if (valueBytes !== SHA1_DIGITS + 1 + TIGER_DIGITS || bytes[valueAt + SHA1_DIGITS] !== DOT) return false;
      if (!isBase32(bytes, valueAt, SHA1_DIGITS)) return false;
      if (!isBase32(bytes, valueAt + SHA1_DIGITS + 1, TIGER_DIGITS)) return false;
    } else {
      return true;
    }
    this.#addUrn(hashSha1Digits(bytes, valueAt));
    return true;
  }

  /** End of the GGEP block whose first entry is at `at`; −1 if any of it is invalid, for then all of it is (§3). */
  #blockEnd(bytes: Uint8Array, at: number, end: number): number {
    if (at >= end) return -1;
    while (at < end) {
      at = this.#readEntry(bytes, at, end);
      if (at < 0) return -1;
      const dataBytes = this.#dataBytes(bytes);
      if (dataBytes < 0) return -1;
      if ((this.#flags & GGEP_DEFLATE) !== 0) {
        const data = this.#data(bytes);
        const from = this.#dataFrom();
        if (dataBytes < MIN_DEFLATED_BYTES) return -1;
        const method = data[from] as number;
        if ((method & 0x0f) !== 8 || ((method << 8) | (data[from + 1] as number)) % 31 !== 0) return -1;
      }
      if ((this.#flags & GGEP_LAST) !== 0) break;
    }
    return at;
  }

  /** Reads the head of the GGEP entry at `at` into the fields; gives where the next one starts, −1 if it is invalid. */
  #readEntry(bytes: Uint8Array, at: number, end: number): number {
    const flags = bytes[at++] as number;
    const idLength = flags & GGEP_ID_LENGTH;
    if ((flags & GGEP_RESERVED) !== 0 || idLength === 0 || at + idLength > end) return -1;
    this.#flags = flags;
    this.#idAt = at;
    for (let index = 0; index < idLength; index++, at++) {
      const character = bytes[at] as number;
      if (character < 0x20 || character > 0x7e) return -1;
    }
    let length = 0;
    for (let count = 0; ; count++) {
      if (count === MAX_LENGTH_BYTES || at >= end) return -1;
      const byte = bytes[at++] as number;
      const mark = byte & 0xc0;
      if (mark !== 0x80 && mark !== 0x40) return -1;
      length = (length << 6) | (byte & 0x3f);
      if (mark === 0x40) break;
    }
    this.#dataAt = at;
    this.#dataEnd = at + length;
    return this.#dataEnd > end ? -1 : this.#dataEnd;
  }

  /** Length of the entry's data after COBS, which goes to the scratch as far as it fits; −1 if the COBS is invalid. */
  #dataBytes(bytes: Uint8Array): number {
    if ((this.#flags & GGEP_COBS) === 0) return this.#dataEnd - this.#dataAt;
    const scratch = this.#scratch;
    let written = 0;
    let at = this.#dataAt;
    while (at < this.#dataEnd) {
      const code = bytes[at] as number;
      if (code === 0 || at + code > this.#dataEnd) return -1;
      for (let index = 1; index < code; index++, written++) {
        if (written < SCRATCH_BYTES) scratch[written] = bytes[at + index] as number;
      }
      at += code;
      if (code !== 0xff && at < this.#dataEnd) {
        if (written < SCRATCH_BYTES) scratch[written] = 0;
        written++;
      }
    }
    return written;
  }

  /** Where the entry's data lies after `#dataBytes`: from `#dataFrom()` in this array. */
  #data(bytes: Uint8Array): Uint8Array {
    return (this.#flags & GGEP_COBS) === 0 ? bytes : this.#scratch;
  }

  #dataFrom(): number {
    return (this.#flags & GGEP_COBS) === 0 ? this.#dataAt : 0;
  }

  /** Takes H, u and WH from a valid block, the first of each; false if one holds a malformed SHA-1. */
  #readBlock(bytes: Uint8Array, at: number, end: number): boolean {
    for (let first = true; at < end; first = false) {
      if (!first && ++this.#extensions >= MAX_SCANNED_EXTENSIONS) break;
      at = this.#readEntry(bytes, at, end);
      const idLength = this.#flags & GGEP_ID_LENGTH;
      const id = bytes[this.#idAt];
      if (idLength === 2 && id === 0x58 && bytes[this.#idAt + 1] === 0x51 && this.extendedTextEnd === 0) {
        this.extendedTextStart = this.#dataAt;
        this.extendedTextEnd = this.#dataEnd;
      }
      if ((this.#flags & GGEP_DEFLATE) !== 0) continue;
      if (idLength === 1 && id === 0x48 && !this.#seenH) {
        this.#seenH = true;
        if (!this.#readH(bytes)) return false;
      } else if (idLength === 1 && id === 0x75 && !this.#seenU) {
        this.#seenU = true;
        const length = this.#dataBytes(bytes);
        const from = this.#dataFrom();
        const fits = this.#data(bytes) === bytes || length <= SCRATCH_BYTES;
        if (fits && !this.#readUrn(this.#data(bytes), from, from + length)) return false;
      } else if (idLength === 2 && id === 0x57 && bytes[this.#idAt + 1] === 0x48 && !this.#seenWh) {
        this.#seenWh = true;
        this.asksForFeature = true;
        this.whatsNew = this.#dataBytes(bytes) === 1 && this.#data(bytes)[this.#dataFrom()] === WHATS_NEW;
      }
    }
    return true;
  }

  #readH(bytes: Uint8Array): boolean {
    const length = this.#dataBytes(bytes);
    const data = this.#data(bytes);
    const from = this.#dataFrom();
    const type = length > 0 ? data[from] : undefined;
    if (type !== H_SHA1 && type !== H_BITPRINT) return true;
    if (length !== (type === H_SHA1 ? H_SHA1_BYTES : H_BITPRINT_BYTES)) return false;
    this.#addUrn(hashSha1Bytes(data, from + 1));
    return true;
  }
}
