import assert from 'node:assert/strict';
import {
  encodePatches,
  encodeReset,
  GnutellaError,
  HEADER_BYTES,
  payloadLength,
  type QrpEvent,
  QrpReceiver,
  SlotSet,
} from '@filbert/gnutella';
import fc from 'fast-check';
import { patchPayload, patchPayloads, resetPayload } from './patch-payloads.ts';
import { messagePayload, vectorNamed, vectorsOfKind } from './vectors.ts';

const tableIn = (bits: number): fc.Arbitrary<SlotSet> =>
  fc.array(fc.nat(2 ** bits - 1), { maxLength: 200 }).map((slots) => SlotSet.fromSlots(bits, Uint32Array.from(slots)));

const tablePair = fc.integer({ min: 3, max: 11 }).chain((bits) => fc.tuple(tableIn(bits), tableIn(bits)));

function payloadOf(frame: Uint8Array): Uint8Array {
  assert.equal(payloadLength(frame, 0), frame.length - HEADER_BYTES);
  return frame.subarray(HEADER_BYTES);
}

/** Feeds payloads of which only the last may complete a table, and gives that. */
function feed(receiver: QrpReceiver, payloads: readonly Uint8Array[]): SlotSet {
  let event: QrpEvent = { kind: 'ignored', reason: 'empty message' };
  payloads.forEach((payload, index) => {
    event = receiver.receive(payload);
    if (index < payloads.length - 1) assert.equal(event.kind, 'partial');
  });
  const last = event as QrpEvent;
  assert.ok(last.kind === 'updated', JSON.stringify(last));
  return last.table;
}

function started(bits: number): QrpReceiver {
  const receiver = new QrpReceiver();
  assert.deepEqual(receiver.receive(resetPayload(2 ** bits)), { kind: 'reset' });
  return receiver;
}

describe('encodeReset', () => {
  it('writes the published frames', () => {
    for (const [name, bits, infinity] of [
      ['qrp_reset_8_inf7', 3, 7],
      ['qrp_reset_65536_inf2', 16, undefined],
      ['qrp_reset_131072_inf7', 17, 7],
    ] as const) {
      assert.equal(encodeReset(bits, infinity).toString('hex'), vectorNamed(name).hex);
    }
  });

  it('carries the GUID it is given', () => {
    const guid = Uint8Array.from({ length: 16 }, (_, index) => index);
    assert.deepEqual([...encodeReset(16, 2, guid).subarray(0, 16)], [...guid]);
  });

  it('refuses sizes and infinities that no peer takes', () => {
    for (const wrong of [
      () => encodeReset(2),
      () => encodeReset(25),
      () => encodeReset(16, 0),
      () => encodeReset(16, 256),
    ]) {
      assert.throws(wrong, (error) => error instanceof GnutellaError && error.code === 'bad-qrp');
    }
    assert.throws(() => encodeReset(16, 2, new Uint8Array(15)), GnutellaError);
  });
});

describe('encodePatches', () => {
  it('leads the receiver from any table to any other, in slices of any size', () => {
    fc.assert(
      fc.property(tablePair, fc.integer({ min: 1, max: 700 }), ([first, second], sliceBytes) => {
        const receiver = started(first.bits);
        const options = { sliceBytes };
        assert.ok(feed(receiver, encodePatches(undefined, first, options).map(payloadOf)).equals(first));
        const patches = encodePatches(first, second, options).map(payloadOf);
        if (first.equals(second)) assert.equal(patches.length, 0);
        else assert.ok(feed(receiver, patches).equals(second));
      }),
    );
  });

  it('writes -1 to set and +1 to clear, in 4 bits, uncompressed where that is smaller', () => {
    const from = SlotSet.fromSlots(3, Uint32Array.of(1));
    const to = SlotSet.fromSlots(3, Uint32Array.of(2, 7));
    const [frame, ...rest] = encodePatches(from, to);
    assert.equal(rest.length, 0);
    assert.equal(
      Buffer.from(frame ?? [])
        .subarray(23)
        .toString('hex'),
      '010101000401f0000f',
    );
    assert.deepEqual([...Buffer.from(frame ?? []).subarray(16, 19)], [0x30, 1, 0]);
  });

  it('compresses where that is smaller', () => {
    const [frame] = encodePatches(undefined, SlotSet.fromSlots(16, Uint32Array.of(1, 40_000)));
    assert.equal(frame?.[23 + 3], 1);
    assert.ok((frame?.length ?? 0) < 200);
  });

  it('sends nothing without a change, but an all-zero patch for an empty table after a RESET', () => {
    const empty = SlotSet.empty(16);
    assert.deepEqual(encodePatches(empty, SlotSet.empty(16)), []);
    const table = SlotSet.fromSlots(16, Uint32Array.of(4));
    assert.deepEqual(encodePatches(table, SlotSet.fromSlots(16, Uint32Array.of(4))), []);
    assert.equal(feed(started(16), encodePatches(undefined, empty).map(payloadOf)).count, 0);
  });

  it('cuts 512 bytes, and more only where 255 slices would not do', () => {
    const noise = SlotSet.fromBitmap(
      16,
      Uint8Array.from({ length: 8192 }, (_, index) => Math.imul(index + 1, 0x9e3779b1) >>> 24),
    );
    const small = encodePatches(undefined, noise);
    assert.ok(small.length > 1 && small.slice(0, -1).every((frame) => frame.length === 23 + 5 + 512));
    const many = encodePatches(undefined, noise, { sliceBytes: 1 });
    assert.ok(many.length <= 255 && many.length > 200);
    assert.ok(feed(started(16), many.map(payloadOf)).equals(noise));
  });

  it('refuses to patch a table into one of another size', () => {
    assert.throws(() => encodePatches(SlotSet.empty(8), SlotSet.empty(9)), GnutellaError);
    assert.throws(() => encodePatches(undefined, SlotSet.empty(2)), GnutellaError);
  });
});

