import assert from 'node:assert/strict';
import { packed, unpackUint16, unpackUint32 } from '@filbert/contracts';
import fc from 'fast-check';
import { misaligned } from './batches.ts';

describe('packed arrays', () => {
  it('contracts: u32 and u16 values come back whatever the alignment', () => {
    fc.assert(
      fc.property(fc.uint32Array({ maxLength: 40 }), fc.uint16Array({ maxLength: 40 }), (wide, narrow) => {
        assert.deepEqual([...unpackUint32(packed(wide))], [...wide]);
        assert.deepEqual([...unpackUint32(misaligned(packed(wide)))], [...wide]);
        assert.deepEqual([...unpackUint32(new Uint8Array(misaligned(packed(wide))))], [...wide]);
        assert.deepEqual([...unpackUint16(packed(narrow))], [...narrow]);
        assert.deepEqual([...unpackUint16(misaligned(packed(narrow)))], [...narrow]);
      }),
    );
  });

  it('contracts: values are little-endian', () => {
    assert.deepEqual([...packed(Uint32Array.of(0x01020304))], [4, 3, 2, 1]);
    assert.deepEqual([...unpackUint16(Uint8Array.of(0x34, 0x12))], [0x1234]);
  });

  it('contracts: a tail too short for a value is ignored', () => {
    for (const bytes of [Buffer.from([1, 0, 0, 0, 2, 0, 0]), misaligned(Buffer.from([1, 0, 0, 0, 2, 0, 0]))]) {
      assert.deepEqual([...unpackUint32(bytes)], [1]);
      assert.deepEqual([...unpackUint16(bytes)], [1, 0, 2]);
    }
    assert.equal(unpackUint32(misaligned(new Uint8Array(3))).length, 0);
  });

  it('contracts: an aligned array is a view and costs no copy', () => {
    const values = Uint32Array.of(1, 2, 3);
    const view = unpackUint32(packed(values));
    values[1] = 9;
    assert.equal(view[1], 9);
  });
});
