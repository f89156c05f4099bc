import assert from 'node:assert/strict';
import fc from 'fast-check';
import { applyDifference, SlotSet } from '@filbert/gnutella';
import { unpackUint32, type TableChange } from '@filbert/contracts';
import { MAX_SLOTS_PER_RECORD, NO_TABLE, tableChanges } from '@filbert/contracts';

/** What a shard makes of the changes of one link, one after the other. */
function applyChanges(before: SlotSet | undefined, changes: readonly TableChange[]): SlotSet | undefined {
  let table = before;
  for (const { bits, reset, setSlots, clearedSlots, bitmap } of changes) {
    if (bits === 0) table = undefined;
    else if (bitmap.length > 0) table = SlotSet.fromBitmap(bits, bitmap);
    else {
      const base = reset || table?.bits !== bits ? undefined : table;
      table = applyDifference(base, bits, unpackUint32(setSlots), unpackUint32(clearedSlots));
    }
  }
  return table;
}

function slots(change: TableChange): number {
  return (change.setSlots.length + change.clearedSlots.length) / 4;
}

function every(bits: number, step: number, from = 0): SlotSet {
  return SlotSet.fromSlots(
    bits,
    Uint32Array.from({ length: Math.floor((2 ** bits - from) / step) }, (_, i) => from + i * step),
  );
}

describe('connections table difference', () => {
  it('leads shards from any table to any other, of any sizes', () => {
    const table = fc
      .record({ bits: fc.integer({ min: 3, max: 12 }), slots: fc.array(fc.nat(4095), { maxLength: 60 }) })
      .map(({ bits, slots }) =>
        SlotSet.fromSlots(
          bits,
          Uint32Array.from(slots, (slot) => slot % 2 ** bits),
        ),
      );
    fc.assert(
      fc.property(fc.option(table, { nil: undefined }), table, (from, to) => {
        const result = applyChanges(from, tableChanges(from, to));
        assert.ok(result?.equals(to));
      }),
      { numRuns: 200 },
    );
  });

  it('carries only what differs', () => {
    const from = SlotSet.fromSlots(16, Uint32Array.of(1, 2, 3, 500));
    const to = SlotSet.fromSlots(16, Uint32Array.of(2, 3, 4, 500));
    const [change, ...others] = tableChanges(from, to);
    assert.ok(change);
    assert.equal(others.length, 0);
    assert.deepEqual([...unpackUint32(change.setSlots)], [4]);
    assert.deepEqual([...unpackUint32(change.clearedSlots)], [1]);
    assert.equal(change.reset, false);
  });

  it('tells an empty table, which is not the same as none', () => {
    const [change, ...others] = tableChanges(undefined, SlotSet.empty(16));
    assert.ok(change);
    assert.deepEqual([others.length, change.bits, change.reset, slots(change)], [0, 16, true, 0]);
    assert.equal(applyChanges(SlotSet.empty(16), [NO_TABLE]), undefined);
  });

  it('cuts a large table into records of bounded size, of which only the first starts anew', () => {
    const to = every(21, 7);
    const changes = tableChanges(undefined, to);
    assert.equal(changes.length, Math.ceil(to.count / MAX_SLOTS_PER_RECORD));
    assert.ok(changes.every((change) => slots(change) <= MAX_SLOTS_PER_RECORD));
    assert.deepEqual(
      changes.map(({ reset }) => reset),
      changes.map((_, i) => i === 0),
    );
    assert.ok(applyChanges(every(21, 3), changes)?.equals(to), 'whatever shards held before');
  });

  it('tells a table of up to 2^20 slots that differs much as one bitmap', () => {
    for (const from of [undefined, every(20, 3)]) {
      const to = every(20, 2);
      const changes = tableChanges(from, to);
      assert.equal(changes.length, 1);
      assert.deepEqual([changes[0]?.reset, changes[0]?.bitmap.length], [true, 2 ** 17]);
      assert.ok(applyChanges(from, changes)?.equals(to));
    }
  });

  it('cuts a large difference of set and cleared slots alike', () => {
    const from = every(21, 30);
    const to = every(21, 30, 3);
    const changes = tableChanges(from, to);
    assert.ok(changes.length > 1);
    assert.ok(changes.every((change) => slots(change) <= MAX_SLOTS_PER_RECORD && !change.reset));
    assert.ok(applyChanges(from, changes)?.equals(to));
  });
});
