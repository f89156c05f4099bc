import assert from 'node:assert/strict';
import { SlotSet } from '@filbert/gnutella';
import {
  FACTS_BURST,
  FACTS_INTERVAL_MS,
  MAX_DENSE_BITS,
  TABLE_LEAST_WORK,
  TABLE_WORK_BURST,
  TABLE_WORK_PER_SECOND,
} from '../../../services/connections/src/link/link-reporter.ts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench } from '../../support/frame-bench.ts';

function tableWith(slot: number, bits = 16): SlotSet {
  return SlotSet.fromSlots(bits, Uint32Array.of(slot));
}

/** Small changes told at once, and when the next one is. */
const TABLE_BURST = TABLE_WORK_BURST / TABLE_LEAST_WORK;
const TABLE_INTERVAL_MS = (TABLE_LEAST_WORK / TABLE_WORK_PER_SECOND) * 1_000;

describe('connections link reporter', () => {
  let bench: FrameBench;
  let link: PeerLink;

  beforeEach(async () => {
    bench = new FrameBench();
    ({ link } = await bench.add('leaf'));
  });
  afterEach(() => bench.stop());

  it('tells a burst of facts at once, then the latest of them once an interval', async () => {
    const { reporter } = bench.context;
    for (let i = 0; i < 1_000; i++) {
      link.hopsFlow = i % 5;
      reporter.facts(link);
    }
    assert.equal((await bench.takeRecords()).length, FACTS_BURST);
    reporter.tick();
    assert.equal((await bench.takeRecords()).length, 0);
    link.hopsFlow = 3;
    bench.clock.advance(FACTS_INTERVAL_MS);
    reporter.tick();
    assert.deepEqual(
      (await bench.takeRecords()).map(({ hopsFlow }) => hopsFlow),
      [3],
    );
    bench.clock.advance(FACTS_INTERVAL_MS);
    reporter.tick();
    assert.equal((await bench.takeRecords()).length, 0, 'nothing is told twice');
  });

  it('tells a burst of tables at once, then the latest of them, and none that shards have', async () => {
    const { reporter } = bench.context;
    reporter.table(link, tableWith(0));
    reporter.table(link, tableWith(0));
    assert.equal((await bench.takeRecords()).length, 1);
    for (let i = 1; i < 100; i++) reporter.table(link, tableWith(i));
    assert.equal((await bench.takeRecords()).length, TABLE_BURST - 1);
    assert.ok(link.table?.has(TABLE_BURST - 1), 'what shards hold');
    bench.clock.advance(TABLE_INTERVAL_MS);
    reporter.tick();
    assert.equal((await bench.takeRecords()).length, 1);
    assert.ok(link.table?.has(99));
    reporter.table(link, undefined);
    reporter.table(link, tableWith(99));
    bench.clock.advance(TABLE_INTERVAL_MS);
    reporter.tick();
    assert.deepEqual([(await bench.takeRecords()).length, reporter.waiting], [0, 0]);
  });

  it('counts a change as the slots that shards go through', async () => {
    const { reporter } = bench.context;
    const full = [SlotSet.fromBitmap(4, Uint8Array.of(0xff, 0x7f)), SlotSet.fromBitmap(4, Uint8Array.of(0xff, 0xfe))];
    for (let i = 0; i < 20; i++) reporter.table(link, full[i % 2]);
    assert.equal((await bench.takeRecords()).length, 2, 'a tiny table is repeated often in a large one');
    bench.clock.advance(16_000);
    const bitmaps = [0x55, 0xaa].map((byte) => new Uint8Array(2 ** 15).fill(byte));
    for (let i = 0; i < 20; i++) reporter.table(link, SlotSet.fromBitmap(18, bitmaps[i % 2] ?? new Uint8Array(0)));
    assert.equal((await bench.takeRecords()).length, 3);
  });

  it('tells that a table is gone, though one waits to be told', async () => {
    const { reporter } = bench.context;
    for (let i = 0; i < 100; i++) reporter.table(link, tableWith(i));
    reporter.table(link, undefined);
    bench.clock.advance(TABLE_INTERVAL_MS);
    reporter.tick();
    assert.equal((await bench.takeRecords()).at(-1)?.table?.bits, 0);
    assert.equal(link.table, undefined);
  });

  it('folds a table of many slots, of which none is lost', () => {
    const bitmap = new Uint8Array(2 ** 18).fill(0x80, 2 ** 10);
    bench.context.reporter.table(link, SlotSet.fromBitmap(21, bitmap));
    assert.equal(link.table?.bits, 21, 'not one that is sparse enough');
    bench.context.reporter.table(link, SlotSet.fromBitmap(21, bitmap.fill(0xc0, 2 ** 10)));
    assert.equal(link.table.bits, MAX_DENSE_BITS);
    assert.deepEqual([link.table.has(2 ** 10), link.table.has(2 ** 18 - 1), link.table.has(0)], [true, true, false]);
  });

  it('forgets a link that is gone', async () => {
    const { reporter } = bench.context;
    for (let i = 0; i < 100; i++) {
      reporter.facts(link);
      reporter.table(link, tableWith(i));
    }
    await bench.takeRecords();
    assert.equal(reporter.waiting, 2);
    reporter.forget(link);
    bench.clock.advance(TABLE_INTERVAL_MS);
    reporter.tick();
    assert.equal((await bench.takeRecords()).length, 0);
  });
});
