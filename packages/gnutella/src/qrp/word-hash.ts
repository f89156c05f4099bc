// Hashing of words and their prefixes, docs/protocol/05-qrp.md §1.2 and §1.3.

/** The multiplier of the query routing hash. */
export const HASH_MULTIPLIER = 0x4f1bbcdc;

/** Longest number of cuts at the end of a word that goes into a table. */
const MAX_PREFIX_CUTS = 5;
/** A prefix of this many UTF-8 bytes or fewer is not inserted. */
const SHORT_PREFIX_BYTES = 3;

/**
 * The whole 32-bit product of the query routing hash, unsigned. Only the low byte of each UTF-16 unit counts. Case is
 * not folded: pass a canonical word, or a URN in lower case (§1.3).
 */
export function hashWord(word: string): number {
  let folded = 0;
  let shift = 0;
  for (let index = 0; index < word.length; index++) {
    folded ^= (word.charCodeAt(index) & 0xff) << shift;
    shift = (shift + 8) & 24;
  }
  return Math.imul(folded, HASH_MULTIPLIER) >>> 0;
}

/**
 * Slot of a hash in a table of 2^`bits` slots.
 * @param bits 1…32
 */
export function slotOf(hash: number, bits: number): number {
  return hash >>> (32 - bits);
}

/**
 * The strings that a file's word puts into a table: the word, then up to five cuts of one character each while more
 * than three bytes of UTF-8 remain (§1.2, gtk-gnutella's form). Queries are not cut.
 */
export function wordPrefixes(word: string): string[] {
  const prefixes = [word];
  const characters = [...word];
  let bytes = Buffer.byteLength(word);
  for (let cuts = 1; cuts <= MAX_PREFIX_CUTS; cuts++) {
    const last = characters.pop();
    if (last === undefined) break;
    bytes -= Buffer.byteLength(last);
    if (bytes <= SHORT_PREFIX_BYTES) break;
    prefixes.push(characters.join(''));
  }
  return prefixes;
}
