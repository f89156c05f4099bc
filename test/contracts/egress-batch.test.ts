import assert from 'node:assert/strict';
import { egressBytes, EgressBatch, EgressBatchBuilder, forEachVerdict, packed, unpackUint32 } from '@filbert/contracts';
import fc from 'fast-check';
import { anyFrame, anyLink, deliveriesOf, frameOf, misaligned, type ReadDelivery } from './batches.ts';

const anyByte = fc.nat(255);
/** One frame, and to which links it goes with which TTL and hops. */
const anySends = fc.array(
  fc.record({
    frame: anyFrame,
    to: fc.array(fc.record({ ttl: anyByte, hops: anyByte, link: anyLink }), { minLength: 1, maxLength: 12 }),
  }),
  { maxLength: 40 },
);

function verdictsOf(batch: EgressBatch): number[][] {
  const read: number[][] = [];
  forEachVerdict(batch, (...verdict) => read.push(verdict));
  return read;
}

describe('egress batches', () => {
  it('contracts: an egress batch gives back every delivery in order, through the codec and at any offset', () => {
    const builder = new EgressBatchBuilder();
    fc.assert(
      fc.property(anySends, (sends) => {
        const expected: ReadDelivery[] = [];
        sends.forEach(({ frame, to }, id) => {
          for (const { ttl, hops, link } of to) {
            builder.send(id - 5, frame, 0, frame.length, ttl, hops, link);
            expected.push({ bytes: frame.toString('hex'), ttl, hops, link });
          }
        });
        assert.equal(builder.isEmpty, sends.length === 0);
        const batch = builder.take();
        assert.deepEqual(deliveriesOf(batch), expected);
        const encoded = EgressBatch.encode(batch).finish();
        for (const bytes of [encoded, misaligned(encoded)]) {
          assert.deepEqual(deliveriesOf(EgressBatch.decode(bytes)), expected);
        }
        assert.ok(builder.isEmpty && builder.bytes === 0);
      }),
      { numRuns: 60 },
    );
  });

  it('contracts: links that get the same frame share one copy of it, with one entry a TTL and hops', () => {
    const builder = new EgressBatchBuilder();
    const frame = frameOf(50, 7);
    for (let link = 0; link < 100; link++) builder.send(1, frame, 0, frame.length, 1, 1, link);
    for (let link = 100; link < 200; link++) builder.send(1, frame, 0, frame.length, 3, 1, link);
    const batch = builder.take();
    assert.equal(batch.frames.length, frame.length);
    assert.deepEqual([...unpackUint32(batch.entryOffsets)], [0, 0]);
    assert.deepEqual([...unpackUint32(batch.entryLinkCounts)], [100, 100]);
    const deliveries = deliveriesOf(batch);
    assert.equal(deliveries.length, 200);
    assert.ok(deliveries.every(({ ttl, link }, i) => link === i && ttl === (i < 100 ? 1 : 3)));
  });

  it('contracts: the same frame id in the next batch brings its bytes again', () => {
    const builder = new EgressBatchBuilder();
    const frame = frameOf(9, 9);
    for (const id of [0, -1, 77]) {
      for (let i = 0; i < 2; i++) {
        builder.send(id, frame, 0, frame.length, 2, 1, 5);
        const read = deliveriesOf(builder.take());
        assert.deepEqual(read, [{ bytes: frame.toString('hex'), ttl: 2, hops: 1, link: 5 }]);
      }
    }
  });

  it('contracts: verdicts travel beside frames or alone', () => {
    const builder = new EgressBatchBuilder();
    builder.verdict(7, 1, 2, 3);
    builder.verdict(0xffffffff, 4, 5, 0xfffffffe);
    assert.equal(builder.isEmpty, false);
    const batch = builder.take();
    const expected = [
      [7, 1, 2, 3],
      [0xffffffff, 4, 5, 0xfffffffe],
    ];
    assert.deepEqual(verdictsOf(batch), expected);
    assert.deepEqual(deliveriesOf(batch), []);
    assert.deepEqual(verdictsOf(EgressBatch.decode(misaligned(EgressBatch.encode(batch).finish()))), expected);
    assert.deepEqual(verdictsOf(builder.take()), []);
    const cut = EgressBatch.create({ verdicts: batch.verdicts.subarray(0, 30) });
    assert.deepEqual(verdictsOf(cut), expected.slice(0, 1));
  });

  it('contracts: an entry that does not fit the blob is skipped with its links, the others are delivered', () => {
    const good = frameOf(5, 1);
    const lies = frameOf(5, 2);
    lies.writeUInt16LE(60_000, 19);
    const batch = EgressBatch.create({
      frames: Buffer.concat([good, lies]),
      entryOffsets: packed(Uint32Array.of(0, 28, 40, 0xffffffff, 0)),
      entryTtlHops: packed(Uint16Array.of(0x0101, 0x0102, 0x0103, 0x0104, 0x0205)),
      entryLinkCounts: packed(Uint32Array.of(1, 2, 1, 1, 1)),
      links: packed(Uint32Array.of(10, 20, 21, 30, 40, 50)),
    });
    assert.deepEqual(deliveriesOf(batch), [
      { bytes: good.toString('hex'), ttl: 1, hops: 1, link: 10 },
      { bytes: good.toString('hex'), ttl: 5, hops: 2, link: 50 },
    ]);
  });

  it('contracts: an entry that lacks its TTL, its count or its links is not delivered', () => {
    const frame = frameOf(3, 1);
    const whole = {
      frames: frame,
      entryOffsets: packed(Uint32Array.of(0, 0)),
      entryTtlHops: packed(Uint16Array.of(0x0101, 0x0102)),
      entryLinkCounts: packed(Uint32Array.of(1, 3)),
      links: packed(Uint32Array.of(1, 2, 3, 4)),
    };
    const linksOf = (changes: Partial<EgressBatch>): number[] =>
      deliveriesOf(EgressBatch.create({ ...whole, ...changes })).map(({ link, ttl }) => link * 10 + ttl);
    assert.deepEqual(linksOf({}), [11, 22, 32, 42]);
    assert.deepEqual(linksOf({ entryTtlHops: packed(Uint16Array.of(0x0101)) }), [11]);
    assert.deepEqual(linksOf({ entryLinkCounts: packed(Uint32Array.of(1)) }), [11]);
    assert.deepEqual(linksOf({ links: packed(Uint32Array.of(1, 2)) }), [11, 22]);
    assert.deepEqual(linksOf({ entryLinkCounts: packed(Uint32Array.of(0xffffffff, 3)) }), [11, 21, 31, 41]);
    assert.deepEqual(linksOf({ frames: new Uint8Array(0) }), []);
  });

  it('contracts: random batches never lead outside the blob, nor to more deliveries than links', () => {
    const bytes = fc.uint8Array({ maxLength: 120 });
    fc.assert(
      fc.property(bytes, bytes, bytes, bytes, bytes, (frames, entryOffsets, entryTtlHops, entryLinkCounts, links) => {
        const batch = EgressBatch.create({ frames, entryOffsets, entryTtlHops, entryLinkCounts, links });
        const read = deliveriesOf(batch);
        assert.ok(read.length <= links.length >>> 2);
        for (const { bytes: hex } of read) assert.ok(hex.length >= 46);
      }),
    );
  });

  it('contracts: the credit of an egress batch grows with frames, links and verdicts', () => {
    const builder = new EgressBatchBuilder();
    const frame = frameOf(77);
    for (const link of [1, 2, 3]) builder.send(1, frame, 0, frame.length, 1, 1, link);
    builder.verdict(1, 0, 1, 0);
    assert.ok(builder.bytes >= 100 + 3 * 4 + 16);
    assert.ok(egressBytes(builder.take()) >= 100 + 3 * 4 + 16);
  });
});
