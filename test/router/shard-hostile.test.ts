import assert from 'node:assert/strict';
import { guidToHex, HOPS_OFFSET, LENGTH_OFFSET } from '@filbert/gnutella';
import fc from 'fast-check';
import type { Link } from '../../services/router/src/link-table.ts';
import { LEAF } from './links.ts';
import { guid, hit, names, payloadOf, push, query, ShardWorld, WHATS_NEW } from './shard-world.ts';

const few = fc.nat(4);
const ttl = fc.oneof(fc.nat(8), fc.constant(255));
const anyFrame = fc.oneof(
  fc
    .record({ text: fc.constantFrom('test', 'test this', 'nobody', '', 'WhatIsNewXOXO'), id: few, ttl, hops: ttl })
    .map(({ text, ...options }) => query(text, options)),
  fc
    .record({
      id: few,
      ttl,
      hops: ttl,
      servent: few.map((n) => guid(500 + n)),
      records: fc.integer({ min: 1, max: 9 }),
    })
    .map((options) => hit(options)),
  fc
    .record({ servent: few, id: few, ttl, hops: ttl })
    .map(({ servent, ...options }) => push(guid(500 + servent), options)),
);
/** Whole, with some bytes behind the header overwritten, or cut short. */
const anyHostileFrame = fc
  .tuple(anyFrame, fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 2 }), fc.option(fc.nat(120)))
  .map(([frame, changes, cut]) => {
    const changed = frame.slice();
    for (const [at, value] of changes) if (23 + at < changed.length) changed[23 + at] = value;
    if (cut === null || 23 + cut >= changed.length) return changed;
    changed[LENGTH_OFFSET] = cut;
    changed[LENGTH_OFFSET + 1] = 0;
    return changed.slice(0, 23 + cut);
  });

describe('RouterShard: hostile frames', () => {
  it('router: whatever comes, frames go on as they came, never back, and never with TTL 0', () => {
    const world = new ShardWorld();
    const capabilities = WHATS_NEW;
    const links: Link[] = [
      world.leaf(names(['test']), { capabilities, serventGuid: guid(500) }),
      world.leaf(names(['test this'])),
      world.ultrapeer(names(['test']), { capabilities }),
      world.ultrapeer(undefined, { maxTtl: 2 }, world.edges[1]),
      world.ultrapeer(undefined, { capabilities, hopsFlow: 2 }),
    ];
    const [first] = links;
    assert.ok(first);
    let delivered = 0;
    let nextId = 1_000;
    fc.assert(
      fc.property(
        fc.array(fc.record({ frame: anyHostileFrame, from: fc.constantFrom(...links) }), {
          minLength: 20,
          maxLength: 60,
        }),
        (frames) => {
          for (const { frame, from } of frames) {
            // The edge ends leaves that relay.
            if (from.kind === LEAF) frame[HOPS_OFFSET] = 0;
            const before = Buffer.from(frame);
            for (const delivery of world.send(from, frame)) {
              delivered++;
              assert.ok(delivery.to !== undefined && delivery.to !== from);
              assert.ok(delivery.ttl >= 1 && delivery.ttl <= 254);
              assert.equal(delivery.hops, (before[HOPS_OFFSET] as number) + 1);
              assert.equal(delivery.guid, guidToHex(before));
              assert.equal(delivery.payload, payloadOf(before));
            }
          }
          // Three generations later every GUID is new again.
          for (let generation = 0; generation < 3; generation++) {
            world.now += 3_600_000;
            delivered += world.send(first, query('nothing', { id: nextId++ })).length;
          }
        },
      ),
      { numRuns: 40 },
    );
    assert.ok(delivered > 480, String(delivered));
    const { counters } = world.shard;
    assert.equal(delivered, counters.queryDeliveries + counters.hitDeliveries + counters.pushDeliveries);
  });
});
