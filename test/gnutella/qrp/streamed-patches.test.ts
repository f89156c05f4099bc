import assert from 'node:assert/strict';
import { deflateSync, inflateSync } from 'node:zlib';
import { PATCH_INFLATER_BYTES, type QrpEvent, QrpReceiver, SlotSet } from '@filbert/gnutella';
import fc from 'fast-check';
import { patchData, patchPayload, patchPayloads, resetPayload } from './patch-payloads.ts';

const CANNOT = 'QRP patch cannot be inflated';
const OVERFLOWED = 'QRP patch overflowed';

function started(bits: number): QrpReceiver {
  const receiver = new QrpReceiver();
  assert.equal(receiver.receive(resetPayload(2 ** bits)).kind, 'reset');
  return receiver;
}

/** Cuts compressed data at these places into the slices of one sequence. */
function slicesOf(data: Uint8Array, cuts: readonly number[], entryBits = 4): Buffer[] {
  const bounds = [0, ...cuts, data.length];
  return cuts
    .concat(data.length)
    .map((end, i) => patchPayload(i + 1, cuts.length + 1, 1, entryBits, data.subarray(bounds[i], end)));
}

/** Feeds slices until one is no 'partial': its number from 1, and what came of it. */
function firstOther(receiver: QrpReceiver, payloads: readonly Uint8Array[]): { slice: number; event: QrpEvent } {
  for (const [index, payload] of payloads.entries()) {
    const event = receiver.receive(payload);
    if (event.kind !== 'partial') return { slice: index + 1, event };
  }
  return { slice: payloads.length, event: { kind: 'partial' } };
}

function tableOf(event: QrpEvent): number[] {
  assert.ok(event.kind === 'updated', JSON.stringify(event));
  return [...event.table.slots()];
}

/** Slots that look drawn at random and are the same in every run. */
function scattered(bits: number, count: number): SlotSet {
  const slots = new Set<number>();
  for (let i = 1; slots.size < count; i++) slots.add(Math.imul(i, 0x9e3779b1) >>> (32 - bits));
  return SlotSet.fromSlots(
    bits,
    Uint32Array.from(slots).sort((a, b) => a - b),
  );
}

