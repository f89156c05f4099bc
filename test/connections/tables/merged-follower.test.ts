import assert from 'node:assert/strict';
import { SlotSet } from '@filbert/gnutella';
import { mergedTable, mergedTableRequest, packed, type MergedTable } from '@filbert/contracts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { MergedFollower, UPDATE_INTERVAL_MS } from '../../../services/connections/src/tables/merged-follower.ts';
import { EDGE_ID, FrameBench, turns } from '../../support/frame-bench.ts';
import { RawTable } from '../../support/raw-table.ts';
import { waitFor } from '../../support/wait-for.ts';

function change(
  number: number,
  set: number[],
  options: Partial<MergedTable> & { cleared?: number[] } = {},
): MergedTable {
  const { cleared = [], ...rest } = options;
  return {
    epoch: 1,
    number,
    bits: 10,
    full: false,
    setSlots: packed(Uint32Array.from(set)),
    clearedSlots: packed(Uint32Array.from(cleared)),
    bitmap: new Uint8Array(0),
    ...rest,
  };
}

describe('connections merged follower', () => {
  let bench: FrameBench;
  let follower: MergedFollower;
  /** What is answered to a request for the whole table; undefined stays silent. */
  let whole: MergedTable | undefined;
  let asked: number;

  beforeEach(() => {
    bench = new FrameBench();
    whole = undefined;
    asked = 0;
    bench.bus.respond(mergedTableRequest, ({ edgeId }) => {
      assert.equal(edgeId, EDGE_ID);
      asked++;
      return whole;
    });
    follower = new MergedFollower({ bus: bench.bus, edgeId: EDGE_ID, now: () => bench.clock.monotonic() });
  });
  afterEach(async () => {
    follower.stop();
    await bench.stop();
  });

  async function publish(...changes: MergedTable[]): Promise<void> {
    for (const one of changes) bench.bus.publish(mergedTable, one);
    await turns();
  }

  async function startWith(table: MergedTable): Promise<void> {
    whole = table;
    follower.start();
    await turns();
    assert.equal(asked, 1);
  }

  function slots(): number[] {
    return [...(follower.table?.slots() ?? [])];
  }

  /** Applies what waits for the peer to its copy. */
  function updateCopy(link: PeerLink, copy: RawTable): number {
    const frames = bench.sent(link);
    for (const frame of frames) {
      assert.deepEqual([frame.descriptor, frame.ttl, frame.hops], [0x30, 1, 0]);
      copy.apply(frame.payload);
    }
    assert.deepEqual(copy.errors, []);
    return frames.length;
  }

  it('takes a whole table as a bitmap', async () => {
    const table = SlotSet.fromSlots(10, Uint32Array.from([3, 700, 1023]));
    await startWith(change(4, [], { full: true, bitmap: table.toBitmap() }));
    assert.deepEqual(slots(), [3, 700, 1023]);
    await publish(change(5, [8], { cleared: [700] }));
    assert.deepEqual(slots(), [3, 8, 1023]);
  });

  it('asks for the whole table when it starts and then follows changes in order', async () => {
    await startWith(change(5, [1, 2, 3], { full: true }));
    assert.deepEqual(slots(), [1, 2, 3]);
    await publish(change(6, [9], { cleared: [1] }), change(7, [10], { cleared: [9] }));
    assert.deepEqual(slots(), [2, 3, 10]);
    assert.equal(asked, 1);
  });

  it('asks again with each tick while nobody answers', async () => {
    follower.start();
    await turns();
    assert.equal(follower.table, undefined);
    follower.tick();
    assert.equal(asked, 1, 'one request at a time');
    whole = change(1, [4], { full: true });
    await waitFor('the table', () => {
      follower.tick();
      return follower.table;
    });
    assert.deepEqual(slots(), [4]);
  });

  it('asks for the whole table where a number is missing, and does not apply what came behind the gap', async () => {
    await startWith(change(5, [1], { full: true }));
    whole = change(8, [1, 2, 3], { full: true });
    bench.bus.publish(mergedTable, change(7, [77]));
    await waitFor('the answer', () => asked === 2 && slots().length === 3);
    assert.deepEqual(slots(), [1, 2, 3]);
    await publish(change(9, [4]));
    assert.deepEqual(slots(), [1, 2, 3, 4]);
    assert.equal(asked, 2);
  });

  it('asks again after a restart of the shard, and takes a whole table that is published at once', async () => {
    await startWith(change(5, [1], { full: true }));
    whole = change(1, [8], { full: true, epoch: 2 });
    await publish(change(6, [2], { epoch: 2 }));
    assert.deepEqual(slots(), [8]);
    await publish(change(40, [5], { full: true, epoch: 3, bits: 11 }));
    assert.deepEqual([follower.table?.bits, slots()], [11, [5]]);
    assert.equal(asked, 2);
  });

  it('does not believe a table that is too large', async () => {
    await startWith(change(5, [1], { full: true }));
    await publish(change(6, [], { full: true, bits: 24 }));
    assert.equal(follower.table?.bits, 10);
  });

  it('gives an ultrapeer RESET and the whole table at once, then differences', async () => {
    await startWith(change(5, [1, 2, 3], { full: true }));
    const { link } = await bench.add('ultrapeer');
    const copy = new RawTable();
    follower.add(link);
    assert.equal(updateCopy(link, copy), 2);
    assert.deepEqual([copy.bits, copy.resets, [...copy.slots]], [10, 1, [1, 2, 3]]);

    await publish(change(6, [700], { cleared: [2] }));
    bench.clock.advance(UPDATE_INTERVAL_MS);
    follower.tick();
    assert.equal(updateCopy(link, copy), 1);
    assert.deepEqual([copy.resets, [...copy.slots].sort((a, b) => a - b)], [1, [1, 3, 700]]);
  });

  it('gives a new ultrapeer its table when there is one at last', async () => {
    follower.start();
    const { link } = await bench.add('ultrapeer');
    follower.add(link);
    assert.deepEqual(bench.sent(link), []);
    await publish(change(1, [3], { full: true }));
    follower.tick();
    const copy = new RawTable();
    updateCopy(link, copy);
    assert.deepEqual([...copy.slots], [3]);
  });

  it('keeps the interval between two tables, and then sends all that changed meanwhile as one difference', async () => {
    await startWith(change(5, [1], { full: true }));
    const { link } = await bench.add('ultrapeer');
    const copy = new RawTable();
    follower.add(link);
    updateCopy(link, copy);
    await publish(change(6, [2]), change(7, [3]), change(8, [4], { cleared: [2] }));
    bench.clock.advance(UPDATE_INTERVAL_MS - 1);
    follower.tick();
    assert.equal(updateCopy(link, copy), 0);
    bench.clock.advance(1);
    follower.tick();
    assert.equal(updateCopy(link, copy), 1);
    assert.deepEqual([...copy.slots], [1, 3, 4]);
    bench.clock.advance(UPDATE_INTERVAL_MS);
    follower.tick();
    assert.equal(updateCopy(link, copy), 0, 'nothing changed');
  });

  it('starts anew with RESET where the size changed', async () => {
    await startWith(change(5, [1], { full: true }));
    const { link } = await bench.add('ultrapeer');
    const copy = new RawTable();
    follower.add(link);
    updateCopy(link, copy);
    await publish(change(6, [2, 3], { full: true, bits: 11 }));
    bench.clock.advance(UPDATE_INTERVAL_MS);
    follower.tick();
    updateCopy(link, copy);
    assert.deepEqual([copy.bits, copy.resets, [...copy.slots]], [11, 2, [2, 3]]);
  });

  it('waits for an ultrapeer whose socket is blocked, and forgets one that is gone', async () => {
    await startWith(change(5, [1], { full: true }));
    const { link } = await bench.add('ultrapeer');
    const { link: gone } = await bench.add('ultrapeer');
    link.blockedSince = bench.now();
    follower.add(link);
    follower.add(gone);
    bench.sent(gone);
    follower.remove(gone);
    assert.deepEqual(bench.sent(link), []);
    await publish(change(6, [2]));
    bench.clock.advance(UPDATE_INTERVAL_MS);
    link.blockedSince = undefined;
    follower.tick();
    const copy = new RawTable();
    updateCopy(link, copy);
    assert.deepEqual([...copy.slots], [1, 2]);
    assert.deepEqual(bench.sent(gone), []);
  });

  it('serves ultrapeers at different states of the table in one round', async () => {
    await startWith(change(5, [1], { full: true }));
    const { link: old } = await bench.add('ultrapeer');
    const { link: blocked } = await bench.add('ultrapeer');
    const copies = [new RawTable(), new RawTable(), new RawTable()];
    follower.add(old);
    blocked.blockedSince = bench.now();
    follower.add(blocked);
    await publish(change(6, [2]));
    const { link: newer } = await bench.add('ultrapeer');
    follower.add(newer);
    await publish(change(7, [3], { cleared: [1] }));
    blocked.blockedSince = undefined;
    bench.clock.advance(UPDATE_INTERVAL_MS);
    follower.tick();
    [old, blocked, newer].forEach((link, i) => updateCopy(link, copies[i] ?? new RawTable()));
    for (const copy of copies) assert.deepEqual([...copy.slots], [2, 3]);
    assert.ok(follower.table?.equals(SlotSet.fromSlots(10, Uint32Array.of(2, 3))));
  });
});
