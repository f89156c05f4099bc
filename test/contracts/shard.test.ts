import assert from 'node:assert/strict';
import { NODE_SECRET_BYTES, ShardMap } from '@filbert/contracts';
import fc from 'fast-check';

const secret = Uint8Array.from({ length: NODE_SECRET_BYTES }, (_, i) => i * 37 + 11);
const anyGuid = fc.uint8Array({ minLength: 16, maxLength: 16 });
/** Bytes that out-of-band forms (0-3, 13-14) and vendors' marks (4-5, 8, 15) rewrite. */
const REWRITTEN = [0, 1, 2, 3, 4, 5, 8, 13, 14, 15];

describe('ShardMap', () => {
  it('contracts: a GUID stays in its shard when address, port and vendor marks in it are rewritten', () => {
    const map = new ShardMap(7, 1, secret);
    fc.assert(
      fc.property(anyGuid, fc.uint8Array({ minLength: 10, maxLength: 10 }), (guid, values) => {
        const rewritten = guid.slice();
        REWRITTEN.forEach((at, i) => {
          rewritten[at] = values[i] as number;
        });
        assert.equal(map.shardOf(rewritten, 0), map.shardOf(guid, 0));
      }),
    );
  });

  it('contracts: the shard is the same wherever the GUID stands, and always one that exists', () => {
    fc.assert(
      fc.property(anyGuid, fc.integer({ min: 1, max: 64 }), fc.nat(50), (guid, shards, offset) => {
        const map = new ShardMap(shards, 1, secret);
        const shard = map.shardOf(guid, 0);
        assert.ok(Number.isInteger(shard) && shard >= 0 && shard < shards);
        assert.equal(map.shardOf(Buffer.concat([Buffer.alloc(offset, 0xa5), guid]), offset), shard);
        assert.equal(new ShardMap(shards, 2, secret).shardOf(guid, 0), shard);
      }),
    );
  });

  for (const shards of [2, 3, 8]) {
    it(`contracts: GUIDs that count up spread evenly over ${shards} shards`, () => {
      const map = new ShardMap(shards, 1, secret);
      const guid = Buffer.alloc(16);
      const found = new Array<number>(shards).fill(0);
      const guids = 8_000;
      for (let i = 0; i < guids; i++) {
        guid.writeUInt32LE(i, 9);
        const shard = map.shardOf(guid, 0);
        found[shard] = (found[shard] as number) + 1;
      }
      for (const count of found) assert.ok(Math.abs(count - guids / shards) < (guids / shards) * 0.15, String(found));
    });
  }

  it('contracts: another node secret maps GUIDs to other shards', () => {
    const one = new ShardMap(2, 1, secret);
    const guid = Buffer.alloc(16);
    for (const changed of [0, 4]) {
      const otherSecret = secret.slice();
      otherSecret[changed] = (otherSecret[changed] as number) ^ 0x10;
      const other = new ShardMap(2, 1, otherSecret);
      let moved = 0;
      for (let i = 0; i < 2_000; i++) {
        guid.writeUInt32LE((i * 2654435) >>> 0, 9);
        if (one.shardOf(guid, 0) !== other.shardOf(guid, 0)) moved++;
      }
      assert.ok(moved > 700 && moved < 1_300, `${moved} of 2000 moved`);
    }
  });

  it('contracts: with one shard everything is in it', () => {
    assert.equal(new ShardMap(1, 1, secret).shardOf(Buffer.alloc(16, 0xff), 0), 0);
  });
});