describe('QrpReceiver', () => {
  it('decodes entries of 8, 4, 2 and 1 bits, plain or compressed, cut anywhere', () => {
    const form = fc.record({ entryBits: fc.constantFrom(8, 4, 2, 1), zlib: fc.boolean() });
    const cuts = fc.array(fc.nat(4000), { maxLength: 6 });
    fc.assert(
      fc.property(tablePair, form, form, cuts, ([first, second], formA, formB, at) => {
        const receiver = started(first.bits);
        assert.ok(feed(receiver, patchPayloads(undefined, first, formA, at)).equals(first));
        assert.equal(receiver.receiving, false);
        assert.ok(feed(receiver, patchPayloads(first, second, formB, at)).equals(second));
        assert.equal(receiver.heldBytes, 0);
      }),
      { numRuns: 200 },
    );
  });

  it('looks at the sign of a delta only, whatever its size and the infinity', () => {
    const first = SlotSet.fromSlots(6, Uint32Array.of(0, 9, 63));
    const second = SlotSet.fromSlots(6, Uint32Array.of(9, 10));
    for (const [entryBits, present, absent] of [
      [8, -128, 127],
      [8, -14, 14],
      [4, -8, 7],
      [4, -6, 6],
      [2, -2, 1],
    ] as const) {
      const receiver = new QrpReceiver();
      receiver.receive(resetPayload(64, 15));
      feed(receiver, patchPayloads(undefined, first, { entryBits, present, absent }));
      assert.ok(feed(receiver, patchPayloads(first, second, { entryBits, present, absent })).equals(second));
    }
  });

  it('follows the published patches of an 8-slot table', () => {
    const receiver = started(3);
    const after = (name: string): number[] => [...feed(receiver, [messagePayload(name)]).slots()];
    assert.deepEqual(after('qrp_patch8_add_test'), [2]);
    assert.deepEqual(after('qrp_patch8_rm_test'), []);
    assert.deepEqual(after('qrp_patch4_add_test'), [2]);
    assert.deepEqual(after('qrp_patch4_add_qrp'), [2, 7]);
  });

  it('follows the published compressed patch, whole and in two slices', () => {
    const [{ input, name } = { input: '', name: '' }] = vectorsOfKind<string, undefined>('qrp-patch-inflate');
    assert.equal(vectorNamed(name).hex, '00a00000');
    const data = Buffer.from(input, 'hex');
    assert.deepEqual([...feed(started(3), [patchPayload(1, 1, 1, 4, data)]).slots()], [2]);
    for (let cut = 1; cut < data.length; cut++) {
      const slices = [patchPayload(1, 2, 1, 4, data.subarray(0, cut)), patchPayload(2, 2, 1, 4, data.subarray(cut))];
      assert.deepEqual([...feed(started(3), slices).slots()], [2], `cut at ${cut}`);
    }
  });

  it('follows the published patch sequences and the 1-bit patch of 1024 slots', () => {
    interface SequenceInput {
      readonly slots: number;
      readonly infinity: number;
      readonly expect_slots_set: number[];
    }
    let expected: number[] = [];
    for (const vector of vectorsOfKind<SequenceInput, string[]>('qrp-patch-sequence')) {
      const receiver = new QrpReceiver();
      receiver.receive(resetPayload(vector.input.slots, vector.input.infinity));
      const payloads = vector.expected.map((hex) => payloadOf(Buffer.from(hex, 'hex')));
      expected = vector.input.expect_slots_set;
      assert.deepEqual([...feed(receiver, payloads).slots()], expected, vector.name);
    }
    const receiver = started(10);
    const toggles = messagePayload('qrp_patch1_1024');
    assert.deepEqual([...feed(receiver, [toggles]).slots()], expected);
    assert.equal(feed(receiver, [toggles]).count, 0);
  });

  it('shrinks a table that is too large, without losing a slot that is set', () => {
    const shrunk = new QrpReceiver({ maxBits: 4 });
    shrunk.receive(resetPayload(32));
    const first = SlotSet.fromSlots(5, Uint32Array.of(4, 5, 9, 31));
    assert.deepEqual([...feed(shrunk, patchPayloads(undefined, first, { entryBits: 4 })).slots()], [2, 4, 15]);
    // Slots 4 and 5 share a group: it is cleared only when both are.
    const second = SlotSet.fromSlots(5, Uint32Array.of(5, 9));
    assert.deepEqual([...feed(shrunk, patchPayloads(first, second, { entryBits: 4 })).slots()], [2, 4, 15]);
    const third = SlotSet.fromSlots(5, Uint32Array.of(9));
    assert.deepEqual([...feed(shrunk, patchPayloads(second, third, { entryBits: 8 })).slots()], [2, 4, 15]);
    const clearBoth = Buffer.alloc(32);
    clearBoth.fill(1, 4, 6);
    assert.deepEqual([...feed(shrunk, [patchPayload(1, 1, 0, 8, clearBoth)]).slots()], [4, 15]);
  });

  it('keeps every slot of a shrunk table findable, for every entry size and slicing', () => {
    fc.assert(
      fc.property(
        tablePair,
        fc.constantFrom(8, 4, 2, 1),
        fc.array(fc.nat(999), { maxLength: 4 }),
        (pair, bits, cuts) => {
          const [first, second] = pair;
          const receiver = new QrpReceiver({ maxBits: 3 });
          receiver.receive(resetPayload(2 ** first.bits));
          const shift = first.bits - 3;
          const form = { entryBits: bits as 8 };
          const fresh = feed(receiver, patchPayloads(undefined, first, form, cuts));
          const exact = new Set([...first.slots()].map((slot) => slot >>> shift));
          assert.deepEqual([...fresh.slots()], [...exact].sort());
          const patched = feed(receiver, patchPayloads(first, second, form, cuts));
          second.forEach((slot) => assert.ok(patched.has(slot >>> shift)));
        },
      ),
    );
  });

  it('keeps a table of 2^22 slots in 2^21', () => {
    const receiver = new QrpReceiver();
    receiver.receive(resetPayload(2 ** 22));
    const table = SlotSet.fromSlots(22, Uint32Array.of(0, 1, 4_194_303));
    const kept = feed(receiver, encodePatches(undefined, table).map(payloadOf));
    assert.equal(kept.bits, 21);
    assert.deepEqual([...kept.slots()], [0, 2_097_151]);
  });

  it('takes a table of under 8 slots for an empty one', () => {
    for (const slots of [1, 2, 4]) {
      const receiver = new QrpReceiver();
      assert.equal(receiver.receive(resetPayload(slots)).kind, 'reset');
      const data = Buffer.alloc(slots, 0xff);
      assert.equal(feed(receiver, [patchPayload(1, 1, 0, 8, data)]).count, 0);
    }
  });

  it('starts over at a RESET amid a sequence', () => {
    const table = SlotSet.fromSlots(6, Uint32Array.of(1, 2));
    const receiver = started(6);
    const [first] = patchPayloads(undefined, table, { entryBits: 4 }, [10, 20]);
    assert.equal(receiver.receive(first ?? Buffer.alloc(0)).kind, 'partial');
    assert.equal(receiver.receiving, true);
    assert.ok(receiver.heldBytes > 0);
    assert.equal(receiver.receive(resetPayload(64)).kind, 'reset');
    assert.equal(receiver.receiving, false);
    assert.ok(feed(receiver, patchPayloads(undefined, table, { entryBits: 1 })).equals(table));
  });

  it('changes nothing when a half sequence is discarded', () => {
    const first = SlotSet.fromSlots(6, Uint32Array.of(1, 2));
    const second = SlotSet.fromSlots(6, Uint32Array.of(60));
    const receiver = started(6);
    feed(receiver, patchPayloads(undefined, first, { entryBits: 8 }));
    const [half] = patchPayloads(first, second, { entryBits: 8 }, [40]);
    assert.equal(receiver.receive(half ?? Buffer.alloc(0)).kind, 'partial');
    receiver.discard();
    assert.equal(receiver.receiving, false);
    assert.ok(feed(receiver, patchPayloads(first, second, { entryBits: 1 })).equals(second));
  });

  it('does not keep the memory of the payloads it is given', () => {
    const table = SlotSet.fromSlots(9, Uint32Array.of(5, 6, 400));
    const receiver = started(9);
    const payloads = patchPayloads(undefined, table, { entryBits: 4, zlib: true }, [6, 12]);
    let event: QrpEvent | undefined;
    for (const payload of payloads) {
      event = receiver.receive(payload);
      payload.fill(0xee);
    }
    assert.ok(event?.kind === 'updated' && event.table.equals(table));
  });
});
