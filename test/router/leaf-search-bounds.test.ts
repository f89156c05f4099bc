import assert from 'node:assert/strict';
import { MAX_SEARCHES, MAX_SEARCHES_PER_LEAF } from '../../services/router/src/leaf-search.ts';
import { names, query, ShardWorld } from './shard-world.ts';

describe('RouterShard: searches of one shard', () => {
  it('router: searches of a shard are bounded in total, the oldest ends for a newer one', () => {
    const world = new ShardWorld();
    const leaves = Array.from({ length: MAX_SEARCHES / MAX_SEARCHES_PER_LEAF + 1 }, () => world.leaf());
    const up = world.ultrapeer(names(['elsewhere']));
    let id = 0;
    for (const leaf of leaves) {
      for (let i = 0; i < MAX_SEARCHES_PER_LEAF; i++) world.shard.frame(...frameOf(id++), leaf);
    }
    assert.equal(world.shard.searches.active, MAX_SEARCHES);
    assert.equal(world.flush().length, id);
    assert.equal(world.shard.counters.leafSearches, id);
    // The first leaf's searches are the ones that ended: it may start as many again.
    const [first] = leaves;
    assert.ok(first);
    for (let i = 0; i < MAX_SEARCHES_PER_LEAF; i++) world.shard.frame(...frameOf(id++), first);
    assert.equal(world.shard.searches.active, MAX_SEARCHES);
    world.shard.links.remove(up);
    world.flush();
    world.shard.links.removeEdge(world.edges[0]);
    assert.equal(world.shard.searches.active, 0);
    assert.deepEqual(world.pass(2_500), []);
  });
});

function frameOf(id: number): [Uint8Array, number, number] {
  const frame = query('test', { id });
  return [frame, 0, frame.length];
}
