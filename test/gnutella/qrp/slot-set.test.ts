import assert from 'node:assert/strict';
import {
  applyDifference,
  difference,
  fillRatio,
  fullTablePassPercent,
  GnutellaError,
  hashWord,
  merge,
  resize,
  slotOf,
  SlotSet,
  tableForNames,
  tableMatches,
} from '@filbert/gnutella';
import fc from 'fast-check';
import { vectorNamed, vectorsOfKind } from './vectors.ts';

const slotsIn = (bits: number): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(2 ** bits - 1), { maxLength: 2 ** Math.min(bits, 7) });

const tableIn = (bits: number): fc.Arbitrary<SlotSet> =>
  slotsIn(bits).map((slots) => SlotSet.fromSlots(bits, Uint32Array.from(slots)));

const anyTable = fc.integer({ min: 1, max: 12 }).chain(tableIn);
const tablePair = fc.integer({ min: 1, max: 12 }).chain((bits) => fc.tuple(tableIn(bits), tableIn(bits)));

function hashesOf(words: readonly string[]): Uint32Array {
  return Uint32Array.from(words, hashWord);
}

function refused(action: () => unknown): void {
  assert.throws(action, (error) => error instanceof GnutellaError && error.code === 'bad-qrp');
}

describe('SlotSet', () => {
  it('holds exactly the slots it was made of, whether listed or in a bitmap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }).chain((bits) => fc.tuple(fc.constant(bits), slotsIn(bits))),
        ([bits, slots]) => {
          const model = new Set(slots);
          const table = SlotSet.fromSlots(bits, Uint32Array.from(slots));
          const ascending = [...model].sort((a, b) => a - b);
          assert.equal(table.count, model.size);
          assert.deepEqual([...table.slots()], ascending);
          const visited: number[] = [];
          table.forEach((slot) => visited.push(slot));
          assert.deepEqual(visited, ascending);
          for (let slot = 0; slot <= 2 ** bits; slot++) assert.equal(table.has(slot), model.has(slot));
          const again = SlotSet.fromBitmap(bits, table.toBitmap());
          assert.ok(again.equals(table) && table.equals(again));
        },
      ),
    );
  });

  it('numbers bits from the most significant one', () => {
    assert.deepEqual([...SlotSet.fromBitmap(4, Uint8Array.of(0x81, 0x40)).slots()], [0, 7, 9]);
  });

  it('takes the smaller of list and bitmap', () => {
    const few = SlotSet.fromSlots(
      16,
      Uint32Array.from({ length: 100 }, (_, index) => index * 7),
    );
    const many = SlotSet.fromSlots(
      16,
      Uint32Array.from({ length: 5000 }, (_, index) => index * 7),
    );
    assert.equal(few.byteLength, 400);
    assert.equal(many.byteLength, 8192);
  });

  it('differs from a table of other size or other slots', () => {
    const table = SlotSet.fromSlots(8, Uint32Array.of(1, 2));
    assert.equal(table.equals(SlotSet.fromSlots(9, Uint32Array.of(1, 2))), false);
    assert.equal(table.equals(SlotSet.fromSlots(8, Uint32Array.of(1, 3))), false);
    assert.equal(table.equals(SlotSet.empty(8)), false);
  });

  it('does not change when what it handed out is changed', () => {
    const table = SlotSet.fromSlots(8, Uint32Array.of(5));
    table.slots()[0] = 9;
    table.toBitmap().fill(0xff);
    assert.deepEqual([...table.slots()], [5]);
  });

  it('refuses slots, sizes and bitmaps that make no table', () => {
    refused(() => SlotSet.fromSlots(4, Uint32Array.of(16)));
    refused(() => SlotSet.fromBitmap(4, new Uint8Array(3)));
    refused(() => SlotSet.fromBitmap(2, Uint8Array.of(0x0f)));
    refused(() => SlotSet.empty(0));
    refused(() => SlotSet.empty(25));
  });
});

describe('difference and applyDifference', () => {
  it('lead from any table to any other of the same size', () => {
    fc.assert(
      fc.property(tablePair, ([from, to]) => {
        const { set, cleared } = difference(from, to);
        assert.ok(applyDifference(from, to.bits, set, cleared).equals(to));
        assert.ok(set.every((slot) => !from.has(slot)));
        assert.ok(cleared.every((slot) => from.has(slot)));
      }),
    );
  });

  it('start from nothing when there was no table or one of another size', () => {
    const to = SlotSet.fromSlots(8, Uint32Array.of(3, 200));
    for (const from of [undefined, SlotSet.fromSlots(7, Uint32Array.of(3, 9))]) {
      const { set, cleared } = difference(from, to);
      assert.deepEqual([...set], [3, 200]);
      assert.equal(cleared.length, 0);
      assert.ok(applyDifference(from, 8, set, cleared).equals(to));
    }
  });

  it('leave the lists of the caller alone', () => {
    const set = Uint32Array.of(9, 3, 9);
    const table = applyDifference(undefined, 8, set, new Uint32Array(0));
    assert.deepEqual([...set], [9, 3, 9]);
    assert.deepEqual([...table.slots()], [3, 9]);
  });
});

