import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GuidTable } from '../../services/router/src/guid-table.ts';

const GENERATION_MS = 1_000;

function guidOf(n: number): Buffer {
  const guid = Buffer.alloc(16, 0x5a);
  guid.writeUInt32LE(n, 4);
  return guid;
}

/** A table with a clock to turn. */
function tableOf(maxEntries: number, width = 2): { table: GuidTable; time: { now: number } } {
  const time = { now: 0 };
  const table = new GuidTable({ maxEntries, width, generationMs: GENERATION_MS, now: () => time.now });
  return { table, time };
}

/** The same with two maps: what a table of two generations is meant to do. */
class Model {
  young = new Map<number, number>();
  old = new Map<number, number>();
  since = 0;
  expired = 0;
  readonly maxEntries: number;

  constructor(maxEntries: number) {
    this.maxEntries = maxEntries;
  }

  find(n: number): number | undefined {
    return this.young.get(n) ?? this.old.get(n);
  }

  put(n: number, value: number, now: number): void {
    if (this.young.size >= this.maxEntries || now - this.since >= GENERATION_MS) {
      for (const key of this.old.keys()) if (!this.young.has(key)) this.expired++;
      this.old = this.young;
      this.young = new Map();
      this.since = now;
    }
    this.young.set(n, value);
  }

  get size(): number {
    return new Set([...this.young.keys(), ...this.old.keys()]).size;
  }
}

describe('GuidTable', () => {
  it('router: a GUID is found with its values, and another one is not', () => {
    const { table } = tableOf(10);
    const bytes = Buffer.concat([Buffer.alloc(7, 0xff), guidOf(1)]);
    assert.equal(table.find(bytes, 7), -1);
    const handle = table.insert(bytes, 7);
    assert.deepEqual([table.get(handle, 0), table.get(handle, 1)], [0, 0]);
    table.set(handle, 1, 0xffffffff);
    assert.equal(table.get(table.find(guidOf(1), 0), 1), 0xffffffff);
    for (let at = 0; at < 16; at++) {
      const near = guidOf(1);
      near[at] = (near[at] as number) ^ 1;
      assert.equal(table.find(near, 0), -1, `differs in byte ${at}`);
    }
  });

  it('router: an entry lives through one change of generations by time and dies at the second', () => {
    const { table, time } = tableOf(10);
    table.set(table.insert(guidOf(1), 0), 0, 11);
    time.now = GENERATION_MS;
    table.insert(guidOf(2), 0);
    assert.equal(table.get(table.find(guidOf(1), 0), 0), 11);
    time.now = 2 * GENERATION_MS;
    assert.ok(table.find(guidOf(1), 0) >= 0, 'time alone removes nothing');
    table.insert(guidOf(3), 0);
    assert.equal(table.find(guidOf(1), 0), -1);
    assert.ok(table.find(guidOf(2), 0) >= 0);
    assert.deepEqual([table.size, table.expired, table.fullRotations], [2, 1, 0]);
  });

  it('router: an entry that proved useful lives on with its values', () => {
    const { table, time } = tableOf(10);
    table.set(table.insert(guidOf(1), 0), 1, 11);
    for (let round = 1; round < 6; round++) {
      time.now = round * GENERATION_MS;
      table.insert(guidOf(100 + round), 0);
      const moved = table.promote(table.find(guidOf(1), 0));
      assert.equal(table.get(moved, 1), 11);
      assert.equal(table.promote(moved), moved);
    }
    assert.equal(table.get(table.find(guidOf(1), 0), 1), 11);
    assert.equal(table.size, 3);
    assert.equal(table.expired, 3);
  });

  it('router: a promotion that itself replaces the generation of the entry keeps it', () => {
    const { table, time } = tableOf(10);
    table.set(table.insert(guidOf(1), 0), 0, 5);
    table.insert(guidOf(2), 0);
    time.now = GENERATION_MS;
    table.insert(guidOf(3), 0);
    time.now = 2 * GENERATION_MS;
    const moved = table.promote(table.find(guidOf(1), 0));
    assert.equal(table.get(moved, 0), 5);
    assert.equal(table.find(guidOf(2), 0), -1);
    assert.ok(table.find(guidOf(3), 0) >= 0);
    assert.deepEqual([table.size, table.expired], [2, 1]);
  });

  it('router: a full generation is replaced early, the oldest goes first', () => {
    const { table } = tableOf(1);
    for (const n of [1, 2, 3]) table.insert(guidOf(n), 0);
    assert.deepEqual(
      [1, 2, 3].map((n) => table.find(guidOf(n), 0) >= 0),
      [false, true, true],
    );
    assert.equal(table.fullRotations, 2);
  });

  it('router: a table never holds more than two generations, whatever comes', () => {
    const { table } = tableOf(1_000);
    for (let n = 0; n < 20_000; n++) table.insert(guidOf(n), 0);
    assert.ok(table.size <= 2_000 && table.size > 1_000, String(table.size));
    assert.equal(table.size + table.expired, 20_000);
    for (let n = 19_000; n < 20_000; n++) assert.ok(table.find(guidOf(n), 0) >= 0);
    assert.equal(table.find(guidOf(17_000), 0), -1);
  });

  it('router: does what two maps would, over thousands of operations', () => {
    const operation = fc.record({
      what: fc.constantFrom('insert', 'insert', 'promote', 'set', 'time' as const),
      n: fc.nat(400),
      value: fc.nat(),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.array(operation, { maxLength: 1_500, size: 'max' }),
        (max, steps) => {
          const { table, time } = tableOf(max, 1);
          const model = new Model(max);
          for (const { what, n, value } of steps) {
            const handle = table.find(guidOf(n), 0);
            const known = model.find(n);
            assert.equal(handle < 0 ? undefined : table.get(handle, 0), known);
            if (what === 'time') {
              time.now += value % (GENERATION_MS / 4);
            } else if (known === undefined) {
              if (what !== 'insert') continue;
              table.set(table.insert(guidOf(n), 0), 0, value);
              model.put(n, value, time.now);
            } else if (what === 'promote') {
              const moved = table.promote(handle);
              if (!model.young.has(n)) {
                // It moves, so it does not die with the generation that it leaves.
                model.old.delete(n);
                model.put(n, known, time.now);
              }
              assert.equal(table.get(moved, 0), known);
            } else if (what === 'set') {
              table.set(handle, 0, value);
              (model.young.has(n) ? model.young : model.old).set(n, value);
            }
          }
          for (let n = 0; n <= 400; n++) {
            const handle = table.find(guidOf(n), 0);
            assert.equal(handle < 0 ? undefined : table.get(handle, 0), model.find(n));
          }
          assert.equal(table.size, model.size);
          assert.equal(table.expired, model.expired);
        },
      ),
      { numRuns: 60 },
    );
  });
});
