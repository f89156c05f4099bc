import assert from 'node:assert/strict';
import { guidFromHex, guidToHex, HEADER_BYTES } from '@filbert/gnutella';
import { LinkKind } from '@filbert/contracts';
import type { Link } from '../../services/router/src/link-table.ts';
import { MAX_RECORDS_PER_QUERY } from '../../services/router/src/hit-quota.ts';
import { QUERY_ROUTE_MS, WAYS_PER_QUERY } from '../../services/router/src/routes.ts';
import { goneRecord } from './links.ts';
import { guid, hit, names, payloadOf, query, receivers, ShardWorld } from './shard-world.ts';

function worldOfThree(): { world: ShardWorld; asker: Link; second: Link; answerer: Link } {
  const world = new ShardWorld();
  return { world, asker: world.ultrapeer(), second: world.ultrapeer(), answerer: world.ultrapeer() };
}

const remove = (world: ShardWorld, link: Link): void => world.shard.links.apply(link.edge, goneRecord(link.number));

describe('RouterShard: query hits', () => {
  it('router: a hit goes back to the link of its query, its payload untouched', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    const frame = hit({ ttl: 5, hops: 2, records: 3 });
    assert.deepEqual(world.send(answerer, frame), [
      { to: asker, ttl: 4, hops: 3, guid: guidToHex(guid(1)), payload: payloadOf(frame) },
    ]);
    assert.deepEqual(world.verdicts(answerer), [0, 0, 1]);
    assert.deepEqual([world.shard.counters.hits, world.shard.counters.hitDeliveries], [1, 1]);
  });

  it("router: the answers to a leaf's query reach the leaf from every ultrapeer, servent GUID intact (conformance 3)", () => {
    const { world, asker, second } = worldOfThree();
    const leaf = world.leaf(names(['x']));
    world.send(leaf, query('test'));
    for (const [n, from] of [asker, second].entries()) {
      const frame = hit({ servent: guid(700 + n) });
      const [delivery] = world.send(from, frame);
      assert.equal(delivery?.to, leaf);
      assert.ok(delivery.payload.endsWith(guidToHex(guid(700 + n))));
    }
  });

  it('router: a hit reaches a leaf, or a search of our own, even on its last hop', () => {
    for (const kind of [LinkKind.LINK_KIND_LEAF, LinkKind.LINK_KIND_USER]) {
      for (const [ttl, out] of [
        [0, 1],
        [1, 1],
        [2, 1],
        [3, 2],
      ] as const) {
        const { world, answerer } = worldOfThree();
        world.send(world.leaf(names(['x']), { kind }), query('test'));
        assert.equal(world.send(answerer, hit({ ttl }))[0]?.ttl, out, `kind ${kind}, TTL ${ttl}`);
      }
    }
  });

  it('router: a hit on its last hop is not sent on to an ultrapeer, one with too high a TTL is cut', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    const sent = [0, 1, 2, 16, 17, 255].map((ttl) => world.send(answerer, hit({ ttl }))[0]?.ttl);
    assert.deepEqual(sent, [undefined, undefined, 1, 15, 15, 15]);
    assert.equal(world.shard.counters.dropped['ttl-exceeded'], 2);
    assert.deepEqual(world.send(answerer, hit({ hops: 255 })), []);
    assert.equal(world.send(answerer, hit({ hops: 254 }))[0]?.hops, 255);
  });

  it('router: when the first way back is gone, a hit takes the next one', () => {
    const { world, asker, second, answerer } = worldOfThree();
    world.send(asker, query('test'));
    world.send(second, query('test', { ttl: 2 }));
    assert.deepEqual(receivers(world.send(answerer, hit())), [asker]);
    remove(world, asker);
    assert.deepEqual(receivers(world.send(answerer, hit())), [second]);
  });

  it('router: a hit is not sent to the servent that it is of: the next way gets it, if there is one', () => {
    const { world, second, answerer } = worldOfThree();
    const servent = guid(700);
    const itself = world.ultrapeer(undefined, { serventGuid: servent });
    world.send(itself, query('test'));
    assert.deepEqual(world.send(answerer, hit({ servent })), []);
    assert.equal(world.shard.counters.dropped['route-lost'], 1);
    world.send(second, query('test', { ttl: 2 }));
    assert.deepEqual(receivers(world.send(answerer, hit({ servent }))), [second]);
    assert.deepEqual(receivers(world.send(answerer, hit({ servent: guid(701) }))), [itself]);
  });

  it('router: a hit never goes back to the link that it came over', () => {
    const { world, asker, second } = worldOfThree();
    world.send(asker, query('test'));
    assert.deepEqual(world.send(asker, hit()), []);
    assert.equal(world.shard.counters.dropped['route-lost'], 1);
    world.send(second, query('test', { ttl: 2 }));
    assert.deepEqual(receivers(world.send(asker, hit())), [second]);
  });

  it('router: a hit whose ways back are all gone is dropped without blame', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    remove(world, asker);
    assert.deepEqual(world.send(answerer, hit()), []);
    assert.equal(world.shard.counters.dropped['route-lost'], 1);
    assert.deepEqual(world.verdicts(answerer), [0, 0, 0]);
  });

  it('router: of many ways back the first ones are kept', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    const others = Array.from({ length: WAYS_PER_QUERY + 2 }, () => world.ultrapeer());
    for (const other of others) world.send(other, query('test', { ttl: 1 }));
    remove(world, asker);
    const used: (Link | undefined)[] = [];
    for (const other of others) {
      used.push(...receivers(world.send(answerer, hit())));
      remove(world, other);
    }
    assert.deepEqual(used, others.slice(0, WAYS_PER_QUERY - 1));
  });

  it('router: a hit to a query never seen is dropped, and counted against its link once the shard can know', () => {
    const { world, answerer } = worldOfThree();
    assert.deepEqual(world.send(answerer, hit()), []);
    assert.deepEqual(world.verdicts(answerer), [0, 0, 0], 'the query may be one of a shard that was here before');
    world.now += QUERY_ROUTE_MS;
    assert.deepEqual(world.send(answerer, hit()), []);
    assert.deepEqual(world.verdicts(answerer), [0, 1, 0]);
    assert.equal(world.shard.counters.dropped['route-unknown'], 2);
  });

  it('router: hits are not taken for duplicates of each other', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    for (let i = 0; i < 5; i++) assert.equal(world.send(answerer, hit()).length, 1);
  });

  it('router: a malformed hit is dropped and counted against its link', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    const good = hit();
    const none = hit();
    none[HEADER_BYTES] = 0;
    const many = hit();
    many[HEADER_BYTES] = 255;
    for (const frame of [good.slice(0, HEADER_BYTES + 15), good.slice(0, HEADER_BYTES), none, many]) {
      assert.deepEqual(world.send(answerer, frame), []);
    }
    assert.deepEqual(world.verdicts(answerer), [0, 4, 0]);
    assert.equal(world.shard.counters.dropped.malformed, 4);
  });

  it('router: a hit whose servent GUID names nobody is refused (conformance 184)', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    const refused = [
      new Uint8Array(16),
      guidFromHex('abcdefabcdefabcdefabcdefabcdefab'),
      guid(1),
      guidFromHex('20d262ff0e6fd6119734004005a207b1'),
    ];
    for (const servent of refused) {
      assert.ok(servent);
      assert.deepEqual(world.send(answerer, hit({ servent })), []);
    }
    assert.deepEqual(world.verdicts(answerer), [0, 4, 0]);
    assert.equal(world.shard.counters.dropped['servent-guid-refused'], 4);
    assert.equal(world.shard.servents.routes.size, 0);
  });

  it('router: a query that brought very many records gets no more', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    world.send(asker, query('test', { id: 2 }));
    let delivered = 0;
    for (let i = 0; i < 12; i++) delivered += world.send(answerer, hit({ records: 100 })).length;
    assert.equal(delivered, MAX_RECORDS_PER_QUERY / 100);
    assert.equal(world.shard.counters.dropped['results-enough'], 2);
    assert.equal(world.send(answerer, hit({ id: 2 })).length, 1);
  });

  it('router: a query that keeps getting hits is remembered beyond two generations', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    for (let generation = 0; generation < 4; generation++) {
      world.now += QUERY_ROUTE_MS;
      world.send(asker, query('test', { id: 100 + generation }));
      assert.deepEqual(receivers(world.send(answerer, hit())), [asker], `generation ${generation}`);
    }
  });

  it('router: hits pass however short the credit for queries is', () => {
    const { world, asker, answerer } = worldOfThree();
    world.send(asker, query('test'));
    world.pressure = 0.99;
    world.flush();
    assert.equal(world.send(answerer, hit({ hops: 3 })).length, 1);
  });
});
