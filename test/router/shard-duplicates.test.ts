import assert from 'node:assert/strict';
import type { Link } from '../../services/router/src/link-table.ts';
import { QUERY_ROUTE_MS } from '../../services/router/src/routes.ts';
import { goneRecord } from './links.ts';
import { hit, names, query, receivers, ShardWorld, type Delivery, type QueryOptions } from './shard-world.ts';

// Probes and their extensions, docs/protocol/conformance.md 16 to 22. The project's choice (docs/protocol/README.md) is
// that a query seen before goes on with a higher TTL than any before, at most three times. Two rows differ from it:
// - 21: LimeWire drops a second extension; here it goes on, as does a third.
// - 22: LimeWire extends only what was a probe (TTL 1) at first; here what was first seen with TTL 2 or 3 goes on too.

const zero = [0, 0, 0];

class Probing extends ShardWorld {
  readonly prober: Link;
  readonly other: Link;
  readonly near: Link;

  constructor() {
    super();
    this.prober = this.ultrapeer();
    this.other = this.ultrapeer();
    this.near = this.leaf(names(['test']));
  }

  ask(options: QueryOptions, from = this.prober): Delivery[] {
    return this.send(from, query('test', options));
  }
}

describe('RouterShard: queries seen before', () => {
  it('router: a probe goes to matching leaves and not to ultrapeers; its hit goes back (conformance 17)', () => {
    const world = new Probing();
    const deliveries = world.ask({ ttl: 1 });
    assert.deepEqual(receivers(deliveries), [world.near]);
    assert.deepEqual([deliveries[0]?.ttl, deliveries[0]?.hops], [1, 1]);
    assert.deepEqual(receivers(world.send(world.near, hit())), [world.prober]);
  });

  it('router: an extension of a probe goes to ultrapeers with hops + 1 and not to leaves again (conformance 18)', () => {
    const world = new Probing();
    world.ask({ ttl: 1 });
    const deliveries = world.ask({ ttl: 2 });
    assert.deepEqual(receivers(deliveries), [world.other]);
    assert.deepEqual([deliveries[0]?.ttl, deliveries[0]?.hops], [1, 1]);
    assert.deepEqual(world.verdicts(world.prober), [0, 0, 0]);
  });

  it('router: the same for a probe that its sender relays for a leaf (conformance 19)', () => {
    const world = new Probing();
    assert.equal(world.ask({ ttl: 1, hops: 1 })[0]?.hops, 2);
    const deliveries = world.ask({ ttl: 2, hops: 1 });
    assert.deepEqual(receivers(deliveries), [world.other]);
    assert.equal(deliveries[0]?.hops, 2);
  });

  it('router: a probe repeated goes nowhere and is counted against its link (conformance 20)', () => {
    const world = new Probing();
    world.ask({ ttl: 1 });
    assert.deepEqual(world.ask({ ttl: 1 }), []);
    assert.deepEqual(world.ask({ ttl: 1, hops: 1 }), []);
    assert.deepEqual(world.verdicts(world.prober), [2, 0, 0]);
    assert.equal(world.shard.counters.dropped.duplicate, 2);
  });

  it('router: drops a query seen before unless its TTL is higher, and lets it go on three times at most', () => {
    const world = new Probing();
    assert.deepEqual(receivers(world.ask({ ttl: 0 })), [world.near]);
    const went: (number | undefined)[] = [];
    for (const ttl of [0, 2, 1, 2, 3, 3, 4, 4, 5]) went.push(world.ask({ ttl })[0]?.ttl);
    // TTL 4 is all that is taken on hops 0, so that 5 is no higher.
    assert.deepEqual(went, [undefined, 1, undefined, undefined, 2, undefined, 3, undefined, undefined]);
    const narrow = new Probing();
    narrow.ask({ ttl: 0 });
    const sent = [1, 2, 3, 4].map((ttl) => narrow.ask({ ttl }).length);
    assert.deepEqual(sent, [0, 1, 1, 0], 'the first extension, of TTL 1, counts though it reached nobody');
  });

  it('router: what trimming makes of a TTL decides whether it is higher', () => {
    const world = new Probing();
    world.ask({ ttl: 2, hops: 2 });
    assert.deepEqual(world.ask({ ttl: 9, hops: 2 }), []);
    assert.deepEqual(receivers(world.ask({ ttl: 3, hops: 1 })), [world.other]);
  });

  it('router: an extension over another link goes on too, not back to who sent it', () => {
    const world = new Probing();
    world.ask({ ttl: 1 });
    const third = world.ultrapeer();
    assert.deepEqual(receivers(world.ask({ ttl: 3 }, world.other)), [world.prober, third]);
  });

  it('router: the last-hop rule holds for extensions', () => {
    const world = new Probing();
    world.ultrapeer(names(['elsewhere']));
    const matching = world.ultrapeer(names(['test']));
    world.ask({ ttl: 1 });
    assert.deepEqual(receivers(world.ask({ ttl: 2 })), [world.other, matching]);
  });

  it('router: the same query by another link is dropped without holding it against that link', () => {
    const world = new Probing();
    world.ask({ ttl: 3 });
    assert.deepEqual(world.ask({ ttl: 2 }, world.other), []);
    assert.deepEqual(world.verdicts(world.other), [0, 0, 0]);
    world.ask({ ttl: 2 }, world.other);
    assert.deepEqual(world.verdicts(world.other), [1, 0, 0]);
  });

  it('router: an extension that came too late to go on is not held against its link', () => {
    const world = new Probing();
    world.ask({ ttl: 1 });
    world.ask({ ttl: 3 }, world.other);
    assert.deepEqual(world.ask({ ttl: 2 }), []);
    assert.deepEqual(world.verdicts(world.prober), [0, 0, 0]);
    world.ask({ ttl: 2 });
    assert.deepEqual(world.verdicts(world.prober), [1, 0, 0]);
  });

  it('router: an extension with another, malformed text is dropped and counted', () => {
    const world = new Probing();
    world.ask({ ttl: 1 });
    assert.deepEqual(world.send(world.prober, query('', { ttl: 3 })), []);
    assert.deepEqual(world.verdicts(world.prober), [0, 1, 0]);
    assert.deepEqual(receivers(world.ask({ ttl: 4 })), [world.other], 'the real one still goes on');
  });

  it("router: a leaf's query that comes back from an ultrapeer is a duplicate, whatever its TTL", () => {
    const world = new Probing();
    const asking = world.leaf(names(['x']));
    world.ask({ ttl: 1 }, asking);
    assert.deepEqual(world.ask({ ttl: 4 }), []);
    assert.equal(world.shard.counters.dropped.duplicate, 1);
  });

  it('router: a leaf that repeats its query starts no second search', () => {
    const world = new Probing();
    const asking = world.leaf(names(['x']));
    world.ask({ ttl: 1 }, asking);
    assert.deepEqual(world.ask({ ttl: 1 }, asking), []);
    assert.equal(world.shard.searches.active, 1);
    assert.deepEqual(world.verdicts(asking), [1, 0, 0]);
  });

  it('router: a query whose origin has left is a duplicate all the same (conformance 16)', () => {
    const world = new Probing();
    const asking = world.leaf(names(['x']));
    world.ask({ ttl: 1 }, asking);
    world.shard.links.apply(asking.edge, goneRecord(asking.number));
    assert.deepEqual(world.ask({ ttl: 3 }), []);
    const passing = world.ultrapeer();
    world.ask({ id: 2, ttl: 3 }, passing);
    world.shard.links.apply(passing.edge, goneRecord(passing.number));
    assert.deepEqual(world.ask({ id: 2, ttl: 3 }), []);
    assert.equal(world.shard.counters.dropped.duplicate, 2);
  });

  it('router: a query is forgotten after two generations, and new again then', () => {
    const world = new Probing();
    world.ask({ ttl: 1 });
    for (let generation = 1; generation <= 2; generation++) {
      world.now += QUERY_ROUTE_MS;
      assert.deepEqual(world.ask({ ttl: 1 }), [], 'time alone forgets nothing');
      world.ask({ id: 100 + generation, ttl: 1 });
    }
    assert.deepEqual(receivers(world.ask({ ttl: 1 })), [world.near]);
  });

  describe('of out-of-band queries that several ultrapeers proxied', () => {
    const PROXIES = [0xc0000205, 0xc633640a] as const;
    const proxied = (which: 0 | 1, options: QueryOptions = {}): QueryOptions => ({
      outOfBand: true,
      proxy: PROXIES[which],
      ...options,
    });

    it('router: a copy is a duplicate, and nobody’s fault', () => {
      const world = new Probing();
      assert.deepEqual(receivers(world.ask(proxied(0))), [world.other, world.near]);
      assert.deepEqual(world.ask(proxied(1)), []);
      assert.deepEqual(world.ask(proxied(1), world.other), []);
      assert.equal(world.shard.counters.dropped.duplicate, 2);
      assert.deepEqual([world.verdicts(world.prober), world.verdicts(world.other)], [zero, zero]);
    });

    it('router: a copy with a higher TTL goes on to ultrapeers alone, and its hits find back', () => {
      const world = new Probing();
      world.ask(proxied(0, { ttl: 1 }));
      assert.deepEqual(receivers(world.ask(proxied(1, { ttl: 3 }))), [world.other]);
      const answer = hit();
      query('test', proxied(1))
        .subarray(0, 16)
        .forEach((byte, i) => (answer[i] = byte));
      assert.deepEqual(receivers(world.send(world.other, answer)), [world.prober]);
      assert.deepEqual(world.ask(proxied(0, { ttl: 3 })), [], 'the first one has then been as far');
    });

    it('router: extensions of all copies together are three at most', () => {
      const world = new Probing();
      world.ask(proxied(0, { ttl: 0 }));
      const sent = [1, 2, 3, 4].map((ttl) => world.ask(proxied(ttl % 2 === 0 ? 0 : 1, { ttl })).length);
      assert.deepEqual(sent, [0, 1, 1, 0], 'the first one, of TTL 1, reaches nobody and counts');
    });

    it('router: what a leaf asks of us itself is not asked again for its other ultrapeers', () => {
      const world = new Probing();
      const asking = world.leaf(names(['x']));
      world.ask({ outOfBand: true, ttl: 1 }, asking);
      assert.deepEqual(world.ask(proxied(0, { ttl: 4 })), []);
      assert.equal(world.shard.searches.active, 1);
    });

    it('router: without the flag those bytes are like others, and the address alone makes two queries', () => {
      const world = new Probing();
      for (const proxy of PROXIES) {
        assert.deepEqual(receivers(world.ask({ proxy })), [world.other, world.near]);
      }
    });

    it('router: one is forgotten after two generations, as routes are', () => {
      const world = new Probing();
      world.ask(proxied(0));
      for (let generation = 1; generation <= 2; generation++) {
        world.now += QUERY_ROUTE_MS;
        assert.deepEqual(world.ask(proxied(1)), []);
        world.ask(proxied(0, { id: 100 + generation }));
      }
      assert.deepEqual(receivers(world.ask(proxied(1))), [world.other, world.near]);
    });
  });

  it('router: reports duplicates, bad and useful frames of each link to its edge once', () => {
    const world = new Probing();
    const far = world.ultrapeer(undefined, {}, world.edges[1]);
    world.ask({ ttl: 1 });
    world.ask({ ttl: 1 });
    world.send(far, query('', {}));
    world.send(far, hit());
    const expected = [
      [world.prober.number, 1, 0, 0],
      [far.number, 0, 1, 1],
    ];
    assert.deepEqual(world.reported(), expected);
    assert.deepEqual(world.reported(), []);
  });
});