describe('resize and merge', () => {
  it('expand and shrink as published', () => {
    const expand = vectorNamed('qrp_or_expand').expected as number[];
    const shrink = vectorNamed('qrp_shrink').expected as number[];
    assert.equal(vectorsOfKind('qrp-merge').length, 2);
    assert.deepEqual([...resize(SlotSet.fromSlots(3, Uint32Array.of(2)), 5).slots()], expand);
    assert.deepEqual([...resize(SlotSet.fromSlots(5, Uint32Array.of(5, 6, 31)), 3).slots()], shrink);
  });

  it('give a table back that was expanded and shrunk', () => {
    fc.assert(
      fc.property(anyTable, fc.integer({ min: 0, max: 5 }), (table, by) => {
        assert.ok(resize(resize(table, table.bits + by), table.bits).equals(table));
      }),
    );
  });

  it('keep every word findable whatever the size', () => {
    const words = ['gnutella', 'protocol', 'music'];
    const table = SlotSet.fromSlots(
      9,
      Uint32Array.from(words, (word) => slotOf(hashWord(word), 9)),
    );
    for (const bits of [5, 7, 9, 11, 16]) {
      for (const word of words) assert.ok(resize(table, bits).hasWordHash(hashWord(word)), `${word} in 2^${bits}`);
    }
  });

  it('unite tables of any size so that whatever matched one still matches', () => {
    const hashes = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(anyTable, { maxLength: 4 }),
        fc.integer({ min: 3, max: 12 }),
        hashes,
        (tables, bits, words) => {
          const united = merge(tables, bits);
          const query = Uint32Array.from(words);
          const none = new Uint32Array(0);
          for (const table of tables) {
            if (tableMatches(table, query, query.length, none, 0)) {
              assert.ok(tableMatches(united, query, query.length, none, 0));
            }
          }
          const expected = new Set(tables.flatMap((table) => [...resize(table, bits).slots()]));
          assert.equal(united.count, expected.size);
        },
      ),
    );
  });

  it('tell how full a table is and how far to trust it', () => {
    assert.equal(fillRatio(SlotSet.fromSlots(4, Uint32Array.of(1, 2, 3, 4))), 0.25);
    for (const [fill, percent] of Object.entries(vectorNamed('qrp_pass_throw').expected as Record<string, number>)) {
      assert.equal(fullTablePassPercent(Number(fill) / 100), percent, `${fill} % full`);
    }
  });
});

describe('tableMatches', () => {
  const urn = 'urn:sha1:plsthipqgsszts5fjupakuzwugyqypfb';
  const table = tableForNames(['Good Book.txt'], [urn.toUpperCase()]);
  const none = new Uint32Array(0);
  const byWords = (...words: string[]): boolean => tableMatches(table, hashesOf(words), words.length, none, 0);

  it('wants every word, however many there are', () => {
    assert.equal(byWords('good'), true);
    assert.equal(byWords('good', 'book', 'txt'), true);
    assert.equal(byWords('good', 'book', 'txt', 'missing'), false);
  });

  it('is content with any URN, whatever the words', () => {
    const urns = hashesOf(['urn:sha1:other', urn]);
    assert.equal(tableMatches(table, hashesOf(['missing']), 1, urns, 2), true);
    assert.equal(tableMatches(table, none, 0, urns, 1), false);
    assert.equal(tableMatches(table, hashesOf(['good']), 1, urns, 1), true);
  });

  it('never matches a query without words and URNs, nor an empty table', () => {
    assert.equal(byWords(), false);
    assert.equal(tableMatches(SlotSet.empty(3), hashesOf(['a']), 1, hashesOf([urn]), 1), false);
  });

  it('still matches after slots were added', () => {
    fc.assert(
      fc.property(tablePair, fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 3 }), ([a, b], words) => {
        const query = Uint32Array.from(words);
        const before = tableMatches(a, query, query.length, none, 0);
        if (before) assert.ok(tableMatches(merge([a, b], a.bits), query, query.length, none, 0));
      }),
    );
  });
});

describe('tableForNames', () => {
  it('sets the slots of the published table', () => {
    const { input, expected } = vectorNamed('qrp_table_1024') as unknown as {
      input: { words: string[]; bits: number };
      expected: number[];
    };
    const table = SlotSet.fromSlots(
      input.bits,
      Uint32Array.from(input.words, (word) => slotOf(hashWord(word), input.bits)),
    );
    assert.deepEqual([...table.slots()], expected);
    // The published list holds LimeWire's prefixes; ours of the same words are a superset.
    const own = tableForNames(['gnutella protocol.txt'], [], input.bits);
    assert.ok(expected.every((slot) => own.has(slot)));
  });

  it('inserts words, prefixes and short words, and URNs only when given', () => {
    const table = tableForNames(['A Musical'], []);
    for (const word of ['a', 'musical', 'musica', 'music', 'musi']) assert.ok(table.hasWordHash(hashWord(word)), word);
    assert.equal(table.count, 5);
    assert.equal(table.hasWordHash(hashWord('mus')), false);
  });

  it('takes 2^16 slots at least and doubles while more than one in a hundred is set', () => {
    const names = (count: number): string[] => Array.from({ length: count }, (_, index) => index.toString(36));
    assert.equal(tableForNames([], []).bits, 16);
    assert.equal(tableForNames(names(500), []).bits, 16);
    const larger = tableForNames(names(3000), []);
    assert.ok(larger.bits > 16 && fillRatio(larger) <= 0.01 && fillRatio(larger) > 0.004, `2^${larger.bits}`);
  });

  it('stops doubling at 2^21 slots', () => {
    const names = Array.from({ length: 30_000 }, (_, index) => `${index.toString(36)}zz`);
    assert.equal(tableForNames(names, []).bits, 21);
  });
});
