import assert from 'node:assert/strict';
import type { IngressBatch } from '@filbert/contracts';
import {
  EDGE_LOST_MS,
  edgesSummary,
  FactsFollower,
  IngressBatchBuilder,
  InternalEdge,
  LinkKind,
  mergedTable,
  mergedTableRequest,
  MergedTable,
  nodeFactsRequest,
  routerIngress,
  type InternalLink,
  type NodeFacts,
} from '@filbert/contracts';
import { encodeQuery, encodeQueryHit, QueryFlag, SlotSet, tableForNames } from '@filbert/gnutella';
import { createInProcessBus, createLogger, createMetrics, Durations, type Bus } from '@filbert/kit';
import { declareMetrics } from '../../services/router/src/metrics.ts';
import { Router } from '../../services/router/src/router.ts';
import { waitFor } from '../support/wait-for.ts';

const FACTS: NodeFacts = {
  version: 1,
  serventGuid: new Uint8Array(16).fill(7),
  nodeSecret: new Uint8Array(16).fill(9),
  shards: 1,
  shardMapVersion: 4,
  advertisedAddress: '',
  transfersAddress: '',
  sharedFiles: 0,
  sharedKib: 0,
  hosts: [],
  startedAtMs: 0,
  learnedAddress: '',
  learnedFrom: 0,
  firewalled: false,
};
/** A QUERY HIT of one file to the query of this GUID. */
function hit({ query: guid }: { readonly query: Uint8Array }): Uint8Array {
  return encodeQueryHit(
    { guid, ttl: 3 },
    {
      port: 6346,
      ip: 0xc0000201,
      speed: 1_000,
      records: [{ index: 1, sizeBytes: 10, name: 'quiet river' }],
      trailer: { vendor: 'TEST' },
      serventGuid: new Uint8Array(16).fill(8),
    },
  );
}

/** Steps of over a second the router takes for a time in which it stood still. */
const CLOCK_STEP_MS = 700;

