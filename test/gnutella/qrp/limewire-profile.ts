import { canonicalText, hashWord, SlotSet, slotOf } from '@filbert/gnutella';

// What LimeWire does otherwise than Filbert, as far as its test values need it.

/** LimeWire's word delimiters; other punctuation stays inside a word. */
const DELIMITERS = /[ \-._+/*()\\,＿]+/;

/** Words of a path: split at LimeWire's delimiters, accents removed, split again where the script changes. */
export function limeWireKeywords(path: string): string[] {
  return path
    .split(DELIMITERS)
    .flatMap((part) => canonicalText(part).split(' '))
    .filter((word) => word !== '');
}

/** Words of five or more units also go in without their last and last two units (docs/protocol/05-qrp.md §1.2). */
export function limeWirePrefixes(words: readonly string[]): string[] {
  return words.flatMap((word) => (word.length < 5 ? [word] : [word, word.slice(0, -1), word.slice(0, -2)]));
}

/** A table of LimeWire's words and prefixes. */
export function limeWireTable(bits: number, names: readonly string[]): SlotSet {
  const entries = names.flatMap((name) =>
    name.startsWith('urn:') ? [name.toLowerCase()] : limeWirePrefixes(limeWireKeywords(name)),
  );
  return SlotSet.fromSlots(
    bits,
    Uint32Array.from(entries, (entry) => slotOf(hashWord(entry), bits)),
  );
}

/** Packs 8-bit deltas into nibbles, high nibble first. */
export function packNibbles(entries: readonly number[]): Buffer {
  const packed = Buffer.alloc(entries.length / 2);
  entries.forEach((entry, index) => {
    packed[index >> 1] = (packed[index >> 1] ?? 0) | ((entry & 0xf) << (index % 2 === 0 ? 4 : 0));
  });
  return packed;
}
