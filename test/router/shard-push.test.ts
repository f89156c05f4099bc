import assert from 'node:assert/strict';
import { guidFromHex, guidToHex, HEADER_BYTES } from '@filbert/gnutella';
import { LinkKind } from '@filbert/contracts';
import type { Link } from '../../services/router/src/link-table.ts';
import { PUSH_ROUTE_MS, WAYS_PER_SERVENT } from '../../services/router/src/routes.ts';
import { goneRecord } from './links.ts';
import { guid, hit, names, payloadOf, push, query, receivers, ShardWorld } from './shard-world.ts';

const SERVENT = guid(500);

/** A leaf that searched, and two ultrapeers through which hits come. */
class Pushing extends ShardWorld {
  readonly asking: Link;
  readonly up1: Link;
  readonly up2: Link;
  #id = 900;

  constructor() {
    super();
    this.asking = this.leaf(names(['x']));
    this.up1 = this.ultrapeer();
    this.up2 = this.ultrapeer();
    this.ultrapeer();
    this.send(this.asking, query('test'));
  }

  hitFrom(link: Link, servent = SERVENT): void {
    assert.equal(this.send(link, hit({ servent })).length, 1);
  }

  /** Where a PUSH of the leaf goes; each has a GUID of its own. */
  pushTo(servent = SERVENT, from = this.asking): (Link | undefined)[] {
    return receivers(this.send(from, push(servent, { id: this.#id++ })));
  }

  drop(link: Link): void {
    this.shard.links.apply(link.edge, goneRecord(link.number));
  }
}

describe('RouterShard: PUSH', () => {
  it('router: a PUSH goes only where the hit came from, its payload untouched (conformance 4)', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    const frame = push(SERVENT, { id: 900, ttl: 4 });
    assert.deepEqual(world.send(world.asking, frame), [
      { to: world.up1, ttl: 3, hops: 1, guid: guidToHex(guid(900)), payload: payloadOf(frame) },
    ]);
    assert.deepEqual([world.shard.counters.pushes, world.shard.counters.pushDeliveries], [1, 1]);
  });

  it('router: a later hit over another link re-points the way of a PUSH (conformance 5)', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    world.hitFrom(world.up2);
    assert.deepEqual(world.pushTo(), [world.up2]);
    world.hitFrom(world.up1);
    assert.deepEqual(world.pushTo(), [world.up1]);
  });

  it('router: when the newest way of a PUSH is gone, the one before it is taken', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    world.hitFrom(world.up2);
    world.drop(world.up2);
    assert.deepEqual(world.pushTo(), [world.up1]);
    world.drop(world.up1);
    assert.deepEqual(world.pushTo(), []);
    assert.equal(world.shard.counters.dropped['route-lost'], 1);
  });

  it('router: the newest ways to a servent are kept', () => {
    const world = new Pushing();
    const ways = Array.from({ length: WAYS_PER_SERVENT + 2 }, () => world.ultrapeer());
    for (const way of ways) world.hitFrom(way);
    const used: (Link | undefined)[] = [];
    for (const way of [...ways].reverse()) {
      used.push(...world.pushTo());
      world.drop(way);
    }
    assert.deepEqual(used, [...ways].reverse().slice(0, WAYS_PER_SERVENT));
  });

  it('router: a PUSH never goes back to the link that it came over', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    assert.deepEqual(world.pushTo(SERVENT, world.up1), []);
    world.hitFrom(world.up2);
    world.hitFrom(world.up1);
    assert.deepEqual(world.pushTo(SERVENT, world.up1), [world.up2]);
  });

  it('router: a direct neighbour that owns the GUID wins over learned ways', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    const owner = world.leaf(undefined, { serventGuid: SERVENT }, world.edges[1]);
    for (const ttl of [0, 1, 4]) {
      const [delivery] = world.send(world.up2, push(SERVENT, { id: 10 + ttl, ttl, hops: 3 }));
      assert.deepEqual([delivery?.to, delivery?.ttl, delivery?.hops], [owner, Math.max(1, ttl - 1), 4]);
    }
    assert.deepEqual(world.pushTo(SERVENT, owner), [world.up1], 'the owner itself is sent along the learned way');
    world.drop(owner);
    assert.deepEqual(world.pushTo(), [world.up1]);
  });

  it('router: a PUSH for the GUID of our own servent goes to the transfers link', () => {
    const world = new Pushing();
    const transfers = world.leaf(undefined, { kind: LinkKind.LINK_KIND_TRANSFERS, serventGuid: SERVENT });
    assert.deepEqual(world.pushTo(SERVENT, world.up1), [transfers]);
  });

  it('router: a PUSH on its last hop reaches a leaf whose hits we know, but goes to no ultrapeer', () => {
    const world = new Pushing();
    const sharing = world.leaf(names(['test']));
    world.send(world.up2, query('test', { id: 2 }));
    world.send(sharing, hit({ id: 2, servent: guid(501) }));
    world.hitFrom(world.up1);
    for (const ttl of [0, 1]) {
      const [delivery] = world.send(world.up2, push(guid(501), { id: 20 + ttl, ttl }));
      assert.deepEqual([delivery?.to, delivery?.ttl], [sharing, 1]);
      assert.deepEqual(world.send(world.up2, push(SERVENT, { id: 30 + ttl, ttl })), []);
    }
    assert.equal(world.shard.counters.dropped['ttl-exceeded'], 2);
  });

