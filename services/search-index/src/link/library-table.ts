import { formatSha1Urn, hashWord, tableForHashes, wordPrefixes, type SlotSet } from '@filbert/gnutella';
import type { Library } from '../catalogue/library.ts';

/** Longest time that building a table holds up the event loop at a stretch, in ms. */
const SLICE_MS = 5;
/** The clock is read once for so many entries. */
const ENTRIES_PER_LOOK = 256;

/**
 * The query route table of the library: every word of its names with the word's prefixes, and `urn:sha1:` of every file
 * (docs/protocol/05-qrp.md §1). Built in slices: what is added or removed meanwhile may or may not be in it.
 * @param monotonic a clock in ms
 * @param pause resolves when the event loop has had its turn
 */
export async function libraryTable(
  library: Library,
  monotonic: () => number,
  pause: () => Promise<void>,
): Promise<SlotSet> {
  const hashes = new Set<number>();
  let sliceEnd = monotonic() + SLICE_MS;
  let entries = 0;
  for (const hash of libraryHashes(library)) {
    hashes.add(hash);
    if (++entries % ENTRIES_PER_LOOK !== 0 || monotonic() < sliceEnd) continue;
    await pause();
    sliceEnd = monotonic() + SLICE_MS;
  }
  return tableForHashes(Uint32Array.from(hashes));
}

function* libraryHashes(library: Library): Generator<number> {
  for (const word of library.names.vocabulary()) for (const prefix of wordPrefixes(word)) yield hashWord(prefix);
  for (const { sha1 } of library.distinct()) yield hashWord(formatSha1Urn(sha1).toLowerCase());
}
