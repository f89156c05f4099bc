import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CHUNK_BYTES, nextChunk } from '../../../services/transfers/src/download/chunk-plan.ts';
import { MAX_RANGES, RangeSet, type Range } from '../../../services/transfers/src/download/range-set.ts';

const SIZE = 64;
const range = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

describe('transfers: range set', () => {
  it('is the set of bytes that were added, as a plain model has them', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), range, (added, asked) => {
        const set = new RangeSet();
        const model = new Set<number>();
        for (const { start, end } of added) {
          set.add(start, end);
          for (let i = start; i < end; i++) model.add(i);
        }
        assert.equal(set.bytes, model.size);
        let before = -1;
        for (const { start, end } of set.ranges) {
          assert.ok(start > before && end > start);
          before = end;
        }
        const wanted = Array.from({ length: asked.end - asked.start }, (_, i) => asked.start + i);
        assert.equal(
          set.covers(asked.start, asked.end),
          wanted.every((byte) => model.has(byte)),
        );
        const gap = set.firstGap(asked.start, SIZE);
        const missing = Array.from({ length: SIZE - asked.start }, (_, i) => asked.start + i).filter(
          (byte) => !model.has(byte),
        );
        assert.equal(gap?.start, missing[0]);
        if (gap !== undefined) for (let i = gap.start; i < gap.end; i++) assert.ok(!model.has(i));
        assert.equal(set.cutAt(20).bytes, [...model].filter((byte) => byte < 20).length);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses a range too many, and takes one that joins others', () => {
    const set = new RangeSet();
    for (let i = 0; i < MAX_RANGES; i++) set.add(i * 2, i * 2 + 1);
    assert.equal(set.add(MAX_RANGES * 2, MAX_RANGES * 2 + 1), false);
    assert.equal(set.add(1, 2), true);
  });

  it('leaves out what is no range', () => {
    const odd = [
      { start: -1, end: 3 },
      { start: 5, end: 2 },
      { start: Number.NaN, end: 9 },
      { start: 1.5, end: 2 },
    ];
    assert.equal(RangeSet.from(odd).bytes, 0);
  });
});

describe('transfers: chunk plan', () => {
  it('gives every missing byte out once, in pieces of bounded length', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), (done) => {
        const size = SIZE;
        const written = RangeSet.from(done);
        const fetching = new Set<Range>();
        const given = RangeSet.from(written.ranges);
        for (
          let chunk = nextChunk(written, fetching, size);
          chunk !== undefined;
          chunk = nextChunk(written, fetching, size)
        ) {
          assert.ok(chunk.end > chunk.start && chunk.end - chunk.start <= CHUNK_BYTES);
          const before = given.bytes;
          given.add(chunk.start, chunk.end);
          assert.equal(given.bytes, before + chunk.end - chunk.start, 'given out before');
          fetching.add(chunk);
        }
        assert.equal(given.bytes, size);
      }),
      { numRuns: 200 },
    );
  });

  it('lets one source find out an unknown size', () => {
    const first = nextChunk(new RangeSet(), new Set(), undefined);
    assert.deepEqual(first, { start: 0, end: CHUNK_BYTES });
    assert.equal(nextChunk(new RangeSet(), new Set([{ start: 0, end: CHUNK_BYTES }]), undefined), undefined);
  });
});
