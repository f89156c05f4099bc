import assert from 'node:assert/strict';
import { LinkKind } from '@filbert/contracts';
import {
  MAX_BYTES_FAR,
  MAX_BYTES_LAST_HOP,
  MAX_BYTES_TWO_HOPS,
  MAX_RECORDS_PER_QUERY,
} from '../../services/router/src/hit-quota.ts';
import type { Link } from '../../services/router/src/link-table.ts';
import { QUERY_ROUTE_MS, QueryColumn } from '../../services/router/src/routes.ts';
import { limewireVectors } from '../gnutella/vectors.ts';
import { guid, hit, names, query, ShardWorld } from './shard-world.ts';

/** Hits of about this size are sent until one is refused. */
const HIT_BYTES = 4_000;

describe('RouterShard: how much comes back for one query', () => {
  let world: ShardWorld;
  let asker: Link;
  let answerer: Link;

  beforeEach(() => {
    world = new ShardWorld();
    asker = world.ultrapeer();
    answerer = world.ultrapeer();
  });

  const refused = (): number => world.shard.counters.dropped['hit-bytes-enough'];
  const big = (ttl: number, id = 1): Uint8Array => hit({ id, ttl, nameBytes: HIT_BYTES - 80 });

  function hitBytes(id = 1): number {
    const { queryRoutes } = world.shard;
    return queryRoutes.get(queryRoutes.find(guid(id), 0), QueryColumn.hitBytes);
  }

  /** Sends big hits until one is dropped; the bytes that were delivered before. */
  function bytesUntilRefused(ttl: number): number {
    let bytes = 0;
    for (let i = 0; i < 200; i++) {
      const frame = big(ttl);
      if (world.send(answerer, frame).length === 0) return bytes;
      bytes += frame.length;
    }
    return bytes;
  }

  it("router: the bytes are those of LimeWire's rule, the records are gtk-gnutella's (reply_flow_control)", () => {
    const rule = limewireVectors['reply_flow_control'] as {
      readonly drop_if_results_routed_over: number;
      readonly max_bytes: Readonly<Record<'ttl>2' | 'ttl==2' | 'ttl==1', number>>;
    };
    assert.deepEqual(
      [MAX_BYTES_FAR, MAX_BYTES_TWO_HOPS, MAX_BYTES_LAST_HOP],
      [rule.max_bytes['ttl>2'], rule.max_bytes['ttl==2'], rule.max_bytes['ttl==1']],
    );
    // A deliberate difference: docs/protocol-support.md, row 30.
    assert.ok(MAX_RECORDS_PER_QUERY > rule.drop_if_results_routed_over);
  });

  it('router: hits are taken below 50, 100 and 200 KiB, by the TTL with which they go on (conformance 30)', () => {
    for (const [ttlIn, limit] of [
      [7, MAX_BYTES_FAR],
      [4, MAX_BYTES_FAR],
      [3, MAX_BYTES_TWO_HOPS],
      [2, MAX_BYTES_LAST_HOP],
    ] as const) {
      world = new ShardWorld();
      asker = world.ultrapeer();
      answerer = world.ultrapeer();
      world.send(asker, query('test'));
      const bytes = bytesUntilRefused(ttlIn);
      assert.ok(bytes >= limit && bytes < limit + big(ttlIn).length, `TTL ${ttlIn}: ${bytes} of ${limit}`);
      assert.equal(hitBytes(), bytes, 'what was dropped is not counted');
      assert.equal(refused(), 1);
      assert.deepEqual(world.verdicts(answerer).slice(0, 2), [0, 0], 'nobody is to blame');
    }
  });

  it('router: far hits stop first; nearer ones of the same query still come', () => {
    world.send(asker, query('test'));
    bytesUntilRefused(4);
    assert.equal(world.send(answerer, big(3)).length, 1);
    bytesUntilRefused(3);
    assert.equal(world.send(answerer, big(2)).length, 1);
    bytesUntilRefused(2);
    assert.equal(world.send(answerer, hit({ ttl: 2 })).length, 0);
  });

  it('router: to a leaf a hit has one link to go, whatever its TTL', () => {
    const leaf = world.leaf(names(['x']));
    world.send(leaf, query('test'));
    const bytes = bytesUntilRefused(7);
    assert.ok(bytes >= MAX_BYTES_LAST_HOP && bytes < MAX_BYTES_LAST_HOP + big(7).length);
  });

  it('router: of our own searches only the records count', () => {
    const user = world.leaf(names(['x']), { kind: LinkKind.LINK_KIND_USER });
    world.send(user, query('test'));
    assert.ok(bytesUntilRefused(7) > 3 * MAX_BYTES_LAST_HOP);
    assert.equal(refused(), 0);
    let records = 200;
    for (; world.send(answerer, hit({ records: 100 })).length > 0; records += 100);
    assert.equal(records, MAX_RECORDS_PER_QUERY);
  });

  it('router: one query that has enough takes nothing from another', () => {
    world.send(asker, query('test'));
    world.send(asker, query('test', { id: 2 }));
    bytesUntilRefused(4);
    assert.equal(hitBytes(2), 0);
    assert.equal(world.send(answerer, big(4, 2)).length, 1);
  });

  it('router: the bytes are counted hit by hit and survive a change of generations (conformance 28)', () => {
    world.send(asker, query('test'));
    let expected = 0;
    assert.equal(hitBytes(), 0);
    for (const nameBytes of [5, 60, 2, 300]) {
      const frame = hit({ nameBytes });
      world.send(answerer, frame);
      expected += frame.length;
      assert.equal(hitBytes(), expected);
      world.now += QUERY_ROUTE_MS;
      world.send(asker, query('test', { id: 100 + nameBytes }));
      assert.equal(hitBytes(), expected, 'in the older generation now');
    }
    assert.equal(world.shard.queryRoutes.fullRotations, 0);
  });

  it('router: enough stays enough over a change of generations', () => {
    world.send(asker, query('test'));
    bytesUntilRefused(4);
    world.now += QUERY_ROUTE_MS;
    world.send(asker, query('test', { id: 2 }));
    assert.equal(world.send(answerer, hit({ ttl: 4 })).length, 0);
    world.now += QUERY_ROUTE_MS;
    world.send(asker, query('test', { id: 3 }));
    assert.equal(world.send(answerer, hit({ ttl: 4 })).length, 0, 'even a refused hit keeps the query remembered');
    assert.equal(refused(), 3);
  });

  it('router: a duplicate of the query or its extension does not start the count anew', () => {
    world.send(asker, query('test', { ttl: 1 }));
    bytesUntilRefused(4);
    const bytes = hitBytes();
    world.send(world.ultrapeer(), query('test'));
    world.send(asker, query('test', { ttl: 4 }));
    assert.equal(hitBytes(), bytes);
    assert.equal(world.send(answerer, big(4)).length, 0);
  });
});
