import assert from 'node:assert/strict';
import { tableMatches, type SlotSet } from '@filbert/gnutella';
import fc from 'fast-check';
import { BLOCK_COLUMNS, FilterMatrix } from '../../services/router/src/filter-matrix.ts';
import { anyQuery, anyTable, hashesOf, tableOf, type TestQuery } from './tables.ts';

// One matrix serves all runs: it is 8 MiB, and a matrix that was emptied must be as good as a new one.
const shared = new FilterMatrix();

function candidates(matrix: FilterMatrix, { words, urns }: TestQuery): number[] {
  const out = new Uint32Array(matrix.columns);
  const found = matrix.find(words, words.length, urns, urns.length, out);
  return [...out.subarray(0, found)];
}

function matching(tables: ReadonlyMap<number, SlotSet>, { words, urns }: TestQuery): number[] {
  return [...tables]
    .filter(([, table]) => tableMatches(table, words, words.length, urns, urns.length))
    .map(([column]) => column)
    .sort((a, b) => a - b);
}

function confirmed(matrix: FilterMatrix, tables: ReadonlyMap<number, SlotSet>, query: TestQuery): number[] {
  return candidates(matrix, query).filter((column) => {
    const table = tables.get(column);
    return table !== undefined && tableMatches(table, query.words, query.words.length, query.urns, query.urns.length);
  });
}

const query = (words: readonly string[], urns: readonly string[] = []): TestQuery => ({
  words: hashesOf(words),
  urns: hashesOf(urns),
});

describe('FilterMatrix', () => {
  it('router: the candidates of a query hold every exact match; confirmed, they are the exact matches', () => {
    fc.assert(
      fc.property(
        fc.array(anyTable, { maxLength: 20 }),
        fc.array(anyQuery, { minLength: 1, maxLength: 6 }),
        (list, queries) => {
          const tables = new Map<number, SlotSet>();
          for (const table of list) {
            const column = shared.allocate();
            shared.set(column, table);
            tables.set(column, table);
          }
          assert.deepEqual(
            [...tables.keys()],
            list.map((_, i) => i),
          );
          try {
            for (const each of queries) {
              const found = candidates(shared, each);
              assert.deepEqual(
                found,
                [...new Set(found)].sort((a, b) => a - b),
              );
              assert.deepEqual(confirmed(shared, tables, each), matching(tables, each));
            }
          } finally {
            for (const [column, table] of tables) {
              shared.clear(column, table);
              shared.release(column);
            }
          }
          for (const each of queries) assert.deepEqual(candidates(shared, each), []);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('router: every word of a query must be in a table, of its URNs any', () => {
    const tables = new Map<number, SlotSet>();
    for (const words of [['alpha'], ['alpha', 'beta'], ['beta', 'urn:sha1:x'], ['urn:sha1:y']]) {
      const column = shared.allocate();
      const table = tableOf(words);
      shared.set(column, table);
      tables.set(column, table);
    }
    assert.deepEqual(confirmed(shared, tables, query(['alpha'])), [0, 1]);
    assert.deepEqual(confirmed(shared, tables, query(['alpha', 'beta'])), [1]);
    assert.deepEqual(confirmed(shared, tables, query(['alpha', 'beta'], ['urn:sha1:x', 'urn:sha1:y'])), [1, 2, 3]);
    assert.deepEqual(confirmed(shared, tables, query([], ['urn:sha1:y'])), [3]);
    assert.deepEqual(confirmed(shared, tables, query([])), []);
    for (const [column, table] of tables) {
      shared.clear(column, table);
      shared.release(column);
    }
  });

  it('router: a column given back is the next one taken, and holds nothing of its last table', () => {
    const columns = [0, 1, 2, 3].map(() => shared.allocate());
    const table = tableOf(['alpha', 'beta', 'gamma'], 20);
    for (const column of columns) shared.set(column, table);
    shared.clear(1, table);
    assert.deepEqual(candidates(shared, query(['alpha'])), [0, 2, 3]);
    shared.release(1);
    assert.equal(shared.allocate(), 1);
    assert.deepEqual(candidates(shared, query(['alpha'])), [0, 2, 3]);
    shared.set(1, tableOf(['beta'], 10));
    assert.deepEqual(candidates(shared, query(['beta'])), [0, 1, 2, 3]);
    assert.deepEqual(candidates(shared, query(['alpha', 'gamma'])), [0, 2, 3]);
    shared.clear(1, tableOf(['beta'], 10));
    for (const column of [0, 2, 3]) shared.clear(column, table);
    for (const column of columns) shared.release(column);
    assert.deepEqual(candidates(shared, query(['beta'])), []);
  });

  it('router: tables of one slot of eight and of two million slots find the same word', () => {
    const tables = new Map<number, SlotSet>();
    for (const bits of [3, 10, 14, 15, 21]) {
      const column = shared.allocate();
      tables.set(column, tableOf(['alpha'], bits));
      shared.set(column, tableOf(['alpha'], bits));
    }
    assert.deepEqual(confirmed(shared, tables, query(['alpha'])), [0, 1, 2, 3, 4]);
    for (const [column, table] of tables) {
      shared.clear(column, table);
      shared.release(column);
    }
  });

  it('router: beyond 4,096 columns a second block is found as well, and columns of the first are reused', () => {
    const matrix = new FilterMatrix();
    const total = BLOCK_COLUMNS + 40;
    for (let i = 0; i < total; i++) {
      const column = matrix.allocate();
      assert.equal(column, i);
      matrix.set(column, tableOf([i % 2 === 0 ? 'even' : 'odd', `unique${i}`]));
    }
    assert.equal(matrix.columns, 2 * BLOCK_COLUMNS);
    assert.equal(candidates(matrix, query(['even'])).length, total / 2);
    for (const column of [0, 31, 32, BLOCK_COLUMNS - 1, BLOCK_COLUMNS, total - 1]) {
      assert.ok(candidates(matrix, query([`unique${column}`])).includes(column));
    }
    for (const column of [BLOCK_COLUMNS + 1, 100]) {
      matrix.clear(column, tableOf(['odd', 'even', `unique${column}`]));
      matrix.release(column);
    }
    assert.equal(matrix.allocate(), 100);
    assert.equal(matrix.allocate(), BLOCK_COLUMNS + 1);
  });

  it('router: a block whose last columns were given back finds those that are left and those that come again', () => {
    const columns = Array.from({ length: 100 }, () => shared.allocate());
    const table = tableOf(['alpha']);
    for (const column of columns) shared.set(column, table);
    for (const column of columns.slice(1)) {
      shared.clear(column, table);
      shared.release(column);
    }
    assert.deepEqual(candidates(shared, query(['alpha'])), [0]);
    const again = columns.slice(1).map(() => shared.allocate());
    for (const column of again) shared.set(column, table);
    assert.deepEqual(candidates(shared, query(['alpha'])), columns);
    shared.clear(2, table);
    shared.release(2);
    assert.equal(shared.allocate(), 2);
    assert.deepEqual(
      candidates(shared, query(['alpha'])),
      columns.filter((column) => column !== 2),
    );
    for (const column of columns) {
      shared.clear(column, table);
      shared.release(column);
    }
  });
});
