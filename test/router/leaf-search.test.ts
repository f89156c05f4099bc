import assert from 'node:assert/strict';
import { LinkCapability } from '@filbert/contracts';
import type { Link } from '../../services/router/src/link-table.ts';
import { ENOUGH_RECORDS, MAX_SEARCHES_PER_LEAF, SEARCH_LIFETIME_MS } from '../../services/router/src/leaf-search.ts';
import { goneRecord, recordOf } from './links.ts';
import {
  guid,
  hit,
  names,
  payloadOf,
  query,
  receivers,
  ShardWorld,
  type Delivery,
  type QueryOptions,
} from './shard-world.ts';

const STEP_MS = 2_400;

/** A leaf and some ultrapeers, none of them with a table. */
class Searching extends ShardWorld {
  readonly asking: Link;
  readonly ups: readonly Link[];

  constructor(ultrapeers: number, random?: () => number) {
    super(random === undefined ? {} : { random });
    this.asking = this.leaf(names(['test']));
    this.ups = Array.from({ length: ultrapeers }, (_, i) =>
      this.ultrapeer(undefined, {}, this.edges[i % 2 === 0 ? 0 : 1]),
    );
  }

  search(options: QueryOptions = {}, from = this.asking): Delivery[] {
    return this.send(from, query('test', options));
  }

  drop(link: Link): void {
    this.shard.links.apply(link.edge, goneRecord(link.number));
  }
}

