import { HASH_MULTIPLIER } from './word-hash.ts';

// Hashes of `urn:sha1:` strings as the query routing protocol sees them (docs/protocol/05-qrp.md §1.3), taken from
// bytes without making the string.

const SHA1_BYTES = 20;
const SHA1_DIGITS = 32;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** Lower-case base32 digits by value. */
const DIGITS = Uint8Array.from(BASE32, (digit) => digit.charCodeAt(0));
/** Lower-case digit by ASCII code of either case; 0 for what is no digit. */
const FOLDED_DIGITS = new Uint8Array(256);
for (const code of DIGITS) {
  FOLDED_DIGITS[code] = code;
  FOLDED_DIGITS[String.fromCharCode(code).toUpperCase().charCodeAt(0)] = code;
}

const PREFIX = 'urn:sha1:';
let prefixFold = 0;
for (let index = 0; index < PREFIX.length; index++) prefixFold ^= PREFIX.charCodeAt(index) << ((index * 8) & 24);
const PREFIX_FOLD = prefixFold;
const PREFIX_SHIFT = (PREFIX.length * 8) & 24;

/** Whether `count` base32 digits of any case start at `start`. */
export function isBase32(bytes: Uint8Array, start: number, count: number): boolean {
  for (let index = start; index < start + count; index++) {
    if (FOLDED_DIGITS[bytes[index] ?? 0] === 0) return false;
  }
  return true;
}

/** Hash of `urn:sha1:` and the 32 base32 digits at `start`, which `isBase32` has checked. */
export function hashSha1Digits(bytes: Uint8Array, start: number): number {
  let folded = PREFIX_FOLD;
  let shift = PREFIX_SHIFT;
  for (let index = start; index < start + SHA1_DIGITS; index++) {
    folded ^= (FOLDED_DIGITS[bytes[index] as number] as number) << shift;
    shift = (shift + 8) & 24;
  }
  return Math.imul(folded, HASH_MULTIPLIER) >>> 0;
}

/** Hash of the `urn:sha1:` of the 20 raw bytes at `start`. */
export function hashSha1Bytes(bytes: Uint8Array, start: number): number {
  let folded = PREFIX_FOLD;
  let shift = PREFIX_SHIFT;
  let pending = 0;
  let pendingBits = 0;
  for (let index = start; index < start + SHA1_BYTES; index++) {
    pending = ((pending << 8) | (bytes[index] as number)) & 0xfff;
    pendingBits += 8;
    while (pendingBits >= 5) {
      pendingBits -= 5;
      folded ^= (DIGITS[(pending >>> pendingBits) & 31] as number) << shift;
      shift = (shift + 8) & 24;
    }
  }
  return Math.imul(folded, HASH_MULTIPLIER) >>> 0;
}
