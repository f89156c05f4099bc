import assert from 'node:assert/strict';
import { formatSha1Urn, asSha1, Descriptor, guidToHex, HEADER_BYTES, tableForNames } from '@filbert/gnutella';
import { LinkKind } from '@filbert/contracts';
import type { Link } from '../../services/router/src/link-table.ts';
import { recordOf } from './links.ts';
import {
  asFunction,
  guid,
  names,
  payloadOf,
  query,
  receivers,
  ShardWorld,
  WHATS_NEW,
  type Delivery,
  type QueryOptions,
} from './shard-world.ts';

const SHA1 = asSha1(Uint8Array.from({ length: 20 }, (_, i) => i * i + 1));
const URN = formatSha1Urn(SHA1);

/** Two ultrapeers and a leaf as in LimeWire's routing tests (docs/protocol/conformance.md). */
class Topology extends ShardWorld {
  readonly up1: Link;
  readonly up2: Link;
  readonly near: Link;

  constructor() {
    super();
    this.up1 = this.ultrapeer(names(['leehsus', 'awesome']), { maxTtl: 3 });
    this.up2 = this.ultrapeer(undefined, { maxTtl: 3 }, this.edges[1]);
    this.near = this.leaf(names(['test susheel'], [URN]));
  }

  /** Sends a query from UP2; returns its way to UP1 and to the leaf. */
  ask(text: string, options: QueryOptions = {}): { up1: Delivery | undefined; leaf: Delivery | undefined } {
    const deliveries = this.send(this.up2, query(text, options));
    assert.ok(!deliveries.some(({ to }) => to === this.up2), 'never back');
    return {
      up1: deliveries.find(({ to }) => to === this.up1),
      leaf: deliveries.find(({ to }) => to === this.near),
    };
  }
}

