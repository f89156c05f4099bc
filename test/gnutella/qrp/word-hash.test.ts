import assert from 'node:assert/strict';
import { hashWord, slotOf, wordPrefixes } from '@filbert/gnutella';
import fc from 'fast-check';
import { vectorsOfKind } from './vectors.ts';

interface HashInput {
  readonly word?: string;
  readonly codepoints?: number[];
  readonly bits: number;
  readonly lowercase?: boolean;
}

describe('hashWord', () => {
  it('gives the slots of every published word', () => {
    for (const { name, input, expected } of vectorsOfKind<HashInput, number>('qrp-hash')) {
      const text = input.word ?? String.fromCodePoint(...(input.codepoints ?? []));
      const word = input.lowercase === false ? text : text.toLowerCase();
      assert.equal(slotOf(hashWord(word), input.bits), expected, name);
    }
  });

  it('gives a slot in half the table that is half the slot', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 20 }), (word, bits) => {
        assert.equal(slotOf(hashWord(word), bits), slotOf(hashWord(word), bits + 1) >>> 1);
      }),
    );
  });

  it('is an unsigned 32-bit number', () => {
    fc.assert(
      fc.property(fc.string(), (word) => {
        const hash = hashWord(word);
        assert.ok(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32);
      }),
    );
  });
});

describe('wordPrefixes', () => {
  it('cuts every published word as gtk-gnutella does', () => {
    for (const { name, input, expected } of vectorsOfKind<string, string[]>('qrp-prefixes-gtkg')) {
      assert.deepEqual(wordPrefixes(input), expected, name);
    }
  });

  it('cuts whole characters and keeps more than three bytes', () => {
    assert.deepEqual(wordPrefixes('日本語'), ['日本語', '日本']);
    assert.deepEqual(wordPrefixes('𐐨𐐨'), ['𐐨𐐨', '𐐨']);
    assert.deepEqual(wordPrefixes('a'), ['a']);
  });
});
