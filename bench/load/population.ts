import { patchPayloads, rawHash, rawPrefixes, resetPayload } from '../../test/support/raw-table.ts';
import { encodeFrame, RAW_DESCRIPTOR } from '../../test/support/raw-wire.ts';
import { randomBelow, seededRandom } from './random.ts';

/** log2 of the slots of every leaf's table: 64 Ki. */
export const TABLE_BITS = 16;

/** The shortest and longest word of the vocabulary, in letters: all are long enough to be looked up. */
const WORD_LETTERS = [5, 10] as const;

/** The GUID of QRP messages. */
const ZERO_GUID = '0'.repeat(32);

/** What a population of leaves is made of. */
export interface PopulationOptions {
  leaves: number;
  /** Words that each leaf holds. */
  wordsPerLeaf: number;
  vocabulary: number;
  seed: number;
}

/**
 * Leaves with their words and tables, known exactly: `leavesAt` tells which tables have a slot set, by a word, by a
 * prefix of one or by a collision, so that the deliveries of each query can be told beforehand.
 */
export class Population {
  readonly words: readonly string[];
  /** For each leaf the indexes of its words in `words`. */
  readonly wordsOf: readonly Int32Array[];
  /** For each leaf its RESET and PATCH messages. */
  readonly tables: readonly Buffer[];
  readonly #leavesBySlot: (number[] | undefined)[] = new Array<number[] | undefined>(2 ** TABLE_BITS);

  constructor(options: PopulationOptions) {
    const random = seededRandom(options.seed);
    this.words = makeVocabulary(options.vocabulary, random);
    const slotsOfWord = this.words.map((word) => rawPrefixes(word).map((prefix) => rawHash(prefix, TABLE_BITS)));
    this.wordsOf = Array.from({ length: options.leaves }, () => {
      const chosen = new Set<number>();
      while (chosen.size < Math.min(options.wordsPerLeaf, options.vocabulary)) {
        chosen.add(randomBelow(options.vocabulary, random));
      }
      return Int32Array.from(chosen);
    });
    this.tables = this.wordsOf.map((words, leaf) => {
      const slots = [...new Set([...words].flatMap((word) => slotsOfWord[word] ?? []))];
      for (const slot of slots) (this.#leavesBySlot[slot] ??= []).push(leaf);
      return encodeTable(slots);
    });
  }

  get leaves(): number {
    return this.tables.length;
  }

  /** The leaves whose tables match both words, ascending: slots of words under 3 bytes are never asked for. */
  matching(first: string, second: string): number[] {
    const a = this.#leavesBySlot[rawHash(first, TABLE_BITS)] ?? [];
    const b = new Set(this.#leavesBySlot[rawHash(second, TABLE_BITS)] ?? []);
    return a.filter((leaf) => b.has(leaf));
  }
}

/** RESET and a whole 4-bit zlib PATCH as gtk-gnutella sends them (protocol page 05 §2). */
function encodeTable(slots: readonly number[]): Buffer {
  const payloads = [resetPayload(2 ** TABLE_BITS, 2), ...patchPayloads(TABLE_BITS, slots, [])];
  return Buffer.concat(
    payloads.map((payload) =>
      encodeFrame({ guid: ZERO_GUID, descriptor: RAW_DESCRIPTOR.qrp, ttl: 1, hops: 0, payload }),
    ),
  );
}

function makeVocabulary(count: number, random: () => number): string[] {
  const words = new Set<string>();
  const [shortest, longest] = WORD_LETTERS;
  while (words.size < count) {
    const length = shortest + randomBelow(longest - shortest + 1, random);
    words.add(String.fromCharCode(...Array.from({ length }, () => 97 + randomBelow(26, random))));
  }
  return [...words];
}