describe('RouterShard: queries', () => {
  it('router: sends a query to the other ultrapeers with hops + 1 and TTL - 1, as it came (conformance 1)', () => {
    const world = new Topology();
    const third = world.ultrapeer();
    const frame = query('crap', { ttl: 4 });
    const deliveries = world.send(world.up2, frame);
    assert.deepEqual(receivers(deliveries), [world.up1, third]);
    for (const { ttl, hops, guid: id, payload } of deliveries) {
      assert.deepEqual([ttl, hops, id, payload], [3, 1, guidToHex(guid(1)), payloadOf(frame)]);
    }
    assert.deepEqual(world.verdicts(world.up2), [0, 0, 0]);
    assert.equal(world.shard.counters.queryDeliveries, 2);
  });

  it('router: gives a query to the leaves whose table has its words, with TTL 1 (conformance 11)', () => {
    const world = new Topology();
    const { up1, leaf } = world.ask('test', { ttl: 4 });
    assert.deepEqual([up1?.ttl, up1?.hops, leaf?.ttl, leaf?.hops], [3, 1, 1, 1]);
    assert.equal(world.ask('berkeley', { id: 2 }).leaf, undefined);
  });

  it('router: gives a query of several words only to leaves that have every word (conformance 13)', () => {
    const world = new Topology();
    assert.ok(world.ask('TEST: susheel').leaf);
    const { up1, leaf } = world.ask('susheel unheard-of', { id: 2 });
    assert.ok(up1 !== undefined && leaf === undefined);
    assert.ok(world.ask('test susheel test a b', { id: 3 }).leaf, 'words under 3 bytes are not looked up');
  });

  it('router: gives a query of a prefix to a leaf that inserted the prefix, and not the other way round', () => {
    const world = new Topology();
    assert.ok(world.ask('sushee').leaf);
    assert.equal(world.ask('susheels', { id: 2 }).leaf, undefined);
  });

  it('router: sends accented words where the plain ones are, and other scripts only where they are (conformance 12)', () => {
    const world = new Topology();
    const tokyo = world.leaf(names(['東京']));
    const cafe = world.leaf(names(['cafe']));
    assert.deepEqual(receivers(world.send(world.up2, query('Café', { ttl: 1 }))), [cafe]);
    assert.deepEqual(receivers(world.send(world.up2, query('東京', { id: 2, ttl: 1 }))), [tokyo]);
  });

  it('router: gives a URN query to leaves that have the URN, whatever its text (conformance 6)', () => {
    const world = new Topology();
    const { up1, leaf } = world.ask('\\', { sha1: SHA1 });
    assert.ok(up1 !== undefined && leaf !== undefined);
    assert.equal(leaf.guid, up1.guid);
    assert.ok(world.ask('words that nobody has', { id: 2, sha1: SHA1 }).leaf);
  });

  it('router: sends a URN query that no table has on to ultrapeers, but not on its last hop (conformance 9)', () => {
    const world = new Topology();
    const sha1 = Uint8Array.from({ length: 20 }, (_, i) => i * i + 77);
    const far = world.ask('\\', { sha1, ttl: 3 });
    assert.ok(far.up1 !== undefined && far.leaf === undefined);
    const last = world.ask('\\', { id: 2, sha1, ttl: 2 });
    assert.deepEqual([last.up1, last.leaf], [undefined, undefined]);
  });

  it('router: sends a query on its last hop only to ultrapeers whose table matches or who gave none (conformance 7, 8)', () => {
    const world = new Topology();
    const tableless = world.ultrapeer();
    assert.ok(world.ask('elsewhere', { ttl: 3 }).up1);
    assert.deepEqual(receivers(world.send(world.up2, query('elsewhere', { id: 2, ttl: 2 }))), [tableless]);
    for (const [id, text] of ['leehsus', 'leehsu', 'awesome leehsus'].entries()) {
      const deliveries = world.send(world.up2, query(text, { id: 10 + id, ttl: 2 }));
      assert.deepEqual(receivers(deliveries), [world.up1, tableless], text);
      assert.ok(deliveries.every(({ ttl, hops }) => ttl === 1 && hops === 1));
    }
  });

  it('router: a neighbour whose X-Max-TTL leaves a query one hop is asked by its table', () => {
    const world = new Topology();
    const narrow = world.ultrapeer(names(['leehsus']), { maxTtl: 1 });
    assert.ok(!receivers(world.send(world.up2, query('elsewhere', { ttl: 4 }))).includes(narrow));
    const sent = world.send(world.up2, query('leehsus', { id: 2, ttl: 4 }));
    assert.equal(sent.find(({ to }) => to === narrow)?.ttl, 1);
    assert.equal(sent.find(({ to }) => to === world.up1)?.ttl, 3);
  });

  it('router: a query without hops left goes to matching leaves only, with TTL 1', () => {
    const world = new Topology();
    for (const ttl of [0, 1]) {
      const { up1, leaf } = world.ask('test', { id: 1 + ttl, ttl });
      assert.deepEqual([up1, leaf?.ttl], [undefined, 1]);
    }
  });

  it('router: trims TTL so that hops and TTL together do not exceed 4', () => {
    for (const [ttl, hops, out] of [
      [4, 0, 3],
      [7, 0, 3],
      [255, 0, 3],
      [4, 1, 2],
      [3, 2, 1],
      [9, 3, undefined],
      [9, 4, undefined],
    ] as const) {
      const world = new Topology();
      const { up1, leaf } = world.ask('test', { ttl, hops });
      const other = world.ultrapeer();
      const toOther = world.send(world.up2, query('test', { id: 2, ttl, hops })).find(({ to }) => to === other);
      assert.equal(toOther?.ttl, out, `TTL ${ttl}, hops ${hops}`);
      assert.equal(leaf?.hops, hops + 1);
      if (out !== undefined && out > 1) assert.equal(up1?.ttl, Math.min(out, 3));
    }
  });

  it('router: drops a query that came over too many hops unless it is answered out of band', () => {
    const world = new Topology();
    assert.deepEqual(world.ask('test', { hops: 5 }), { up1: undefined, leaf: undefined });
    assert.equal(world.shard.counters.dropped['hops-exceeded'], 1);
    const { up1, leaf } = world.ask('test', { id: 2, hops: 5, outOfBand: true });
    assert.ok(up1 === undefined && leaf?.hops === 6);
    assert.deepEqual(world.ask('test', { id: 3, hops: 255, outOfBand: true }), { up1: undefined, leaf: undefined });
    assert.equal(world.shard.counters.dropped['hops-exceeded'], 2);
  });

  it('router: leaves and ultrapeers whose hops-flow is not above the hops get no query (conformance 135)', () => {
    for (const [hops, hopsFlow, passes] of [
      [0, 0, false],
      [0, 1, false],
      [0, 2, true],
      [1, 2, false],
      [2, 5, true],
      [1, 255, true],
    ] as const) {
      const world = new ShardWorld();
      const up2 = world.ultrapeer();
      const limited = world.ultrapeer(undefined, { hopsFlow });
      const leaf = world.leaf(names(['test']), { hopsFlow });
      const all = receivers(world.send(up2, query('test', { ttl: 3 - hops + 1, hops })));
      assert.equal(all.includes(leaf), passes, `hops ${hops}, flow ${hopsFlow}`);
      assert.equal(all.includes(limited), passes && hops < 3, `hops ${hops}, flow ${hopsFlow}`);
    }
  });

  it('router: a link that raises its hops-flow again gets queries again', () => {
    const world = new Topology();
    const { near } = world;
    world.shard.links.apply(near.edge, recordOf(near.number, { hopsFlow: 0 }));
    assert.equal(world.ask('test', { ttl: 1 }).leaf, undefined);
    world.shard.links.apply(near.edge, recordOf(near.number, { hopsFlow: 5 }));
    assert.ok(world.ask('test', { id: 2, ttl: 1 }).leaf);
  });

  it('router: a leaf without a table, or with an empty one, gets nothing', () => {
    const world = new ShardWorld();
    const up = world.ultrapeer();
    world.leaf();
    world.leaf(names([]));
    assert.deepEqual(world.send(up, query('test', { ttl: 1 })), []);
  });

  it('router: the library gets queries by its table like a leaf, transfers and users get none', () => {
    const world = new ShardWorld();
    const up = world.ultrapeer();
    const table = names(['test']);
    const library = world.leaf(table, { kind: LinkKind.LINK_KIND_LIBRARY });
    world.leaf(table, { kind: LinkKind.LINK_KIND_TRANSFERS });
    world.leaf(table, { kind: LinkKind.LINK_KIND_USER });
    assert.deepEqual(receivers(world.send(up, query('test'))), [library]);
    assert.deepEqual(world.send(up, query('other', { id: 2 })), []);
  });

  it('router: candidates that only the folded table lets through are refused by the exact one', () => {
    const world = new ShardWorld();
    const up = world.ultrapeer();
    // 2^20 slots fold 64 to one: some word of a hundred shares a row with one of these.
    const words = Array.from({ length: 400 }, (_, i) => `word${i}`);
    const leaf = world.leaf(tableForNames(words, [], 20));
    let delivered = 0;
    for (let i = 0; i < 400; i++) {
      delivered += world.send(up, query(`other${i * 7919}`, { id: i, ttl: 1 })).length;
    }
    const { candidates, candidatesRefused } = world.shard.counters;
    assert.ok(candidatesRefused > 0);
    assert.equal(candidates - candidatesRefused, delivered);
    assert.ok(delivered < candidatesRefused / 2 + 1);
    assert.deepEqual(receivers(world.send(up, query('word17', { id: 1_000, ttl: 1 }))), [leaf]);
  });

  it('router: links of other edges get the query through their own edge, with one copy of the frame each', () => {
    const world = new ShardWorld();
    const up = world.ultrapeer();
    const table = names(['test']);
    const here = [0, 1, 2].map(() => world.leaf(table));
    const there = [0, 1].map(() => world.leaf(table, {}, world.edges[1]));
    const frame = query('test', { ttl: 1 });
    assert.deepEqual(receivers(world.send(up, frame)), [...here, ...there]);
    assert.deepEqual(
      world.batches.map((batch) => [batch.edgeEpoch, batch.frames.length, batch.links.length / 4]),
      [
        [11, frame.length, 3],
        [12, frame.length, 2],
      ],
    );
  });

  it('router: drops a malformed query, counts it against its link, and does not remember it', () => {
    const world = new Topology();
    const good = query('test');
    const noNul = good.slice(0, -1);
    const noFlags = good.slice();
    noFlags[HEADER_BYTES] = noFlags[HEADER_BYTES + 1] = 0;
    const badUtf8 = query('test');
    badUtf8[HEADER_BYTES + 3] = 0xff;
    const all = [noNul, noFlags, badUtf8, good.slice(0, HEADER_BYTES + 3), good.slice(0, HEADER_BYTES), query('x')];
    for (const frame of all) assert.deepEqual(world.send(world.up2, frame), []);
    assert.deepEqual(world.verdicts(world.up2), [0, all.length, 0]);
    assert.equal(world.shard.counters.dropped.malformed, all.length);
    assert.equal(world.shard.queryRoutes.size, 0);
    assert.ok(world.ask('test').leaf);
  });

  it('router: drops what is neither query, hit nor PUSH (conformance 14)', () => {
    const world = new Topology();
    for (const code of [Descriptor.PING, Descriptor.PONG, Descriptor.BYE, Descriptor.QRP, 0x23, 0xff]) {
      assert.deepEqual(world.send(world.up2, asFunction(query('test'), code)), []);
    }
    assert.equal(world.shard.counters.dropped['unknown-function'], 6);
  });

  it('router: while credit is short, queries that came far are shed first and hits are not', () => {
    const world = new Topology();
    world.pressure = 0.6;
    world.flush();
    world.ask('test', { ttl: 1 });
    assert.equal(world.shard.counters.dropped['shed-query'], 0);
    assert.equal(world.ask('test', { id: 2, hops: 2, ttl: 1 }).leaf, undefined);
    assert.equal(world.shard.counters.dropped['shed-query'], 1);
    world.pressure = 0;
    world.flush();
    assert.ok(world.ask('test', { id: 3, hops: 2, ttl: 1 }).leaf);
  });

  it('router: what finds no credit or no bus is counted copy by copy', () => {
    const world = new Topology();
    world.sendResult = 'no-credit';
    world.ask('test', { ttl: 4 });
    world.sendResult = 'disconnected';
    world.ask('test', { id: 2, ttl: 1 });
    const { dropped } = world.shard.counters;
    assert.deepEqual([dropped['egress-no-credit'], dropped['egress-disconnected']], [2, 1]);
  });

  it('router: an edge that is gone has its stream closed, and a new one is opened for the next', () => {
    const world = new Topology();
    world.ask('test');
    world.shard.links.removeEdge(world.edges[0]);
    world.shard.outbox.remove(world.edges[0]);
    assert.deepEqual(world.closed, ['edge-0']);
    assert.deepEqual(world.ask('test', { id: 2 }), { up1: undefined, leaf: undefined });
  });
});

