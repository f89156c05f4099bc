import assert from 'node:assert/strict';
import {
  EgressBatch,
  EgressBatchBuilder,
  egressBytes,
  forEachDelivery,
  forEachFrame,
  IngressBatch,
  IngressBatchBuilder,
  ingressBytes,
  TRACE_BYTES,
} from '@filbert/contracts';
import fc from 'fast-check';
import { anyFrame, frameOf, misaligned } from './batches.ts';

const traceOf = (n: number): string => `00-${n.toString(16).padStart(32, '0')}-00000000000000aa-01`;
/** Frames, each traced or not. */
const anyTraced = fc.array(fc.record({ frame: anyFrame, trace: fc.option(fc.nat(1_000), { nil: undefined }) }), {
  maxLength: 60,
});

function tracesOfFrames(batch: IngressBatch): (string | undefined)[] {
  const read: (string | undefined)[] = [];
  forEachFrame(batch, (_bytes, _start, _end, _link, trace) => read.push(trace));
  return read;
}

/** What a sink is told, in order: the link of a delivery, or that a traced entry begins or ends. */
function told(batch: EgressBatch): (number | string)[] {
  const read: (number | string)[] = [];
  forEachDelivery(batch, {
    deliver: (_bytes, _start, _end, _ttl, _hops, link) => read.push(link),
    beginTraced: (trace, bytes, start, links) => read.push(`${trace} ${bytes[start + 16]} ${links}`),
    endTraced: () => read.push('end'),
  });
  return read;
}

describe('contracts: the trace contexts of a batch', () => {
  it('stay with their frames of an ingress batch, through the codec and at any offset', () => {
    const builder = new IngressBatchBuilder();
    fc.assert(
      fc.property(anyTraced, (frames) => {
        const expected = frames.map(({ trace }) => (trace === undefined ? undefined : traceOf(trace)));
        frames.forEach(({ frame }, i) => builder.add(frame, 0, frame.length, i, expected[i]));
        const batch = builder.take();
        assert.deepEqual(tracesOfFrames(batch), expected);
        const encoded = IngressBatch.encode(batch).finish();
        for (const bytes of [encoded, misaligned(encoded)]) {
          assert.deepEqual(tracesOfFrames(IngressBatch.decode(bytes)), expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('are sparse: a batch without any carries no byte of them, and one more frame costs none', () => {
    const builder = new IngressBatchBuilder();
    const frame = frameOf(30, 1);
    builder.add(frame, 0, frame.length, 1, traceOf(1));
    builder.take();
    builder.add(frame, 0, frame.length, 1);
    const batch = builder.take();
    assert.deepEqual([batch.traceFrames.length, batch.traceParents.length], [0, 0]);
    assert.deepEqual(tracesOfFrames(batch), [undefined]);
  });

  it('count towards the size of a batch and its credit', () => {
    const frame = frameOf(30, 1);
    const ingress = new IngressBatchBuilder();
    const egress = new EgressBatchBuilder();
    const sizes = [undefined, traceOf(1)].map((trace) => {
      ingress.add(frame, 0, frame.length, 1, trace);
      egress.send(1, frame, 0, frame.length, 1, 1, 1);
      if (trace !== undefined) egress.traceLast(trace);
      const full = [ingress.bytes, egress.bytes];
      const batches = [ingress.take(), egress.take()] as const;
      const encoded = [IngressBatch.encode(batches[0]).finish(), EgressBatch.encode(batches[1]).finish()];
      return [...full, ingressBytes(batches[0]), egressBytes(batches[1]), ...encoded.map(({ length }) => length)];
    });
    const [plain = [], traced = []] = sizes;
    const more = traced.map((size, i) => size - (plain[i] ?? 0));
    assert.deepEqual(
      more.slice(0, 4),
      Array.from({ length: 4 }, () => TRACE_BYTES),
    );
    // The bus adds no more than the tag and length of the indices.
    for (const size of more.slice(4)) assert.ok(size >= TRACE_BYTES && size <= TRACE_BYTES + 2, String(size));
  });

  it('stand around the deliveries of their entry of an egress batch, and around no others', () => {
    const builder = new EgressBatchBuilder();
    const [first, second] = [frameOf(40, 1), frameOf(40, 2)];
    builder.send(1, first, 0, first.length, 1, 1, 10);
    builder.send(2, second, 0, second.length, 1, 1, 20);
    builder.traceLast(traceOf(5));
    builder.send(2, second, 0, second.length, 1, 1, 21);
    builder.traceLast(traceOf(5));
    builder.send(2, second, 0, second.length, 3, 1, 22);
    builder.traceLast(traceOf(5));
    builder.send(3, first, 0, first.length, 1, 1, 30);
    const batch = builder.take();
    const expected = [10, `${traceOf(5)} 128 2`, 20, 21, 'end', `${traceOf(5)} 128 1`, 22, 'end', 30];
    assert.deepEqual(told(batch), expected);
    assert.deepEqual(told(EgressBatch.decode(EgressBatch.encode(batch).finish())), expected);
    builder.send(4, first, 0, first.length, 1, 1, 40);
    assert.deepEqual(told(builder.take()), [40], 'the next batch begins without any');
  });

  it('are left out where the table does not fit its batch, and the frames still come', () => {
    const builder = new IngressBatchBuilder();
    const frame = frameOf(30, 1);
    for (let i = 0; i < 3; i++) builder.add(frame, 0, frame.length, i, i === 1 ? traceOf(1) : undefined);
    const batch = builder.take();
    const noParent = { ...batch, traceParents: [] };
    assert.deepEqual(tracesOfFrames(noParent), [undefined, undefined, undefined]);
    const beyond = { ...batch, traceFrames: new Uint8Array(Uint32Array.of(9).buffer) };
    assert.deepEqual(tracesOfFrames(beyond), [undefined, undefined, undefined]);
    const cut = { ...batch, traceFrames: batch.traceFrames.subarray(0, 3) };
    assert.deepEqual(tracesOfFrames(cut), [undefined, undefined, undefined]);
  });
});
