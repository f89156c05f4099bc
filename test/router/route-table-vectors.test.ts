// LimeWire's rules of a route table (vectors-limewire.json, route_table), held to the tables and the shard that route here.
import assert from 'node:assert/strict';
import { GuidTable } from '../../services/router/src/guid-table.ts';
import { takeHitQuota } from '../../services/router/src/hit-quota.ts';
import { createQueryRoutes, QUERY_ROUTE_MS, QueryColumn } from '../../services/router/src/routes.ts';
import { limewireVectors } from '../gnutella/vectors.ts';
import { goneRecord } from './links.ts';
import { guid, hit, push, query, receivers, ShardWorld } from './shard-world.ts';

const vector = limewireVectors['route_table'] as { readonly rule: string; readonly reply_bytes: readonly number[] };
const GENERATION_MS = 1_000;
const TTL = 3;
const SERVENT = guid(500);

/** Each clause of the rule, by its words, with what shows it. */
const CLAUSES: Readonly<Record<string, () => void>> = {
  'two generation maps swapped after N s or when full': () => {
    for (const full of [false, true]) {
      const time = { now: 0 };
      const maxEntries = full ? 1 : 10;
      const table = new GuidTable({ maxEntries, width: 1, generationMs: GENERATION_MS, now: () => time.now });
      table.insert(guid(1), 0);
      for (const n of [2, 3]) {
        assert.ok(table.find(guid(1), 0) >= 0, `lives until GUID ${n} comes`);
        if (!full) time.now += GENERATION_MS;
        table.insert(guid(n), 0);
      }
      assert.equal(table.find(guid(1), 0), -1, 'dies at the second swap');
      assert.ok(table.find(guid(2), 0) >= 0 && table.find(guid(3), 0) >= 0);
      assert.equal(table.fullRotations, full ? 2 : 0);
    }
  },

  'tryToRoute false for known GUID': () => {
    const { world, first, second, answerer } = worldOfThree();
    assert.deepEqual(receivers(world.send(first, query('test', { ttl: TTL }))), [second, answerer]);
    assert.deepEqual(world.send(second, query('test', { ttl: TTL })), []);
    assert.equal(world.shard.counters.dropped.duplicate, 1);
    assert.deepEqual(receivers(world.send(answerer, hit())), [first], 'the first owner is kept');
  },

  // LimeWire keeps queries and servents in tables of one kind; here only a servent's way is ever told anew.
  'routeReply overwrites': () => {
    const { world, first, second, answerer } = worldOfThree();
    world.send(first, query('test', { ttl: TTL }));
    for (const owner of [answerer, second]) {
      world.send(owner, hit({ servent: SERVENT }));
      assert.deepEqual(receivers(world.send(first, push(SERVENT, { id: 900 + owner.serial }))), [owner]);
    }
  },

  'removeReplyHandler turns entries into null (still duplicates)': () => {
    const { world, first, second, answerer } = worldOfThree();
    world.send(first, query('test', { ttl: TTL }));
    world.shard.links.apply(first.edge, goneRecord(first.number));
    assert.deepEqual(world.send(answerer, hit()), []);
    assert.equal(world.shard.counters.dropped['route-lost'], 1);
    assert.deepEqual(world.send(second, query('test', { ttl: TTL })), []);
    assert.equal(world.shard.counters.dropped.duplicate, 1);
  },
};

function worldOfThree() {
  const world = new ShardWorld();
  return { world, first: world.ultrapeer(), second: world.ultrapeer(), answerer: world.ultrapeer() };
}

describe("router: LimeWire's rules of a route table (conformance 23 to 28)", () => {
  it('router: the clauses are those of the vectors', () => {
    assert.deepEqual(Object.keys(CLAUSES), vector.rule.split('; '));
  });

  for (const [clause, shows] of Object.entries(CLAUSES)) it(`router: ${clause}`, shows);

  it('router: the bytes routed for a query are those of the sequence, over a change of generations after each hit', () => {
    let now = 0;
    const routes = createQueryRoutes(() => now);
    const target = new ShardWorld().ultrapeer();
    routes.insert(guid(1), 0);
    const bytesSoFar = (): number => routes.get(routes.find(guid(1), 0), QueryColumn.hitBytes);
    assert.ok(vector.reply_bytes.length > 1);
    for (const [i, bytes] of vector.reply_bytes.entries()) {
      assert.equal(bytesSoFar(), bytes);
      const next = vector.reply_bytes[i + 1] ?? bytes;
      // As the shard does with each hit.
      const route = routes.promote(routes.find(guid(1), 0));
      assert.equal(takeHitQuota(routes, route, 1, next - bytes, TTL, target), undefined);
      now += QUERY_ROUTE_MS;
      routes.insert(guid(100 + i), 0);
      assert.equal(bytesSoFar(), next, 'in the older generation');
    }
  });

  it('router: the bytes routed stay with the query where another way takes over', () => {
    const { world, first, second, answerer } = worldOfThree();
    world.send(first, query('test', { ttl: TTL }));
    world.send(second, query('test', { ttl: TTL - 1 }));
    const frame = hit();
    for (const [hits, owner] of [first, second].entries()) {
      assert.deepEqual(receivers(world.send(answerer, frame)), [owner]);
      world.shard.links.apply(owner.edge, goneRecord(owner.number));
      const { queryRoutes } = world.shard;
      const route = queryRoutes.find(guid(1), 0);
      assert.equal(queryRoutes.get(route, QueryColumn.hitBytes), (hits + 1) * frame.length);
    }
  });
});