describe('RouterShard: searches for leaves', () => {
  it("router: a leaf's query goes to three ultrapeers at once with TTL 2 and hops 1 (conformance 2, 10)", () => {
    const world = new Searching(6);
    const deliveries = world.search({ ttl: 4 });
    assert.equal(deliveries.length, 3);
    assert.equal(new Set(receivers(deliveries)).size, 3);
    for (const { to, ttl, hops, payload } of deliveries) {
      assert.ok(to !== undefined && world.ups.includes(to));
      assert.deepEqual([ttl, hops, payload], [2, 1, payloadOf(query('test'))]);
    }
    assert.deepEqual([world.shard.searches.active, world.shard.counters.leafSearches], [1, 1]);
    assert.equal(new Searching(2).search().length, 2);
    assert.equal(new Searching(0).search().length, 0);
  });

  it('router: then one more ultrapeer each 2.4 s with TTL 3, each once, until all were asked', () => {
    const world = new Searching(5);
    const asked = receivers(world.search());
    while (asked.length < world.ups.length) {
      assert.deepEqual(world.pass(STEP_MS - 50), []);
      const [delivery, ...more] = world.pass(50);
      assert.ok(delivery !== undefined && more.length === 0);
      assert.deepEqual([delivery.ttl, delivery.hops], [3, 1]);
      asked.push(delivery.to);
    }
    assert.deepEqual(new Set(asked), new Set(world.ups));
    assert.deepEqual(world.pass(20_000), []);
    const late = world.ultrapeer();
    assert.deepEqual(receivers(world.pass(STEP_MS)), [late], 'one that joins while the search goes on');
  });

  it('router: when all were asked, those that got TTL 2 and take probes are asked once more with TTL 3', () => {
    const world = new Searching(0);
    const deaf = world.ultrapeer();
    const narrow = world.ultrapeer(undefined, { capabilities: LinkCapability.probes, maxTtl: 2 });
    const open = world.ultrapeer(undefined, { capabilities: LinkCapability.probes });
    assert.deepEqual(new Set(receivers(world.search())), new Set([deaf, narrow, open]));
    const later = [world.ultrapeer(undefined, { capabilities: LinkCapability.probes })];
    assert.deepEqual(receivers(world.pass(STEP_MS)), later, 'one that was not asked comes first');
    const again = world.pass(STEP_MS);
    assert.deepEqual(
      again.map(({ to, ttl, hops }) => [to, ttl, hops]),
      [[open, 3, 1]],
    );
    assert.deepEqual(world.pass(20_000), []);
  });

  it('router: ultrapeers whose table matches are asked first, among equals by chance', () => {
    let next = 0;
    const world = new Searching(0, () => (next = (next + 0.37) % 1));
    const others = [0, 1, 2, 3].map(() => world.ultrapeer(names(['elsewhere'])));
    const matching = [0, 1, 2, 3].map(() => world.ultrapeer(names(['test', 'more'])));
    const first = receivers(world.search());
    assert.ok(first.every((link) => link !== undefined && matching.includes(link)));
    const fourth = receivers(world.pass(STEP_MS));
    assert.deepEqual(new Set([...first, ...fourth]), new Set(matching));
    assert.ok(receivers(world.pass(STEP_MS)).every((link) => link !== undefined && others.includes(link)));

    const chosen = new Set<Link | undefined>();
    for (const value of [0, 0.2, 0.4, 0.6, 0.8]) {
      let call = 0;
      const lottery = new Searching(0, () => (call++ === Math.floor(value * 5) ? 0.9 : 0.1));
      const ups = Array.from({ length: 5 }, () => lottery.ultrapeer());
      const [delivery] = lottery.search();
      assert.equal(delivery?.to, ups[Math.floor(value * 5)]);
      chosen.add(delivery?.to);
    }
    assert.equal(chosen.size, 5);
  });

  it("router: a leaf's query goes to all other leaves whose table matches at once, not to itself", () => {
    const world = new Searching(1);
    const others = [0, 1].map(() => world.leaf(names(['test this'])));
    world.leaf(names(['else']));
    const deliveries = world.search({ ttl: 1 });
    assert.deepEqual(new Set(receivers(deliveries)), new Set([...world.ups, ...others]));
    for (const { to, ttl, hops } of deliveries) {
      assert.deepEqual([ttl, hops], to === world.ups[0] ? [2, 1] : [1, 1]);
    }
  });

  it('router: X-Max-TTL and hops-flow of neighbours hold for searches', () => {
    const world = new Searching(0);
    const narrow = world.ultrapeer(undefined, { maxTtl: 1 });
    const unknown = world.ultrapeer(undefined, { maxTtl: 0 });
    const wide = world.ultrapeer(undefined, { maxTtl: 5 });
    world.ultrapeer(undefined, { hopsFlow: 0 });
    const busy = world.ultrapeer(undefined, { hopsFlow: 1 });
    const deliveries = world.search();
    assert.deepEqual(
      new Map(deliveries.map(({ to, ttl }) => [to, ttl])),
      new Map([
        [narrow, 1],
        [unknown, 2],
        [wide, 2],
      ]),
    );
    assert.deepEqual(world.pass(3 * STEP_MS), []);
    world.shard.links.apply(busy.edge, recordOf(busy.number, { kind: busy.kind, hopsFlow: 2 }));
    assert.deepEqual(receivers(world.pass(STEP_MS)), [busy]);
  });

  it('router: a search asks nobody whose X-Max-TTL leaves it one hop and whose table misses (conformance 7, 49)', () => {
    const world = new Searching(0);
    const hit = world.ultrapeer(names(['test']), { maxTtl: 1 });
    world.ultrapeer(names(['elsewhere']), { maxTtl: 1 });
    assert.deepEqual(receivers(world.search()), [hit]);
    assert.deepEqual(world.pass(3 * STEP_MS), []);
  });

  it('router: a search ends when 50 records were routed back, not before', () => {
    const world = new Searching(10);
    world.search();
    const [first] = world.ups;
    assert.ok(first);
    world.send(first, hit({ records: ENOUGH_RECORDS - 1 }));
    assert.equal(world.pass(STEP_MS).length, 1);
    world.send(first, hit({ records: 1 }));
    assert.deepEqual(world.pass(STEP_MS), []);
    assert.equal(world.shard.searches.active, 0);
    assert.deepEqual(world.pass(30_000), []);
    assert.equal(world.send(first, hit()).length, 1, 'late hits still pass');
  });

  it('router: hits that are not routed back do not count for a search', () => {
    const world = new Searching(10);
    world.search();
    const [first] = world.ups;
    assert.ok(first);
    world.send(first, hit({ records: ENOUGH_RECORDS, servent: new Uint8Array(16) }));
    world.send(first, hit({ records: ENOUGH_RECORDS, id: 2 }));
    assert.equal(world.pass(STEP_MS).length, 1);
  });

  it('router: a search ends after 200 s', () => {
    const world = new Searching(200);
    let asked = world.search().length;
    asked += world.pass(SEARCH_LIFETIME_MS - STEP_MS).length;
    assert.equal(world.shard.searches.active, 1);
    asked += world.pass(2 * STEP_MS).length;
    assert.equal(world.shard.searches.active, 0);
    assert.ok(asked > 70 && asked <= 3 + SEARCH_LIFETIME_MS / STEP_MS, String(asked));
    assert.deepEqual(world.pass(10_000), []);
  });

  it('router: a search ends when its leaf goes', () => {
    const world = new Searching(10);
    const other = world.leaf(names(['x']));
    world.search();
    world.search({ id: 2 });
    world.search({ id: 3 }, other);
    world.drop(world.asking);
    assert.equal(world.shard.searches.active, 1);
    const deliveries = world.pass(STEP_MS);
    assert.deepEqual(
      deliveries.map(({ guid: id }) => id),
      [Buffer.from(guid(3)).toString('hex')],
    );
    world.drop(other);
    assert.deepEqual([world.pass(30_000), world.shard.searches.active], [[], 0]);
  });

  it('router: an ultrapeer that goes while it is searched is not asked, and does not stop the search', () => {
    const world = new Searching(4);
    const asked = receivers(world.search());
    const left = world.ups.find((up) => !asked.includes(up));
    assert.ok(left);
    world.drop(left);
    assert.deepEqual(world.pass(STEP_MS), []);
    const late = world.ultrapeer();
    assert.deepEqual(receivers(world.pass(STEP_MS)), [late]);
  });

  it('router: searches of one leaf are bounded, the oldest ends for a newer one', () => {
    const world = new Searching(10);
    const other = world.leaf(names(['x']));
    world.search({ id: 1_000 }, other);
    for (let id = 1; id <= MAX_SEARCHES_PER_LEAF + 2; id++) world.search({ id });
    assert.equal(world.shard.searches.active, MAX_SEARCHES_PER_LEAF + 1);
    const stepped = world.pass(STEP_MS).map(({ guid: id }) => Number.parseInt(id.slice(18, 26), 16));
    assert.deepEqual(
      stepped.sort((a, b) => a - b),
      [...Array.from({ length: MAX_SEARCHES_PER_LEAF }, (_, i) => i + 3), 1_000],
    );
  });

  it('router: searches that ended make room for new ones of their leaf', () => {
    const world = new Searching(4);
    const [first] = world.ups;
    assert.ok(first);
    for (let id = 1; id <= 3 * MAX_SEARCHES_PER_LEAF; id++) {
      world.search({ id });
      world.send(first, hit({ id, records: ENOUGH_RECORDS }));
      if (id % MAX_SEARCHES_PER_LEAF === 0) {
        assert.equal(world.shard.searches.active, MAX_SEARCHES_PER_LEAF);
        world.pass(STEP_MS);
        assert.equal(world.shard.searches.active, 0);
      }
    }
  });

  it('router: after a pause a search takes one step, not all that it missed', () => {
    const world = new Searching(20);
    world.search();
    world.now += 10 * STEP_MS;
    world.shard.tick();
    assert.equal(world.flush().length, 1);
    assert.deepEqual(world.pass(STEP_MS - 50), []);
  });

  it('router: a search keeps its query though the bytes it came in are used again', () => {
    const world = new Searching(4);
    const bytes = Buffer.from(query('test'));
    world.shard.frame(bytes, 0, bytes.length, world.asking);
    bytes.fill(0xee);
    world.flush();
    const [delivery] = world.pass(STEP_MS);
    assert.deepEqual(
      [delivery?.guid, delivery?.payload],
      [Buffer.from(guid(1)).toString('hex'), payloadOf(query('test'))],
    );
  });

  it('router: while credit is short a search asks nobody, and goes on later', () => {
    const world = new Searching(6);
    world.search({ id: 50 });
    world.pressure = 0.95;
    world.flush();
    assert.deepEqual(world.search(), []);
    assert.ok(world.shard.counters.dropped['shed-query'] > 0);
    world.pressure = 0;
    world.flush();
    assert.ok(world.pass(STEP_MS).some(({ guid: id }) => id === Buffer.from(guid(1)).toString('hex')));
  });
});
