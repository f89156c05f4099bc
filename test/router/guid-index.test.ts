import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { GuidIndex } from '../../services/router/src/guid-index.ts';

describe('GuidIndex', () => {
  it('router: finds values by the bytes of a GUID, wherever these lie', () => {
    const index = new GuidIndex<string>();
    const guid = randomBytes(16);
    index.set(guid, 'one');
    const inside = Buffer.concat([randomBytes(7), guid, randomBytes(3)]);
    assert.equal(index.get(inside, 7), 'one');
    assert.equal(index.get(inside, 6), undefined);
    guid.fill(0);
    assert.equal(index.get(inside, 7), 'one', 'it keeps a copy');
  });

  it('router: agrees with a map of strings, whatever is set, replaced and deleted', () => {
    const index = new GuidIndex<number>();
    const model = new Map<string, number>();
    // Few distinct GUIDs, which differ in one byte, so that all of it happens to each.
    const guids = Array.from({ length: 300 }, (_, i) => Buffer.alloc(16, 7).fill(i & 255, i % 16, (i % 16) + 1));
    for (let round = 0; round < 20_000; round++) {
      const guid = guids[(round * 7919) % guids.length] ?? Buffer.alloc(16);
      const key = guid.toString('hex');
      if (round % 3 === 0) {
        index.delete(guid);
        model.delete(key);
      } else {
        index.set(guid, round);
        model.set(key, round);
      }
      assert.equal(index.get(guid, 0), model.get(key));
      assert.equal(index.size, model.size);
    }
    for (const guid of guids) assert.equal(index.get(guid, 0), model.get(guid.toString('hex')));
    for (const guid of guids) index.delete(guid);
    assert.equal(index.size, 0);
  });
});
