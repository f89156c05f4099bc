import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import {
  GnutellaError,
  MAX_COMPRESSED_PATCH_BYTES,
  PATCH_INFLATER_BYTES,
  QrpReceiver,
  SlotSet,
} from '@filbert/gnutella';
import fc from 'fast-check';
import { patchPayload, patchPayloads, resetPayload } from './patch-payloads.ts';

function started(slots: number): QrpReceiver {
  const receiver = new QrpReceiver();
  assert.equal(receiver.receive(resetPayload(slots)).kind, 'reset');
  return receiver;
}

/** Feeds all payloads; every one before the last must be taken. */
function outcome(receiver: QrpReceiver, payloads: readonly Uint8Array[]): string {
  let result = 'nothing';
  payloads.forEach((payload, index) => {
    const event = receiver.receive(payload);
    if (index < payloads.length - 1) assert.equal(event.kind, 'partial', JSON.stringify(event));
    result = event.kind === 'fault' || event.kind === 'ignored' ? `${event.kind}: ${event.reason}` : event.kind;
  });
  return result;
}

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes);

describe('QrpReceiver on hostile messages', () => {
  it('drops what is no RESET or PATCH', () => {
    for (const [payload, expected] of [
      [zeros(0), 'ignored: empty message'],
      [zeros(5), 'ignored: bad RESET length'],
      [zeros(7), 'ignored: bad RESET length'],
      [Buffer.from([1, 1, 1, 0, 4]), 'ignored: short PATCH'],
      [Buffer.from([0xff, 1, 1, 0, 4, 0]), 'ignored: unknown variant'],
    ] as const) {
      const receiver = started(8);
      assert.equal(outcome(receiver, [payload]), expected);
      assert.equal(outcome(receiver, [patchPayload(1, 1, 0, 1, zeros(1))]), 'updated', 'the link goes on');
    }
  });

  it('faults a RESET of impossible size', () => {
    for (const slots of [0, 3, 1000, 65_537, 0xffffffff]) {
      assert.equal(outcome(new QrpReceiver(), [resetPayload(slots)]), 'fault: Invalid QRP table length');
    }
    for (const bits of [25, 30, 31]) {
      assert.equal(outcome(new QrpReceiver(), [resetPayload(2 ** bits)]), 'fault: QRP table too large');
    }
    assert.equal(outcome(new QrpReceiver(), [resetPayload(2 ** 24)]), 'reset');
    assert.equal(outcome(new QrpReceiver(), [resetPayload(8, 0)]), 'fault: Invalid QRP infinity');
  });

  it('faults a PATCH without a table', () => {
    const patch = patchPayload(1, 1, 0, 1, zeros(1));
    assert.equal(outcome(new QrpReceiver(), [patch]), 'fault: QRP patch without table');
  });

  it('faults slices out of order and sequences that change', () => {
    const slice = (number: number, size: number, compressor = 0, bits = 8): Buffer =>
      patchPayload(number, size, compressor, bits, zeros(2));
    for (const [payloads, expected] of [
      [[slice(2, 3)], 'fault: Invalid QRP sequence number'],
      [[slice(0, 3)], 'fault: Invalid QRP sequence number'],
      [[slice(1, 0)], 'fault: Invalid QRP sequence number'],
      [[slice(1, 3), slice(3, 3)], 'fault: Invalid QRP sequence number'],
      [[slice(1, 3), slice(1, 3)], 'fault: Invalid QRP sequence number'],
      [[slice(1, 3), slice(2, 4)], 'fault: Changed QRP sequence'],
      [[slice(1, 3), slice(2, 3, 1)], 'fault: Changed QRP sequence'],
      [[slice(1, 3), slice(2, 3, 0, 4)], 'fault: Changed QRP sequence'],
      [[slice(1, 3, 2)], 'fault: Invalid QRP compressor'],
      [[slice(1, 3, 0, 3)], 'fault: Invalid QRP entry bits'],
      [[slice(1, 3, 0, 0)], 'fault: Invalid QRP entry bits'],
    ] as const) {
      assert.equal(outcome(started(64), payloads), expected);
    }
  });

  it('faults entries that are too many or too few, plain or compressed', () => {
    for (const entryBits of [8, 4, 2, 1]) {
      const exact = (64 * entryBits) / 8;
      const plain = (bytes: number): string => outcome(started(64), [patchPayload(1, 1, 0, entryBits, zeros(bytes))]);
      const compressed = (bytes: number): string =>
        outcome(started(64), [patchPayload(1, 1, 1, entryBits, deflateSync(zeros(bytes)))]);
      for (const send of [plain, compressed]) {
        assert.equal(send(exact + 1), 'fault: QRP patch overflowed');
        assert.equal(send(exact - 1), 'fault: Incomplete QRP patch');
        assert.equal(send(exact), 'updated');
      }
    }
    const slices = [patchPayload(1, 3, 0, 8, zeros(60)), patchPayload(2, 3, 0, 8, zeros(5))];
    assert.equal(outcome(started(64), slices), 'fault: QRP patch overflowed');
  });

  it('stops a bomb at the size of the table', () => {
    const bomb = deflateSync(zeros(32 * 1024 * 1024));
    const before = process.memoryUsage().arrayBuffers;
    assert.equal(outcome(started(65_536), [patchPayload(1, 1, 1, 4, bomb)]), 'fault: QRP patch overflowed');
    assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
  });

  it('bounds the compressed bytes of a sequence, and holds none of them', () => {
    // Empty stored blocks: a stream that goes on for ever and gives nothing.
    const nothing = (bytes: number): Buffer => Buffer.alloc(bytes, Buffer.from([0, 0, 0, 0xff, 0xff]));
    const opening = Buffer.concat([deflateSync(zeros(0)).subarray(0, 2), nothing(40_000)]);
    const receiver = started(2 ** 24);
    let taken = 0;
    let result = '';
    for (let number = 1; number <= 255; number++) {
      const data = number === 1 ? opening : nothing(40_000);
      result = outcome(receiver, [patchPayload(number, 255, 1, 8, data)]);
      if (result !== 'partial') break;
      taken += data.length;
      assert.equal(receiver.heldBytes, PATCH_INFLATER_BYTES + 2 ** 21 / 8);
    }
    assert.equal(result, 'fault: Compressed QRP patch too large');
    assert.ok(taken <= MAX_COMPRESSED_PATCH_BYTES && taken > MAX_COMPRESSED_PATCH_BYTES - 40_000);
    assert.equal(receiver.heldBytes, 0);

    const small = outcome(started(64), [patchPayload(1, 2, 1, 8, opening.subarray(0, 2000))]);
    assert.equal(small, 'fault: Compressed QRP patch too large');
  });

  it('faults what is no zlib stream or ends before its last slice', () => {
    const cannot = 'fault: QRP patch cannot be inflated';
    assert.equal(outcome(started(64), [patchPayload(1, 1, 1, 8, zeros(10))]), cannot);
    const data = deflateSync(zeros(64));
    assert.equal(outcome(started(64), [patchPayload(1, 2, 1, 8, data)]), cannot, 'a slice is still to come');
    const corrupt = Buffer.from(data);
    corrupt[corrupt.length - 1] = (corrupt[corrupt.length - 1] ?? 0) ^ 1;
    assert.equal(outcome(started(64), [patchPayload(1, 1, 1, 8, corrupt)]), cannot);
    const cut = patchPayload(1, 1, 1, 8, data.subarray(0, 5));
    assert.equal(outcome(started(64), [cut]), 'fault: Incomplete QRP patch');
  });

  it('forgets the table at a fault, and works again after a RESET', () => {
    const table = SlotSet.fromSlots(6, Uint32Array.of(3, 50));
    const receiver = started(64);
    const patches = patchPayloads(undefined, table, { entryBits: 4 });
    assert.equal(outcome(receiver, patches), 'updated');
    assert.equal(outcome(receiver, [patchPayload(1, 1, 7, 4, zeros(32))]), 'fault: Invalid QRP compressor');
    assert.equal(outcome(receiver, patches), 'fault: QRP patch without table');
    assert.equal(outcome(receiver, [resetPayload(64)]), 'reset');
    assert.equal(outcome(receiver, patches), 'updated');
  });

  it('never throws, whatever the bytes and their order', () => {
    const reset = fc
      .tuple(fc.integer({ min: 0, max: 12 }), fc.nat(3))
      .map(([bits, inf]) => resetPayload(2 ** bits, inf));
    const patch = fc
      .tuple(
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 4 }),
        fc.constantFrom(0, 0, 1, 1, 2),
        fc.constantFrom(8, 4, 2, 1, 3),
        fc.uint8Array({ maxLength: 80 }),
        fc.boolean(),
      )
      .map(([number, size, compressor, bits, data, zlib]) =>
        patchPayload(number, size, compressor, bits, zlib ? deflateSync(data) : data),
      );
    const message = fc.oneof(fc.uint8Array({ maxLength: 40 }), reset, patch, patch);
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
        const receiver = new QrpReceiver({ maxBits: 8 });
        for (const payload of messages) {
          const event = receiver.receive(payload);
          if (event.kind === 'updated') assert.ok(event.table.bits >= 3 && event.table.bits <= 8);
          if (event.kind !== 'partial' && event.kind !== 'ignored') assert.equal(receiver.receiving, false);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('refuses limits of its own maker that make no sense', () => {
    for (const maxBits of [2, 25, 3.5]) assert.throws(() => new QrpReceiver({ maxBits }), GnutellaError);
  });
});
