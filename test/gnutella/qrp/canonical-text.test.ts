import assert from 'node:assert/strict';
import { canonicalText, canonicalWords } from '@filbert/gnutella';
import fc from 'fast-check';
import { vectorsOfKind } from './vectors.ts';

describe('canonicalText', () => {
  for (const { name, input, expected } of vectorsOfKind<string, string>('qrp-canonical')) {
    it(`gives the published form: ${name}`, () => {
      assert.equal(canonicalText(input), expected);
    });
  }

  const cases: [string, string, string][] = [
    ['folds every sigma alike', 'ΟΔΟΣ οδος', 'οδοσ οδοσ'],
    ['folds capital sharp s', 'GROẞ', 'gross'],
    ['keeps the dotless i apart from i', 'ılık', 'ı l ı k'],
    ['takes ligatures apart', 'ﬁle', 'file'],
    ['removes control characters without a boundary', 'a\tb\u0000c\u007fd', 'abcd'],
    ['keeps a line feed', 'a\nb', 'a\nb'],
    ['takes format characters for separators', '\uFEFFsoft\u00ADhyphen', 'soft hyphen'],
    ['keeps viramas and nuktas', 'क़्', 'क़्'],
    ['takes letters that stay capital after decomposition for separators', '™ x', 'x'],
    ['joins half-width kana and their marks', 'ｶﾞ', 'ガ'],
    ['composes Hangul', '한글 text', '한글 text'],
    ['gives nothing for punctuation', ' -._!? ', ''],
    ['splits scripts outside the basic plane', 'a𐐨', 'a 𐐨'],
  ];
  for (const [title, input, expected] of cases) {
    it(title, () => {
      assert.equal(canonicalText(input), expected);
    });
  }

  it('is a fixed point of decomposed text, and has neither outer nor doubled spaces', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        // Folding comes before decomposition, so a compatibility form may leave something to fold.
        const once = canonicalText(text.normalize('NFKD'));
        assert.equal(canonicalText(once), once);
        assert.doesNotMatch(canonicalText(text), /^ | $| {2}/);
      }),
      { numRuns: 300 },
    );
  });

  it('gives words in their order, repeated ones included, and none for an empty text', () => {
    assert.deepEqual(canonicalWords('The the (Beta) 2'), ['the', 'the', 'beta', '2']);
    assert.deepEqual(canonicalWords(' . '), []);
  });
});