/** A NATS message, and so the largest that a table may be, in bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

describe('router on the bus, with internal edges', () => {
  let bus: Bus;
  let router: Router;
  let edge: InternalEdge;
  let aheadMs: number;
  let isCutOff: boolean;
  let isSilent: boolean;
  /** Each looks at the status of the bus. */
  let ticks: number;
  let ingressAge: Durations;

  beforeEach(async () => {
    bus = createInProcessBus();
    aheadMs = 0;
    isCutOff = false;
    isSilent = false;
    ticks = 0;
    ingressAge = new Durations();
    bus.respond(nodeFactsRequest, () => FACTS);
    router = new Router({
      bus: cutOffAtWill(bus),
      logger: createLogger({ level: 'silent', name: 'test' }),
      shard: 0,
      epoch: 21,
      now: () => performance.now() + aheadMs,
      wallClock: Date.now,
      ingressAge,
    });
    await router.start();
    const facts = new FactsFollower({ bus });
    await facts.start();
    edge = new InternalEdge({ bus, edgeId: 'library-0', epoch: 5, facts });
    edge.start();
  });
  afterEach(async () => {
    edge.stop();
    router.stop();
    await bus.drain();
  });

  async function routed(count: number): Promise<void> {
    await waitFor(`${count} links in the router`, () => router.shard?.links.size === count);
  }

  it('carries a query from one internal link to another whose table matches, and forgets a closed one', async () => {
    const got: string[] = [];
    const library = edge.openLink(LinkKind.LINK_KIND_LIBRARY, {
      onFrame: (_bytes, start, end, ttl, hops) => got.push(`${end - start} ${ttl} ${hops}`),
    });
    const user = edge.openLink(LinkKind.LINK_KIND_USER, { onFrame: () => assert.fail('nobody answers') });
    library.setTable(tableForNames(['quiet river'], []));
    await routed(2);
    const ask = (n: number, text: string): Uint8Array => {
      const guid = new Uint8Array(16).fill(n);
      guid[0] = 1;
      const frame = encodeQuery({ guid, ttl: 3 }, { flags: QueryFlag.GGEP_HASH, text });
      user.send(frame);
      return frame;
    };
    ask(1, 'nothing like it');
    const frame = ask(2, 'river quiet');
    await waitFor('the query', () => got.length > 0);
    assert.deepEqual(got, [`${frame.length} 1 0`]);
    library.close();
    user.close();
    await routed(0);
    assert.equal(
      router.shard?.links.matrix.find(new Uint32Array(1), 0, new Uint32Array(1), 0, new Uint32Array(8192)),
      0,
    );
  });

  it('carries a trace from one internal link to another and back, and to no frame beside', async () => {
    const trace = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
    const asked: (string | undefined)[] = [];
    const answered: (string | undefined)[] = [];
    const library = edge.openLink(LinkKind.LINK_KIND_LIBRARY, {
      onFrame: (bytes, start, _end, _ttl, _hops, given) => {
        asked.push(given);
        library.send(hit({ query: bytes.slice(start, start + 16) }), given);
      },
    });
    const user = edge.openLink(LinkKind.LINK_KIND_USER, {
      onFrame: (_bytes, _start, _end, _ttl, _hops, given) => answered.push(given),
    });
    library.setTable(tableForNames(['quiet river'], []));
    await routed(2);
    for (const [n, given] of [undefined, trace, undefined].entries()) {
      const guid = new Uint8Array(16).fill(n + 1);
      user.send(encodeQuery({ guid, ttl: 3 }, { flags: QueryFlag.GGEP_HASH, text: 'river quiet' }), given);
    }
    await waitFor('the hits', () => answered.length === 3);
    assert.deepEqual(asked, [undefined, trace, undefined]);
    assert.deepEqual(answered, [undefined, trace, undefined]);
  });

  it('tells a full merged table in a message that fits NATS, whole and as published', async () => {
    const everyThird = Uint32Array.from({ length: 2 ** 20 / 3 }, (_, i) => i * 3);
    const links: InternalLink[] = [];
    for (let i = 0; i < 3; i++) links.push(edge.openLink(LinkKind.LINK_KIND_LIBRARY, { onFrame: () => undefined }));
    const told: MergedTable[] = [];
    bus.subscribe(mergedTable, (table) => told.push(table));
    links[0]?.setTable(SlotSet.fromSlots(20, everyThird));
    await routed(3);
    aheadMs += 5_000;
    const published = await waitFor('the merged table', () => told.at(-1));
    assert.equal(published.full, true);
    const whole = await bus.request(mergedTableRequest, { edgeId: 'edge-0' }, { timeoutMs: 1_000 });
    for (const table of [published, whole]) {
      assert.ok(MergedTable.encode(table).finish().length < MAX_MESSAGE_BYTES / 4);
      assert.equal(SlotSet.fromBitmap(table.bits, table.bitmap).has(3), true);
    }
  });

  it('doubles the merged table that is too full before it tells it', async () => {
    const told: MergedTable[] = [];
    bus.subscribe(mergedTable, (table) => told.push(table));
    // Two thirds of the smallest table, and one third of the next.
    const everyThird = Uint32Array.from({ length: 2 ** 17 / 3 }, (_, i) => i * 3);
    edge.openLink(LinkKind.LINK_KIND_LIBRARY, { onFrame: () => undefined }).setTable(SlotSet.fromSlots(17, everyThird));
    await routed(1);
    aheadMs += 5_000;
    const { bits, full } = await waitFor('the merged table', () => told.at(-1));
    assert.deepEqual([bits, full], [17, true]);
  });

  it('tells how old batches are, how many are held, and the bytes that came and went', async () => {
    const metrics = createMetrics({ service: 'router', strict: true });
    declareMetrics(metrics, [router], ingressAge);
    const value = async (name: string): Promise<number> => {
      const text = await metrics.registry.metrics();
      return Number(new RegExp(`^filbert_router_${name} (\\S+)$`, 'm').exec(text)?.[1]);
    };
    const got: number[] = [];
    const library = edge.openLink(LinkKind.LINK_KIND_LIBRARY, {
      onFrame: (_bytes, start, end) => got.push(end - start),
    });
    const user = edge.openLink(LinkKind.LINK_KIND_USER, { onFrame: () => undefined });
    library.setTable(tableForNames(['quiet river'], []));
    await routed(2);
    assert.equal(await value('edges'), 1);
    const guid = Buffer.alloc(16, 5);
    const frame = Buffer.from(encodeQuery({ guid, ttl: 3 }, { flags: QueryFlag.GGEP_HASH, text: 'river quiet' }));
    user.send(frame);
    await waitFor('the query', () => got.length === 1);
    assert.equal(await value('ingress_age_seconds_count'), 1);
    assert.ok((await value('ingress_age_seconds_sum')) < 5);
    assert.deepEqual(
      [await value('received_bytes_total'), await value('sent_bytes_total')],
      [frame.length, frame.length],
    );
    const builder = new IngressBatchBuilder();
    builder.add(frame, 0, frame.length, user.number);
    const ahead = { ...builder.take(), edgeId: 'library-0', edgeEpoch: 5, shardMapVersion: 4, stateNumber: 1_000 };
    bus.openWriter(routerIngress(0), { epoch: 6 }).send(ahead, frame.length);
    await waitFor('the batch that is held', async () => (await value('held_batches')) === 1);
    aheadMs += 1_000;
    await waitFor('it to be dropped', async () => (await value('held_batches')) === 0);
    assert.equal(await value('ingress_age_seconds_count'), 1, 'what is never routed has no age');
  });

  it('takes nobody for lost while it is cut off from the bus itself, and who stays silent afterwards', async () => {
    edge.openLink(LinkKind.LINK_KIND_USER, { onFrame: () => undefined });
    await routed(1);
    isSilent = true;
    isCutOff = true;
    await passInTicks(3 * EDGE_LOST_MS);
    assert.equal(router.shard?.links.size, 1);
    isCutOff = false;
    await passInTicks(2 * EDGE_LOST_MS);
    assert.equal(router.shard.links.size, 0);
  });

  /** Turns the router's clock in steps that are too small to be taken for a process that stood still. */
  async function passInTicks(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += CLOCK_STEP_MS) {
      const before = ticks;
      aheadMs += CLOCK_STEP_MS;
      await waitFor('a tick', () => ticks > before);
    }
  }

  /** The bus with a status, and a silence of the edges, of the test's choice. */
  function cutOffAtWill(real: Bus): Bus {
    const subscribe: Bus['subscribe'] = (topic, handler, options) =>
      real.subscribe(topic, (message) => (topic.name === edgesSummary.name && isSilent) || handler(message), options);
    return new Proxy(real, {
      get: (target, key) => {
        if (key === 'subscribe') return subscribe;
        if (key === 'status') {
          ticks++;
          return isCutOff ? 'disconnected' : target.status;
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  it('drops batches that were made for another shard map', async () => {
    const link = edge.openLink(LinkKind.LINK_KIND_USER, { onFrame: () => undefined });
    await routed(1);
    const frame = Buffer.from(
      encodeQuery({ guid: new Uint8Array(16).fill(3), ttl: 3 }, { flags: 0x9800, text: 'river' }),
    );
    const builder = new IngressBatchBuilder();
    builder.add(frame, 0, frame.length, link.number);
    const batch: IngressBatch = { ...builder.take(), edgeId: 'library-0', edgeEpoch: 5, shardMapVersion: 3 };
    bus.openWriter(routerIngress(0), { epoch: 5 }).send(batch, frame.length);
    await waitFor('the drop', () => router.shard?.counters.dropped['other-shard-map'] === 1);
    assert.equal(router.shard?.counters.queries, 0);
  });
});
