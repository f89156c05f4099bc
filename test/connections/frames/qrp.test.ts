import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import { applyDifference, PATCH_INFLATER_BYTES, type SlotSet } from '@filbert/gnutella';
import { unpackUint32 } from '@filbert/contracts';
import {
  expireResets,
  HALF_PATCH_MS,
  QRP_PATCH_LEAST_SLOTS,
  QRP_RESET_SLOTS,
  QRP_SLOTS_BURST,
  QRP_SLOTS_PER_SECOND,
  RESET_GRACE_MS,
} from '../../../services/connections/src/frames/qrp.ts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench } from '../../support/frame-bench.ts';
import { patchPayloads, resetPayload, type RawPatchForm } from '../../support/raw-table.ts';
import { RAW_DESCRIPTOR } from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';

describe('connections QRP', () => {
  let bench: FrameBench;
  let link: PeerLink;
  /** The link's table as shards hold it: undefined is none. */
  let held: SlotSet | undefined;

  beforeEach(async () => {
    bench = new FrameBench();
    ({ link } = await bench.add('leaf'));
    held = undefined;
  });
  afterEach(() => bench.stop());

  function qrp(payload: Buffer, to = link): void {
    bench.receive(to, { descriptor: RAW_DESCRIPTOR.qrp, payload });
  }

  function patch(set: number[], clear: number[] = [], form: RawPatchForm = {}, bits = 10): void {
    for (const payload of patchPayloads(bits, set, clear, form)) qrp(payload);
  }

  /** Applies what shards were told; the number of records that were about a table. */
  async function follow(): Promise<number> {
    let changes = 0;
    for (const { table } of await bench.takeRecords()) {
      if (table === undefined) continue;
      changes++;
      const base = table.reset || held?.bits !== table.bits ? undefined : held;
      held =
        table.bits === 0
          ? undefined
          : applyDifference(base, table.bits, unpackUint32(table.setSlots), unpackUint32(table.clearedSlots));
    }
    return changes;
  }

  function slots(): number[] {
    return [...(held?.slots() ?? [])];
  }

  function wait(ms: number): void {
    bench.clock.advance(ms);
    expireResets(bench.context);
  }

  it('a table reaches the shards when it is complete, and then its changes', async () => {
    qrp(resetPayload(1024, 2));
    assert.equal(await follow(), 0);
    patch([1, 2, 1000], [], { slices: 3 });
    assert.equal(await follow(), 1);
    assert.deepEqual([held?.bits, slots()], [10, [1, 2, 1000]]);
    patch([7], [2], { entryBits: 8, delta: 6, compress: false });
    patch([8, 1], [], { entryBits: 1 });
    await follow();
    assert.deepEqual(slots(), [7, 8, 1000], 'a 1-bit patch flips');
  });

  it('an empty table is a table', async () => {
    qrp(resetPayload(1024, 2));
    patch([]);
    assert.equal(await follow(), 1);
    assert.deepEqual([held?.bits, held?.count], [10, 0]);
  });

  it('after a RESET the old table answers until the new one is complete', async () => {
    qrp(resetPayload(1024, 2));
    patch([1, 2, 3]);
    await follow();
    qrp(resetPayload(2048, 2));
    const [first, second] = patchPayloads(11, [2, 2000], [], { slices: 2 });
    assert.ok(first && second);
    qrp(first);
    wait(RESET_GRACE_MS - 1);
    assert.equal(await follow(), 0);
    qrp(second);
    assert.equal(await follow(), 1);
    assert.deepEqual([held?.bits, slots()], [11, [2, 2000]]);
    wait(RESET_GRACE_MS);
    assert.equal(await follow(), 0, 'the grace ended with the new table');
  });

  it('after a bare RESET there is no table 60 s later, and only then', async () => {
    qrp(resetPayload(1024, 2));
    patch([1, 2, 3]);
    await follow();
    qrp(resetPayload(1024, 2));
    wait(RESET_GRACE_MS - 1);
    assert.equal(await follow(), 0);
    wait(1);
    assert.equal(await follow(), 1);
    assert.equal(held, undefined);
    wait(RESET_GRACE_MS);
    assert.equal(await follow(), 0, 'told once');
  });

  it('a RESET every now and then does not prolong the grace', async () => {
    qrp(resetPayload(1024, 2));
    patch([1, 2, 3]);
    await follow();
    for (let i = 0; i < 6; i++) {
      qrp(resetPayload(1024, 2));
      wait(RESET_GRACE_MS / 6);
    }
    assert.equal(await follow(), 1);
    assert.equal(held, undefined);
  });

  it('a slow patch that is still coming when the grace ends is taken when it is complete', async () => {
    qrp(resetPayload(1024, 2));
    patch([1, 2, 3]);
    await follow();
    qrp(resetPayload(1024, 2));
    for (const payload of patchPayloads(10, [4, 5], [], { slices: 4, compress: false })) {
      qrp(payload);
      wait(20_000);
    }
    await follow();
    assert.deepEqual(slots(), [4, 5]);
    assert.equal(bench.byes.size, 0);
    patch([6]);
    await follow();
    assert.deepEqual(slots(), [4, 5, 6]);
  });

  it('a patch that stops half-way is forgotten after 120 s, and the memory with it', async () => {
    qrp(resetPayload(1024, 2));
    patch([1, 2, 3]);
    await follow();
    const [first] = patchPayloads(10, [4], [], { slices: 2 });
    assert.ok(first);
    qrp(first);
    wait(HALF_PATCH_MS - 1);
    assert.ok(link.tables.receiving);
    wait(1);
    assert.ok(!link.tables.receiving);
    assert.deepEqual([bench.halfPatches.bytes, bench.halfPatches.dropped], [0, { stalled: 1, memory: 0 }]);
    patch([9]);
    await follow();
    assert.deepEqual(slots(), [1, 2, 3, 9], 'the table before it is the base of the next');
  });

  describe('patches under way on many links', () => {
    const [first, second, third] = patchPayloads(10, [1, 2], [], { slices: 3 });
    const each = 2 ** 10 / 8 + PATCH_INFLATER_BYTES;

    async function links(count: number): Promise<PeerLink[]> {
      const made = [];
      for (let i = 0; i < count; i++) made.push((await bench.add('leaf')).link);
      for (const one of made) qrp(resetPayload(1024, 2), one);
      return made;
    }

    it('are counted as long as they last: to the last slice, a RESET, a fault or the end of the link', async () => {
      assert.ok(first && second && third);
      const [whole, reset, faulty, gone] = await links(4);
      assert.ok(whole && reset && faulty && gone);
      for (const one of [whole, reset, faulty, gone]) qrp(first, one);
      for (const one of [whole, reset, faulty, gone]) qrp(second, one);
      assert.equal(bench.halfPatches.bytes, 4 * each);
      qrp(third, whole);
      assert.equal(bench.halfPatches.bytes, 3 * each);
      qrp(resetPayload(1024, 2), reset);
      assert.equal(bench.halfPatches.bytes, 2 * each);
      qrp(first, faulty);
      assert.equal(bench.byes.get(faulty.number), 413);
      assert.equal(bench.halfPatches.bytes, each);
      gone.destroy('test');
      await waitFor('the link to close', () => bench.closed.has(gone.number));
      assert.equal(bench.halfPatches.bytes, 0);
      assert.deepEqual(bench.halfPatches.dropped, { stalled: 0, memory: 0 });
    });

    it('that take too much together make the one without a slice for longest end, and no other', async () => {
      await bench.stop();
      bench = new FrameBench({ maxHalfPatchBytes: 3 * each });
      assert.ok(first && second && third);
      const [a, b, c, d] = await links(4);
      assert.ok(a && b && c && d);
      for (const one of [a, b, c]) qrp(first, one);
      qrp(second, a);
      qrp(first, d);
      assert.deepEqual(
        [a, b, c, d].map((one) => one.tables.receiving),
        [true, false, true, true],
      );
      assert.deepEqual([bench.halfPatches.bytes, bench.halfPatches.dropped.memory], [3 * each, 1]);
      qrp(second, b);
      assert.equal(bench.byes.get(b.number), 413, 'its sequence is not known any more');
      for (const [one, rest] of [
        [a, [third]],
        [c, [second, third]],
        [d, [second, third]],
      ] as const) {
        for (const slice of rest) qrp(slice, one);
        assert.equal(one.table?.count, 2);
      }
      assert.equal(bench.halfPatches.bytes, 0);
    });
  });

  describe('faults end the link with BYE 413', () => {
    const reset = resetPayload(1024, 2);
    const [whole] = patchPayloads(10, [1], []);
    const slices = patchPayloads(10, [1], [], { slices: 3, compress: false });
    const patched = (change: (payload: Buffer) => void, payload: Buffer | undefined = whole): Buffer => {
      const changed = Buffer.from(payload ?? []);
      change(changed);
      return changed;
    };
    const cases: Readonly<Record<string, Buffer[]>> = {
      'a table length that is no power of two': [resetPayload(1000, 2)],
      'a table length of zero': [resetPayload(0, 2)],
      'a table length of 2^30': [resetPayload(2 ** 30, 2)],
      'an infinity of zero': [resetPayload(1024, 0)],
      'a patch without a table': [patched(() => undefined)],
      'a sequence that starts at two': [reset, ...slices.slice(1)],
      'a sequence with a gap': [reset, ...slices.filter((_, i) => i !== 1)],
      'a sequence size of zero': [reset, patched((payload) => (payload[2] = 0))],
      'an entry size of three bits': [reset, patched((payload) => (payload[4] = 3))],
      'a compressor that nobody knows': [reset, patched((payload) => (payload[3] = 2))],
      'an entry size that changes in the sequence': [
        reset,
        ...slices.map((payload, i) => (i === 1 ? patched((copy) => (copy[4] = 8), payload) : payload)),
      ],
      'garbled zlib data': [reset, patched((payload) => payload.fill(0x55, 5))],
      'more entries than slots': [
        reset,
        Buffer.concat([Buffer.of(1, 1, 1, 1, 4), deflateSync(Buffer.alloc(16 * 2 ** 20))]),
      ],
      'fewer entries than slots': [reset, Buffer.of(1, 1, 1, 0, 4, 0, 0, 0)],
    };
    for (const [name, payloads] of Object.entries(cases)) {
      it(name, async () => {
        for (const payload of payloads) qrp(payload);
        assert.equal(bench.byes.get(link.number), 413);
        await follow();
        assert.equal(held, undefined);
      });
    }
  });

  describe('a link that has us work through too many slots gets BYE 413', () => {
    it('for small tables over and over', () => {
      qrp(resetPayload(16, 2));
      const [whole] = patchPayloads(4, [1], [], { compress: false });
      assert.ok(whole);
      const most = (QRP_SLOTS_BURST - QRP_RESET_SLOTS) / QRP_PATCH_LEAST_SLOTS;
      for (let i = 1; i < most; i++) qrp(whole);
      assert.equal(bench.byes.size, 0);
      bench.clock.advance((QRP_PATCH_LEAST_SLOTS / QRP_SLOTS_PER_SECOND) * 1_000);
      qrp(whole);
      assert.equal(bench.byes.size, 0, 'time pays off');
      qrp(whole);
      assert.equal(bench.byes.get(link.number), 413);
    });

    it('for sequences of huge tables that begin and do not end', () => {
      const first = Buffer.of(1, 1, 2, 1, 4, 0x78);
      for (let i = 0; i < 15; i++) {
        qrp(resetPayload(2 ** 21, 2));
        qrp(first);
      }
      assert.equal(bench.byes.size, 0);
      qrp(resetPayload(2 ** 21, 2));
      qrp(first);
      assert.equal(bench.byes.get(link.number), 413);
    });

    it('for RESET after RESET', () => {
      for (let i = 0; i < QRP_SLOTS_BURST / QRP_RESET_SLOTS; i++) qrp(resetPayload(2 ** 21, 2));
      assert.equal(bench.byes.size, 0);
      qrp(resetPayload(2 ** 21, 2));
      assert.equal(bench.byes.get(link.number), 413);
    });

    it('and no other does: a table of 2^21 slots every 16 s is taken', () => {
      qrp(resetPayload(2 ** 21, 2));
      const payloads = patchPayloads(21, [1, 5], [], { slices: 3 });
      for (let i = 0; i < 30; i++) {
        for (const payload of payloads) qrp(payload);
        bench.clock.advance(16_000);
      }
      assert.equal(bench.byes.size, 0);
    });
  });

  it('messages that are too short or of no known kind are dropped, not more', () => {
    for (const payload of [Buffer.alloc(0), Buffer.of(7, 1, 2), Buffer.of(0, 0, 4, 0, 0), Buffer.of(1, 1, 1)])
      qrp(payload);
    assert.equal(bench.byes.size, 0);
    assert.equal(link.counters.bad, 4);
  });

  it('comes from ultrapeers that route by tables, and from no others', async () => {
    const { link: routes } = await bench.add('ultrapeer');
    const { link: floods } = await bench.add('ultrapeer', { headers: { 'X-Ultrapeer-Query-Routing': null } });
    for (const one of [routes, floods]) {
      qrp(resetPayload(1024, 2), one);
      for (const payload of patchPayloads(10, [1], [])) qrp(payload, one);
    }
    assert.equal(routes.table?.count, 1);
    assert.equal(floods.table, undefined);
    assert.deepEqual([floods.counters.bad, bench.counters.framesDropped['not-for-us']], [2, 2]);
  });

  it('that may cross a link is dropped', () => {
    bench.receive(link, { descriptor: RAW_DESCRIPTOR.qrp, ttl: 2, payload: resetPayload(1024, 2) });
    assert.equal(link.counters.bad, 1);
    assert.equal(link.resetAt, undefined);
  });
});
