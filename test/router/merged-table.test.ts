import assert from 'node:assert/strict';
import { applyDifference, merge, resize, SlotSet } from '@filbert/gnutella';
import fc from 'fast-check';
import { MAX_MERGED_BITS, MergedTable, MIN_MERGED_BITS } from '../../services/router/src/merged-table.ts';
import { anyTable, tableOf } from './tables.ts';

/** What an edge that follows the changes holds. */
class Follower {
  table = SlotSet.empty(MIN_MERGED_BITS);
  fulls = 0;

  take(merged: MergedTable): boolean {
    const change = merged.takeChange();
    if (change === undefined) return false;
    if (change.full) this.fulls++;
    for (const slots of [change.set, change.cleared]) {
      assert.deepEqual(
        [...slots],
        [...new Set(slots)].sort((a, b) => a - b),
      );
    }
    this.table = applyDifference(change.full ? undefined : this.table, change.bits, change.set, change.cleared);
    return true;
  }
}

/** A table with the first `count` slots set. */
function filled(bits: number, count: number): SlotSet {
  return SlotSet.fromSlots(
    bits,
    Uint32Array.from({ length: count }, (_, i) => i),
  );
}

describe('MergedTable', () => {
  it('router: the merged table is the union of its tables, whatever comes and goes', () => {
    const step = fc.record({ table: anyTable, drop: fc.nat(), dropFirst: fc.boolean(), publish: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const merged = new MergedTable();
        const follower = new Follower();
        const held: SlotSet[] = [];
        for (const { table, drop, dropFirst, publish } of steps) {
          if (dropFirst && held.length > 0) {
            const [gone] = held.splice(drop % held.length, 1);
            merged.remove(gone as SlotSet);
          }
          merged.add(table);
          held.push(table);
          if (publish) follower.take(merged);
        }
        follower.take(merged);
        const expected = merge(held, MIN_MERGED_BITS);
        assert.equal(merged.count, expected.count);
        assert.ok(follower.table.equals(expected));
        assert.ok(merged.published().equals(expected));
        for (const table of held) merged.remove(table);
        assert.equal(merged.count, 0);
        if (follower.take(merged)) assert.equal(follower.table.count, 0);
      }),
      { numRuns: 40 },
    );
  });

  it('router: the first change is the whole table even where it is empty, then only differences are told', () => {
    const merged = new MergedTable();
    assert.deepEqual(merged.takeChange(), {
      bits: MIN_MERGED_BITS,
      full: true,
      set: new Uint32Array(0),
      cleared: new Uint32Array(0),
    });
    assert.equal(merged.takeChange(), undefined);
    const one = tableOf(['alpha', 'beta']);
    const two = tableOf(['beta', 'gamma']);
    merged.add(one);
    merged.add(two);
    assert.deepEqual([...(merged.takeChange()?.set ?? [])], [...merge([one, two], 16).slots()]);
    merged.remove(one);
    assert.deepEqual(merged.takeChange(), {
      bits: MIN_MERGED_BITS,
      full: false,
      set: new Uint32Array(0),
      cleared: tableOf(['alpha']).slots(),
    });
  });

  it('router: what comes and goes between two publications, or was there anyway, is not told', () => {
    const merged = new MergedTable();
    const table = tableOf(['alpha', 'beta']);
    merged.add(table);
    merged.takeChange();
    merged.remove(table);
    merged.add(table);
    merged.add(tableOf(['beta']));
    const passing = tableOf(['gamma']);
    merged.add(passing);
    merged.remove(passing);
    assert.equal(merged.takeChange(), undefined);
    assert.ok(merged.published().equals(table));
  });

  it('router: what is published stands still until the next change is taken', () => {
    const merged = new MergedTable();
    merged.takeChange();
    merged.add(tableOf(['alpha']));
    assert.equal(merged.published().count, 0);
    assert.equal(merged.count, 1);
  });

  it('router: a merged table that large tables fill doubles, and its next change is the whole table', () => {
    const merged = new MergedTable();
    const follower = new Follower();
    follower.take(merged);
    const tables = [filled(20, 2 ** 20 / 2), tableOf(['alpha'], 10)];
    for (const table of tables) merged.add(table);
    assert.ok(merged.wantsToGrow);
    merged.grow(tables);
    assert.equal(merged.bits, MIN_MERGED_BITS + 1);
    follower.take(merged);
    assert.equal(follower.fulls, 2);
    assert.ok(follower.table.equals(merge(tables, MIN_MERGED_BITS + 1)));
    merged.remove(tables[1] as SlotSet);
    follower.take(merged);
    assert.equal(follower.fulls, 2);
    assert.ok(follower.table.equals(resize(tables[0] as SlotSet, MIN_MERGED_BITS + 1)));
  });

  it('router: a merged table grows to 2^20 slots and not beyond', () => {
    const merged = new MergedTable();
    const table = filled(21, 2 ** 21);
    merged.add(table);
    let grown = 0;
    while (merged.wantsToGrow) {
      merged.grow([table]);
      grown++;
    }
    assert.equal(grown, MAX_MERGED_BITS - MIN_MERGED_BITS);
    assert.equal(merged.bits, MAX_MERGED_BITS);
    assert.equal(merged.count, 2 ** MAX_MERGED_BITS);
    merged.remove(table);
    assert.equal(merged.count, 0);
  });

  it('router: a merged table does not grow for tables that gain nothing by it', () => {
    const merged = new MergedTable();
    const small = filled(16, 2 ** 15);
    merged.add(small);
    assert.equal(merged.wantsToGrow, false);
    merged.remove(small);
    merged.add(filled(18, 1_000));
    assert.equal(merged.wantsToGrow, false, 'nearly empty');
  });
});
