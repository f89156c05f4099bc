import { canonicalWords } from './canonical-text.ts';
import { SlotSet } from './slot-set.ts';
import { hashWord, slotOf, wordPrefixes } from './word-hash.ts';

/** Smallest table that we make: 2^16 slots, a size that everyone understands. */
const MIN_OWN_TABLE_BITS = 16;
/** Largest table that we make: 2^21 slots. */
const MAX_OWN_TABLE_BITS = 21;
/** A table fuller than this doubles. */
const MAX_OWN_FILL = 0.01;
/** A table in which this share of the words met an occupied slot doubles. */
const MAX_OWN_CONFLICTS = 0.2;

function slotsOfHashes(sortedHashes: Uint32Array, bits: number): Uint32Array {
  const slots = sortedHashes.map((hash) => slotOf(hash, bits));
  return slots.filter((slot, index) => index === 0 || slots[index - 1] !== slot);
}

/**
 * The query route table of a host that shares files: every word of every name with its prefixes, and the URNs as whole
 * strings (docs/protocol/05-qrp.md §1.1, §1.2).
 * @param urns `urn:sha1:…` in any case; empty for gtk-gnutella's form, which inserts none
 * @param bits log2 of the size; without it the size follows the content: it doubles from 2^16 while more than 1 % of
 *   the slots are set or 20 % of the words share a slot, to 2^21 at most (§4)
 */
export function tableForNames(names: Iterable<string>, urns: Iterable<string>, bits?: number): SlotSet {
  const entries = new Set<string>();
  for (const name of names) {
    for (const word of canonicalWords(name)) for (const prefix of wordPrefixes(word)) entries.add(prefix);
  }
  for (const urn of urns) entries.add(urn.toLowerCase());
  return tableForHashes(Uint32Array.from(entries, hashWord), bits);
}

/**
 * The same table from the full 32-bit hashes of its words, prefixes and lower-case URNs, each of them once, for a caller
 * that has its words already.
 * @param hashes sorted in place
 */
export function tableForHashes(hashes: Uint32Array, bits?: number): SlotSet {
  hashes.sort();
  if (bits !== undefined) return SlotSet.fromSlots(bits, slotsOfHashes(hashes, bits));
  for (let size = MIN_OWN_TABLE_BITS; ; size++) {
    const slots = slotsOfHashes(hashes, size);
    const crowded =
      slots.length > MAX_OWN_FILL * 2 ** size || hashes.length - slots.length >= MAX_OWN_CONFLICTS * hashes.length;
    if (size === MAX_OWN_TABLE_BITS || slots.length === 0 || !crowded) return SlotSet.fromSlots(size, slots);
  }
}