  it('router: a PUSH for a servent never heard of is dropped, and to nobody else', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    assert.deepEqual(world.pushTo(guid(501)), []);
    assert.equal(world.shard.counters.dropped['route-unknown'], 1);
    assert.deepEqual(world.verdicts(world.asking), [0, 0, 0]);
  });

  it('router: the same PUSH again is dropped, and held against a link only where it repeats itself', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    assert.equal(world.send(world.asking, push(SERVENT)).length, 1);
    assert.equal(world.send(world.up2, push(SERVENT)).length, 0);
    assert.deepEqual(world.verdicts(world.up2), [0, 0, 0]);
    assert.equal(world.send(world.asking, push(SERVENT)).length, 0);
    assert.deepEqual(world.verdicts(world.asking), [1, 0, 0]);
    assert.equal(world.shard.counters.dropped.duplicate, 2);
  });

  it('router: a PUSH too short or for a GUID that names nobody is refused', () => {
    const world = new Pushing();
    const short = push(SERVENT).slice(0, HEADER_BYTES + 25);
    assert.deepEqual(world.send(world.up1, short), []);
    const zero = push(new Uint8Array(16), { id: 901 });
    const banned = guidFromHex('9c51e42153d4c94a858f8e8a8391173d');
    assert.ok(banned);
    assert.deepEqual(world.send(world.up1, zero), []);
    assert.deepEqual(world.send(world.up1, push(banned, { id: 902 })), []);
    assert.deepEqual(world.verdicts(world.up1), [0, 3, 0]);
    assert.deepEqual(
      [world.shard.counters.dropped.malformed, world.shard.counters.dropped['servent-guid-refused']],
      [1, 2],
    );
  });

  it('router: a PUSH over too many hops is dropped', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    assert.deepEqual(world.send(world.up2, push(SERVENT, { hops: 255 })), []);
    assert.equal(world.shard.counters.dropped['hops-exceeded'], 1);
  });

  it('router: a hit that was not sent on teaches no way', () => {
    const world = new Pushing();
    world.send(world.up1, hit({ id: 77 }));
    assert.deepEqual(world.pushTo(), []);
  });

  it('router: the way to a servent that was pushed is remembered beyond two generations', () => {
    const world = new Pushing();
    world.hitFrom(world.up1);
    world.hitFrom(world.up1, guid(502));
    for (let generation = 1; generation <= 3; generation++) {
      world.now += PUSH_ROUTE_MS;
      world.send(world.asking, query('test', { id: generation + 1 }));
      world.send(world.up2, hit({ id: generation + 1, servent: guid(600 + generation) }));
      assert.deepEqual(world.pushTo(), [world.up1], `generation ${generation}`);
    }
    assert.deepEqual(world.pushTo(guid(502)), []);
  });
});

describe('RouterShard: learned ways', () => {
  /** A world of two shards whose shard owns query 1, with a hit's sender; and a servent GUID of each shard. */
  function twoShards(): { world: ShardWorld; from: Link; own: Uint8Array; foreign: Uint8Array } {
    const probe = new ShardWorld({ shards: 2 });
    const shard = probe.shardMap.shardOf(guid(1), 0);
    const world = new ShardWorld({ shards: 2, shard });
    const servents = Array.from({ length: 40 }, (_, i) => guid(500 + i));
    const own = servents.find((servent) => world.shardMap.shardOf(servent, 0) === shard);
    const foreign = servents.find((servent) => world.shardMap.shardOf(servent, 0) !== shard);
    assert.ok(own && foreign);
    world.send(world.ultrapeer(), query('test'));
    return { world, from: world.ultrapeer(), own, foreign };
  }

  it('router: the shard of a servent GUID is taught its way, on change and from time to time', () => {
    const { world, from, own, foreign } = twoShards();
    const owner = 1 - world.shardMap.shardOf(own, 0);
    world.send(from, hit({ servent: own }));
    assert.deepEqual(world.taught, []);
    for (let i = 0; i < 5; i++) world.send(from, hit({ servent: foreign }));
    assert.deepEqual(world.taught, [{ shard: owner, guid: new Uint8Array(foreign), link: from }]);
    const other = world.ultrapeer();
    world.send(other, hit({ servent: foreign }));
    assert.deepEqual(
      world.taught.map(({ link }) => link),
      [from, other],
    );
    world.now += 31_000;
    world.send(other, hit({ servent: foreign }));
    assert.equal(world.taught.length, 3, 'the other shard may have been started again');
  });

  it('router: a way that another shard taught serves a PUSH', () => {
    const { world, from, own } = twoShards();
    world.shard.learn(own, from);
    assert.deepEqual(receivers(world.send(world.ultrapeer(), push(own))), [from]);
    world.shard.learn(own.subarray(0, 15), from);
    assert.equal(world.shard.servents.routes.size, 1);
  });

  it('router: what is taught stands by itself, however the frame it came in is reused', () => {
    const { world, from, foreign } = twoShards();
    const frame = Buffer.from(hit({ servent: foreign }));
    world.shard.frame(frame, 0, frame.length, from);
    frame.fill(0);
    assert.deepEqual(
      world.taught.map(({ guid: taught }) => guidToHex(taught)),
      [guidToHex(foreign)],
    );
  });
});
