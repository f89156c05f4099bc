import assert from 'node:assert/strict';
import { forEachFrame, IngressBatch, IngressBatchBuilder, ingressBytes } from '@filbert/contracts';
import fc from 'fast-check';
import { anyFrame, anyLink, frameOf, framesOf, misaligned } from './batches.ts';

const anyFrames = fc.array(fc.record({ frame: anyFrame, link: anyLink }), { maxLength: 120 });

describe('ingress batches', () => {
  it('contracts: an ingress batch gives back every frame with its link, built anew or reused', () => {
    const reused = new IngressBatchBuilder();
    fc.assert(
      fc.property(anyFrames, fc.nat(40), (frames, offset) => {
        const fresh = new IngressBatchBuilder();
        for (const { frame, link } of frames) {
          const inside = Buffer.concat([Buffer.alloc(offset), frame, Buffer.alloc(5)]);
          fresh.add(inside, offset, offset + frame.length, link);
          reused.add(frame, 0, frame.length, link);
        }
        assert.equal(fresh.count, frames.length);
        assert.equal(
          fresh.bytes,
          frames.reduce((sum, { frame }) => sum + frame.length, 0),
        );
        const expected = frames.map(({ frame, link }) => ({ bytes: frame.toString('hex'), link }));
        const batch = fresh.take();
        assert.deepEqual(framesOf(batch), expected);
        assert.deepEqual(framesOf(reused.take()), expected);
        assert.equal(fresh.count + fresh.bytes, 0);
        assert.deepEqual(framesOf(fresh.take()), []);
      }),
      { numRuns: 60 },
    );
  });

  it('contracts: an ingress batch survives the codec, from bytes at any offset', () => {
    fc.assert(
      fc.property(anyFrames, anyLink, (frames, stateNumber) => {
        const builder = new IngressBatchBuilder();
        for (const { frame, link } of frames) builder.add(frame, 0, frame.length, link);
        const batch = builder.take();
        batch.edgeId = 'edge-0';
        batch.edgeEpoch = 0xfffffffe;
        batch.stateNumber = stateNumber;
        const encoded = IngressBatch.encode(batch).finish();
        for (const bytes of [encoded, Buffer.from(encoded), misaligned(encoded)]) {
          const decoded = IngressBatch.decode(bytes);
          assert.deepEqual(framesOf(decoded), framesOf(batch));
          assert.deepEqual(
            [decoded.edgeId, decoded.edgeEpoch, decoded.stateNumber],
            ['edge-0', 0xfffffffe, stateNumber],
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  it('contracts: a batch taken does not change when the builder goes on', () => {
    const builder = new IngressBatchBuilder();
    const first = frameOf(100, 1);
    builder.add(first, 0, first.length, 1);
    const batch = builder.take();
    const before = framesOf(batch);
    for (let i = 0; i < 50; i++) builder.add(frameOf(100, 2), 0, 123, 2);
    first.fill(0xff);
    assert.deepEqual(framesOf(batch), before);
  });

  it('contracts: a frame larger than the buffer fits, as do more links than expected', () => {
    const builder = new IngressBatchBuilder();
    const large = frameOf(0xffff, 3);
    builder.add(large, 0, large.length, 7);
    for (let link = 0; link < 1_000; link++) builder.add(frameOf(0), 0, 23, link);
    const read = framesOf(builder.take());
    assert.equal(read.length, 1_001);
    assert.equal(read[0]?.bytes, large.toString('hex'));
    assert.equal(read[1_000]?.link, 999);
  });

  it('contracts: reading stops at the first frame that a truncated blob does not hold whole', () => {
    const builder = new IngressBatchBuilder();
    const sizes = [10, 0, 30];
    for (const size of sizes) builder.add(frameOf(size, size), 0, 23 + size, size);
    const batch = builder.take();
    const ends = [33, 56, 109];
    for (let length = 0; length <= batch.frames.length; length++) {
      const cut = IngressBatch.create({ ...batch, frames: batch.frames.subarray(0, length) });
      let visited = 0;
      const count = forEachFrame(cut, (_bytes, _start, end) => {
        visited++;
        assert.ok(end <= length);
      });
      assert.equal(count, visited);
      assert.equal(count, ends.filter((end) => end <= length).length);
    }
  });

  it('contracts: frames without a link, and links without a frame, are not visited', () => {
    const builder = new IngressBatchBuilder();
    for (const link of [1, 2, 3]) builder.add(frameOf(4, link), 0, 27, link);
    const batch = builder.take();
    const fewerLinks = IngressBatch.create({ ...batch, links: batch.links.subarray(0, 7) });
    assert.deepEqual(
      framesOf(fewerLinks).map(({ link }) => link),
      [1],
    );
    const moreLinks = IngressBatch.create({ ...batch, links: Buffer.alloc(400) });
    assert.equal(framesOf(moreLinks).length, 3);
  });

  it('contracts: random blobs never lead outside the batch', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 60 }), (frames, links) => {
        let last = 0;
        forEachFrame(IngressBatch.create({ frames, links }), (_bytes, start, end) => {
          assert.equal(start, last);
          assert.ok(end >= start + 23 && end <= frames.length);
          last = end;
        });
      }),
    );
  });

  it('contracts: the credit of an ingress batch is what it weighs', () => {
    const builder = new IngressBatchBuilder();
    builder.add(frameOf(10), 0, 33, 1);
    builder.add(frameOf(20), 0, 43, 1);
    assert.equal(ingressBytes(builder.take()), 33 + 43 + 2 * 4);
  });
});
