import assert from 'node:assert/strict';
import fc from 'fast-check';
import { canonicalWords } from '@filbert/gnutella';
import { MAX_CANDIDATES, NameIndex } from '../../../services/search-index/src/match/name-index.ts';

function indexOf(...names: string[]): NameIndex {
  const index = new NameIndex();
  names.forEach((name, slot) => index.add(slot, name));
  return index;
}

/** What the index must find, written as the rule reads. */
function naive(names: ReadonlyMap<number, string>, text: string): number[] {
  const wanted = canonicalWords(text);
  if (!wanted.some((word) => Buffer.byteLength(word) >= 2)) return [];
  const found: number[] = [];
  for (const [slot, name] of names) {
    const words = canonicalWords(name);
    const fits = (query: string): boolean =>
      words.filter((word) => word.startsWith(query)).length >= wanted.filter((other) => other === query).length;
    if (wanted.every(fits)) found.push(slot);
  }
  return found.sort((a, b) => a - b);
}

describe('search-index: match', () => {
  it('finds names that have every word, in any order, case and accents aside', () => {
    const index = indexOf('Café Müller - L’été.mp3', 'Muller Light.txt', 'cafe.mp3');
    assert.deepEqual(index.search('MULLER cafe', 10), [0]);
    assert.deepEqual(index.search('müller', 10), [0, 1]);
    assert.deepEqual(index.search('muller cafe winter', 10), []);
  });

  it('takes a word of the query for the beginning of a word, never for its middle', () => {
    const index = indexOf('gnutella protocol.pdf', 'music.mp3');
    assert.deepEqual(index.search('gnutel', 10), [0]);
    assert.deepEqual(index.search('mus mp', 10), [1]);
    assert.deepEqual(index.search('nutella', 10), []);
  });

  it('wants a word twice where the query has it twice', () => {
    const index = indexOf('the one.mp3', 'the one and the other.mp3', 'theory of the.mp3');
    assert.deepEqual(index.search('the the', 10), [1, 2]);
    assert.deepEqual(index.search('the', 10), [0, 1, 2]);
  });

  it('finds nothing for single letters, punctuation or nothing at all', () => {
    const index = indexOf('a b c.mp3');
    for (const text of ['', ' ', 'a', 'a b', '*.*', '\\']) assert.deepEqual(index.search(text, 10), [], text);
    assert.deepEqual(index.search('a mp3', 10), [0]);
  });

  it('stops at the limit, and does not count what the caller refuses', () => {
    const index = indexOf('song 1', 'song 2', 'song 3', 'song 4');
    assert.equal(index.search('song', 2).length, 2);
    assert.deepEqual(
      index.search('song', 2, (slot) => slot % 2 === 1),
      [1, 3],
    );
  });

  it('finds no name that was removed, and finds the new one of a slot that was given again', () => {
    const index = indexOf('alpha beta', 'alpha gamma');
    index.remove(0);
    assert.deepEqual(index.search('alpha', 10), [1]);
    index.add(0, 'delta');
    assert.deepEqual(index.search('delta', 10), [0]);
    assert.deepEqual(index.search('beta', 10), []);
    assert.deepEqual([...index.vocabulary()].sort(), ['alpha', 'delta', 'gamma']);
  });

  it('ends a query that finds nothing among very many', () => {
    const index = new NameIndex();
    for (let slot = 0; slot < MAX_CANDIDATES + 5; slot++) index.add(slot, 'common');
    assert.deepEqual(
      index.search('common', 10, () => false),
      [],
    );
    assert.equal(index.truncated, 1);
  });

  it('finds what a plain search through all names finds, whatever was added and removed before', () => {
    const word = fc.constantFrom('a', 'ab', 'abc', 'abd', 'b', 'ba', 'été', 'ete', '東京', '東', 'x1', 'the');
    const name = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join(' '));
    const step = fc.record({ slot: fc.nat(7), name: fc.option(name, { nil: undefined, freq: 4 }) });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        fc.array(name, { minLength: 1, maxLength: 6 }),
        (steps, queries) => {
          const index = new NameIndex();
          const names = new Map<number, string>();
          steps.forEach((change, at) => {
            if (change.name === undefined) {
              index.remove(change.slot);
              names.delete(change.slot);
            } else {
              index.add(change.slot, change.name);
              names.set(change.slot, change.name);
            }
            // Also in between: that is when the vocabulary is put in order.
            if (at % 5 === 0) index.search(queries[0] ?? '', 3);
          });
          for (const query of queries) {
            const found = index.search(query, 100);
            assert.deepEqual(
              found.sort((a, b) => a - b),
              naive(names, query),
              query,
            );
          }
          const words = new Set([...names.values()].flatMap((each) => canonicalWords(each)));
          assert.deepEqual(new Set(index.vocabulary()), words);
        },
      ),
      { numRuns: 300 },
    );
  });
});