describe('A compressed patch in several slices', () => {
  it('gives the same table wherever it is cut in two, and in three', () => {
    const table = scattered(9, 60);
    const data = deflateSync(patchData(undefined, table, { entryBits: 4 }));
    for (let first = 1; first < data.length; first++) {
      const two = firstOther(started(9), slicesOf(data, [first]));
      assert.deepEqual([two.slice, tableOf(two.event)], [2, [...table.slots()]], `cut at ${first}`);
      for (let second = first + 1; second < data.length; second += 7) {
        assert.deepEqual(tableOf(firstOther(started(9), slicesOf(data, [first, second])).event), [...table.slots()]);
      }
    }
  });

  it('gives what zlib gives at once: any size, entries, level, window and cuts', () => {
    const cases = fc.record({
      bits: fc.integer({ min: 3, max: 16 }),
      entryBits: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
      seeds: fc.array(fc.nat(), { maxLength: 300 }),
      level: fc.integer({ min: 0, max: 9 }),
      windowBits: fc.integer({ min: 9, max: 15 }),
      cuts: fc.array(fc.nat(), { maxLength: 40 }),
    });
    fc.assert(
      fc.property(cases, ({ bits, entryBits, seeds, level, windowBits, cuts }) => {
        const table = SlotSet.fromSlots(
          bits,
          Uint32Array.from(new Set(seeds.map((seed) => seed % 2 ** bits))).sort((a, b) => a - b),
        );
        const plain = patchData(undefined, table, { entryBits });
        const data = deflateSync(plain, { level, windowBits });
        assert.deepEqual(inflateSync(data), plain);
        const places = [...new Set(cuts.map((cut) => 1 + (cut % (data.length - 1))))].sort((a, b) => a - b);
        const { event } = firstOther(started(bits), slicesOf(data, places, entryBits));
        assert.deepEqual(tableOf(event), [...table.slots()]);
      }),
      { numRuns: 300 },
    );
  });

  it('of 2^20 slots at a fifth of them set, in slices of 512 bytes, is exact and holds a table and a window', () => {
    const table = scattered(20, 2 ** 20 / 5);
    for (const entryBits of [1, 4, 8] as const) {
      const data = deflateSync(patchData(undefined, table, { entryBits }));
      const size = Math.max(512, Math.ceil(data.length / 255));
      const cuts = Array.from({ length: Math.ceil(data.length / size) - 1 }, (_, i) => (i + 1) * size);
      const receiver = started(20);
      let most = 0;
      let last: QrpEvent = { kind: 'partial' };
      for (const slice of slicesOf(data, cuts, entryBits)) {
        last = receiver.receive(slice);
        most = Math.max(most, receiver.heldBytes);
      }
      assert.ok(last.kind === 'updated');
      assert.deepEqual(last.table.toBitmap(), table.toBitmap());
      assert.equal(most, 2 ** 20 / 8 + PATCH_INFLATER_BYTES);
      assert.equal(receiver.heldBytes, 0);
    }
  });

  it('builds on the table before it', () => {
    const before = scattered(12, 50);
    const after = scattered(12, 90);
    for (const entryBits of [1, 2, 4, 8] as const) {
      const receiver = started(12);
      firstOther(receiver, patchPayloads(undefined, before, { entryBits, zlib: true }, [3, 20]));
      const { event } = firstOther(receiver, patchPayloads(before, after, { entryBits, zlib: true }, [1, 2, 30, 31]));
      assert.deepEqual(tableOf(event), [...after.slots()]);
    }
  });

  it('is refused in the very slice that inflates too much, be the bomb ever so long', () => {
    const bomb = deflateSync(Buffer.alloc(32 * 2 ** 20));
    const before = process.memoryUsage().arrayBuffers;
    const slices = slicesOf(bomb, [100, 200, 300, 400]);
    // 2^16 slots of 4 bits are 32 KiB; a hundred bytes of zeros give up to 100 KiB.
    assert.deepEqual(firstOther(started(16), slices), { slice: 1, event: { kind: 'fault', reason: OVERFLOWED } });
    assert.deepEqual(firstOther(started(19), slices), { slice: 3, event: { kind: 'fault', reason: OVERFLOWED } });
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 * 2 ** 20);
  });

  it('with one entry too many overflows, with one byte too few is incomplete', () => {
    const plain = Buffer.alloc(2 ** 10 / 2);
    for (const [bytes, reason] of [
      [plain.length + 1, OVERFLOWED],
      [plain.length - 1, 'Incomplete QRP patch'],
    ] as const) {
      const data = deflateSync(Buffer.alloc(bytes, 0x1f));
      for (let cut = 1; cut < data.length; cut++) {
        assert.deepEqual(firstOther(started(10), slicesOf(data, [cut])).event, { kind: 'fault', reason });
      }
    }
  });

  it('that is cut off before its last entry is incomplete; without its trailer only it is taken', () => {
    const table = scattered(9, 60);
    const data = deflateSync(patchData(undefined, table, { entryBits: 4 }), { level: 0 });
    const entriesEnd = data.length - 4;
    for (let end = 3; end < data.length; end++) {
      const { event } = firstOther(started(9), slicesOf(data.subarray(0, end), [2]));
      if (end >= entriesEnd) assert.deepEqual(tableOf(event), [...table.slots()], `${end} bytes`);
      else assert.deepEqual(event, { kind: 'fault', reason: 'Incomplete QRP patch' }, `${end} bytes`);
    }
  });

  it('that ends before the last slice is refused where it ends or in the slice after', () => {
    const data = deflateSync(patchData(undefined, scattered(9, 60), { entryBits: 4 }));
    const trailed = Buffer.concat([data, Buffer.alloc(50, 0x33)]);
    for (const [first, second] of [
      [10, data.length],
      [10, data.length + 5],
      [data.length, data.length + 5],
      [data.length - 1, data.length + 1],
    ] as const) {
      const { slice, event } = firstOther(started(9), slicesOf(trailed, [first, second]));
      assert.deepEqual(event, { kind: 'fault', reason: CANNOT });
      assert.ok(slice <= 2, 'without waiting for the third');
    }
    const inTheLast = firstOther(started(9), slicesOf(trailed, [10, data.length - 1]));
    assert.equal(inTheLast.event.kind, 'updated', 'bytes behind the end in the last slice itself are ignored');
  });

  it('with any byte of its checksum or header wrong is refused, wherever it is cut', () => {
    const data = deflateSync(patchData(undefined, scattered(9, 60), { entryBits: 4 }));
    for (const at of [0, 1, data.length - 4, data.length - 3, data.length - 2, data.length - 1]) {
      const wrong = Buffer.from(data);
      wrong[at] = (wrong[at] ?? 0) ^ 0x41;
      for (let cut = 1; cut < wrong.length; cut += 3) {
        assert.deepEqual(firstOther(started(9), slicesOf(wrong, [cut])).event, { kind: 'fault', reason: CANNOT });
      }
    }
  });

  it('of which any bit is flipped gives a table or a fault, the same for all cuts', () => {
    const data = deflateSync(patchData(undefined, scattered(8, 30), { entryBits: 4 }));
    const told = ({ event }: { event: QrpEvent }): string =>
      event.kind === 'updated' ? tableOf(event).join() : event.kind;
    for (let bit = 0; bit < data.length * 8; bit++) {
      const wrong = Buffer.from(data);
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const whole = told(firstOther(started(8), slicesOf(wrong, [])));
      const bytewise = told(
        firstOther(
          started(8),
          slicesOf(
            wrong,
            Array.from({ length: wrong.length - 1 }, (_, i) => i + 1),
          ),
        ),
      );
      // In one slice bytes behind an early end are ignored; in several a slice of nothing else is a fault.
      if (whole !== bytewise) assert.equal(bytewise, 'fault', `bit ${bit}`);
      const halves = told(firstOther(started(8), slicesOf(wrong, [wrong.length >> 1])));
      if (whole !== halves) assert.equal(halves, 'fault', `bit ${bit}`);
    }
  });

  it('without data in a slice is dropped as too short, and the sequence goes on', () => {
    const table = scattered(9, 60);
    const [first, second] = patchPayloads(undefined, table, { entryBits: 4, zlib: true }, [20]);
    assert.ok(first && second);
    const receiver = started(9);
    assert.equal(receiver.receive(first).kind, 'partial');
    const empty = patchPayload(2, 2, 1, 4, new Uint8Array(0));
    assert.deepEqual(receiver.receive(empty), { kind: 'ignored', reason: 'short PATCH' });
    assert.deepEqual(tableOf(receiver.receive(second)), [...table.slots()]);
  });

  it('ends with a RESET in between, which leaves nothing of it behind', () => {
    const table = scattered(9, 60);
    const slices = patchPayloads(undefined, table, { entryBits: 4, zlib: true }, [20, 40]);
    const receiver = started(9);
    for (const slice of slices.slice(0, 2)) assert.equal(receiver.receive(slice).kind, 'partial');
    assert.equal(receiver.receive(resetPayload(2 ** 9)).kind, 'reset');
    assert.deepEqual([receiver.receiving, receiver.heldBytes], [false, 0]);
    assert.deepEqual(tableOf(firstOther(receiver, slices).event), [...table.slots()]);

    receiver.receive(slices[0] ?? Buffer.alloc(0));
    receiver.receive(resetPayload(2 ** 9));
    const third = slices[1] ?? Buffer.alloc(0);
    assert.deepEqual(receiver.receive(third), { kind: 'fault', reason: 'Invalid QRP sequence number' });
  });

  it('and one of another link do not disturb each other, slice by slice', () => {
    const tables = [scattered(9, 60), scattered(14, 900), scattered(11, 5)];
    const links = tables.map((table) => ({
      receiver: started(table.bits),
      slices: patchPayloads(undefined, table, { entryBits: 4, zlib: true }, [3, 9, 14, 20]),
      slots: [] as number[],
    }));
    for (let i = 0; i < 5; i++) {
      for (const link of links) {
        const event = link.receiver.receive(link.slices[i] ?? Buffer.alloc(0));
        if (event.kind === 'updated') link.slots = tableOf(event);
      }
    }
    assert.deepEqual(
      links.map(({ slots }) => slots),
      tables.map((table) => [...table.slots()]),
    );
  });
});
