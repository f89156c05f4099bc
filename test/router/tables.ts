// Random query route tables and queries for the tests of the indexes over them.
import { hashWord, SlotSet, slotOf } from '@filbert/gnutella';
import fc from 'fast-check';

/** Words that tables are made of; queries take theirs from here too, so that many match. */
export const VOCABULARY = Array.from({ length: 60 }, (_, i) => `word${i}`);
export const URNS = Array.from({ length: 8 }, (_, i) => `urn:sha1:${'abcdefgh'.charAt(i).repeat(32)}`);

/** The table of 2^`bits` slots with these words or URNs. */
export function tableOf(words: readonly string[], bits = 16): SlotSet {
  return SlotSet.fromSlots(
    bits,
    Uint32Array.from(words, (word) => slotOf(hashWord(word), bits)),
  );
}

export function hashesOf(words: readonly string[]): Uint32Array {
  return Uint32Array.from(words, hashWord);
}

/** Tables of 2^3 to 2^21 slots: some words, some noise, sometimes nothing. */
export const anyTable: fc.Arbitrary<SlotSet> = fc
  .tuple(
    fc.integer({ min: 3, max: 21 }),
    fc.subarray([...VOCABULARY, ...URNS], { maxLength: 30 }),
    fc.array(fc.nat(), { maxLength: 20 }),
  )
  .map(([bits, words, noise]) =>
    SlotSet.fromSlots(
      bits,
      Uint32Array.from([...words.map((word) => slotOf(hashWord(word), bits)), ...noise.map((n) => n % 2 ** bits)]),
    ),
  );

export interface TestQuery {
  readonly words: Uint32Array;
  readonly urns: Uint32Array;
}

export const anyQuery: fc.Arbitrary<TestQuery> = fc
  .tuple(
    fc.array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...VOCABULARY) }, fc.string({ minLength: 3 })), {
      maxLength: 4,
    }),
    fc.subarray(URNS, { maxLength: 2 }),
  )
  .map(([words, urns]) => ({ words: hashesOf(words), urns: hashesOf(urns) }));
