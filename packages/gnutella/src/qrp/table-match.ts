import type { QueryScanner } from './query-scanner.ts';
import type { SlotSet } from './slot-set.ts';

/**
 * Whether a query may find something behind `table`: any URN's slot is set, or there is at least one word and the slots
 * of all words are set (docs/protocol/05-qrp.md §7, Filbert's choice). Runs per table and query: allocates nothing.
 * @param wordHashes full 32-bit hashes, of which the first `wordCount` count
 * @param urnHashes likewise, of the lower-cased URNs
 */
export function tableMatches(
  table: SlotSet,
  wordHashes: Uint32Array,
  wordCount: number,
  urnHashes: Uint32Array,
  urnCount: number,
): boolean {
  if (table.count === 0) return false;
  for (let index = 0; index < urnCount; index++) {
    if (table.hasWordHash(urnHashes[index] as number)) return true;
  }
  for (let index = 0; index < wordCount; index++) {
    if (!table.hasWordHash(wordHashes[index] as number)) return false;
  }
  return wordCount > 0;
}

/** `tableMatches` for the query that `scanner` has read last. */
export function matches(table: SlotSet, scanner: QueryScanner): boolean {
  return tableMatches(table, scanner.wordHashes, scanner.wordCount, scanner.urnHashes, scanner.urnCount);
}