describe("RouterShard: What's New", () => {
  function whatsNewWorld(): { world: ShardWorld; from: Link; up: Link; leaf: Link } {
    const world = new ShardWorld();
    const capabilities = WHATS_NEW;
    const from = world.ultrapeer(undefined, { capabilities });
    const up = world.ultrapeer(names(['other']), { capabilities, maxTtl: 2 });
    const leaf = world.leaf(names(['other']), { capabilities });
    world.ultrapeer();
    world.leaf(names(['other']));
    world.leaf(names([]), { capabilities });
    world.leaf(undefined, { capabilities });
    world.leaf(names(['other']), { capabilities, hopsFlow: 1 });
    return { world, from, up, leaf };
  }

  it("router: sends What's New past the tables to all who announced it and share something", () => {
    const { world, from, up, leaf } = whatsNewWorld();
    const deliveries = world.send(from, query('WhatIsNewXOXO', { ttl: 4, whatsNew: true }));
    assert.deepEqual(receivers(deliveries), [up, leaf]);
    assert.equal(deliveries.find(({ to }) => to === up)?.ttl, 2, 'not above X-Max-TTL');
    assert.equal(deliveries.find(({ to }) => to === leaf)?.ttl, 1);
    assert.deepEqual(receivers(world.send(from, query('whatisnewxoxo', { id: 2 }))), [up, leaf], 'by its text alone');
  });

  it('router: sends a query with an unknown selector and no text the same way, without blame (conformance 200)', () => {
    const { world, from, up, leaf } = whatsNewWorld();
    assert.deepEqual(receivers(world.send(from, query('', { ttl: 4, whatsNew: 2 }))), [up, leaf]);
    assert.equal(from.bad, 0);
  });

  it("router: sends What's New on for two hops, then to leaves only", () => {
    for (const [hops, ttl, toUltrapeers] of [
      [0, 3, true],
      [1, 2, true],
      [2, 2, false],
      [0, 1, false],
    ] as const) {
      const { world, from, up, leaf } = whatsNewWorld();
      const got = receivers(world.send(from, query('WhatIsNewXOXO', { hops, ttl })));
      assert.deepEqual(got, toUltrapeers ? [up, leaf] : [leaf], `hops ${hops}, TTL ${ttl}`);
    }
  });

  it("router: a leaf's What's New reaches ultrapeers whatever its TTL, and is not searched for further", () => {
    const { world, up, leaf, from } = whatsNewWorld();
    const asking = world.leaf(names(['x']), { capabilities: WHATS_NEW });
    const deliveries = world.send(asking, query('WhatIsNewXOXO', { ttl: 1 }));
    assert.deepEqual(receivers(deliveries), [from, up, leaf]);
    assert.ok(deliveries.every(({ ttl }) => ttl === 1));
    assert.equal(world.shard.searches.active, 0);
  });

  it("router: a What's New seen before goes nowhere", () => {
    const { world, from } = whatsNewWorld();
    world.send(from, query('WhatIsNewXOXO', { ttl: 1 }));
    assert.deepEqual(world.send(from, query('WhatIsNewXOXO', { ttl: 3 })), []);
    assert.equal(world.shard.counters.dropped.duplicate, 1);
  });
});
