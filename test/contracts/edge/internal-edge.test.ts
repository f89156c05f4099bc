import assert from 'node:assert/strict';
import {
  declareInternalEdge,
  edgeEgress,
  EgressBatchBuilder,
  FactsFollower,
  InternalEdge,
  LinkKind,
  MAX_INTERNAL_LINKS,
  nodeFactsRequest,
  routerIngress,
  TAKE_SLICE_MS,
  type InternalLink,
} from '@filbert/contracts';
import { connectNatsBus, createInProcessBus, createMetrics, type Bus, type Metrics } from '@filbert/kit';
import { FakeClock } from '../../support/fake-clock.ts';
import { EDGE_ID, someFacts, turns } from '../../support/frame-bench.ts';
import { startNatsServer } from '../../support/nats-server.ts';
import { encodeFrame, randomGuid, RAW_DESCRIPTOR } from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';

const EPOCH = 5;

describe('contracts: what an internal edge tells as metrics', () => {
  let bus: Bus;
  let edge: InternalEdge | undefined;
  let metrics: Metrics;

  beforeEach(() => {
    edge = undefined;
    metrics = createMetrics({ service: 'test', strict: true });
    declareInternalEdge(metrics, () => edge?.numbers);
  });
  afterEach(async () => {
    edge?.stop();
    await bus.drain();
  });

  async function start(on: Bus): Promise<InternalEdge> {
    bus = on;
    bus.respond(nodeFactsRequest, () => someFacts());
    const facts = new FactsFollower({ bus });
    await facts.start();
    edge = new InternalEdge({ bus, edgeId: EDGE_ID, epoch: EPOCH, facts });
    edge.start();
    return edge;
  }

  /** The samples other than 0, by what follows `filbert_test_`. */
  async function told(): Promise<Record<string, number>> {
    const samples = (await metrics.registry.metrics()).matchAll(/^filbert_test_(\S+) ([1-9]\d*)$/gm);
    return Object.fromEntries(Array.from(samples, ([, name = '', value]) => [name, Number(value)]));
  }

  function user(on: InternalEdge, onFrame = (): void => undefined): InternalLink {
    return on.openLink(LinkKind.LINK_KIND_USER, { onFrame });
  }

  const frame = (descriptor: number, hops: number): Buffer =>
    encodeFrame({ guid: randomGuid(), descriptor, ttl: 3, hops, payload: Buffer.alloc(1_000) });

  it('tells nothing but zeros while there is no edge', async () => {
    bus = createInProcessBus();
    assert.deepEqual(await told(), {});
  });

  it('counts the links that are open, and those beyond the bound', async () => {
    const own = await start(createInProcessBus());
    const links = Array.from({ length: MAX_INTERNAL_LINKS }, () => user(own));
    assert.throws(() => user(own), /too many internal links/);
    assert.deepEqual(await told(), { links: MAX_INTERNAL_LINKS, links_refused_total: 1 });
    for (const link of links.slice(1)) link.close();
    assert.deepEqual(await told(), { links: 1, links_refused_total: 1 });
  });

  it('counts frames that links took, for links that are gone, and for an earlier start', async () => {
    const own = await start(createInProcessBus());
    let taken = 0;
    const { number } = user(own, () => void taken++);
    const writer = bus.openWriter(edgeEgress(EDGE_ID), { epoch: 1 });
    const deliver = (edgeEpoch: number, ...links: number[]): void => {
      const builder = new EgressBatchBuilder();
      const bytes = frame(RAW_DESCRIPTOR.query, 0);
      for (const link of links) builder.send(1, bytes, 0, bytes.length, 1, 0, link);
      writer.send({ ...builder.take(), edgeEpoch }, bytes.length);
    };
    deliver(EPOCH, number, number + 1, number + 2);
    deliver(EPOCH - 1, number, number + 1, number + 2, number + 3);
    await waitFor('the frame', () => taken > 0);
    await turns();
    assert.deepEqual(await told(), {
      links: 1,
      'deliveries_total{result="taken"}': 1,
      'deliveries_total{result="unknown-link"}': 2,
      'deliveries_total{result="old-epoch"}': 4,
    });
  });

  it('takes costly frames for a few milliseconds of each turn, in order, and holds the credit until all are taken', async () => {
    const own = await start(createInProcessBus());
    const taken: number[] = [];
    const link = own.openLink(LinkKind.LINK_KIND_USER, {
      onFrame: (_bytes, _start, _end, ttl) => {
        taken.push(ttl);
        const until = performance.now() + 2;
        while (performance.now() < until);
      },
    });
    const writer = bus.openWriter(edgeEgress(EDGE_ID), { epoch: 1 });
    const sent = Array.from({ length: 40 }, (_, i) => i);
    for (const half of [sent.slice(0, 20), sent.slice(20)]) {
      const builder = new EgressBatchBuilder();
      const bytes = frame(RAW_DESCRIPTOR.query, 0);
      for (const i of half) builder.send(i, bytes, 0, bytes.length, i, 0, link.number);
      writer.send({ ...builder.take(), edgeEpoch: EPOCH }, bytes.length * half.length);
    }
    let mostInOneTurn = 0;
    for (let before = 0; taken.length < sent.length; before = taken.length) {
      await turns(1);
      mostInOneTurn = Math.max(mostInOneTurn, taken.length - before);
      if (taken.length < sent.length) assert.ok(!writer.isDone(writer.lastNumber), `done after ${taken.length} frames`);
    }
    assert.deepEqual(taken, sent);
    // One that begins within the time is taken whole.
    assert.ok(mostInOneTurn <= TAKE_SLICE_MS / 2 + 1, `${mostInOneTurn} frames of 2 ms in one turn`);
    await waitFor('the report', () => writer.isDone(writer.lastNumber));
  });

  it('goes on after a link that throws, also in the middle of a batch', async () => {
    const failures: string[] = [];
    const own = await start(createInProcessBus({ onError: (error) => void failures.push(String(error)) }));
    const taken: number[] = [];
    const link = own.openLink(LinkKind.LINK_KIND_USER, {
      onFrame: (_bytes, _start, _end, ttl) => {
        const until = performance.now() + TAKE_SLICE_MS;
        while (performance.now() < until);
        if (ttl === 2) throw new Error('cannot take it');
        taken.push(ttl);
      },
    });
    const writer = bus.openWriter(edgeEgress(EDGE_ID), { epoch: 1 });
    for (const ttls of [
      [1, 2, 3],
      [4, 5],
    ]) {
      const builder = new EgressBatchBuilder();
      const bytes = frame(RAW_DESCRIPTOR.query, 0);
      for (const ttl of ttls) builder.send(ttl, bytes, 0, bytes.length, ttl, 0, link.number);
      writer.send({ ...builder.take(), edgeEpoch: EPOCH }, bytes.length);
    }
    await waitFor('both batches to be over', () => writer.isDone(writer.lastNumber));
    assert.deepEqual([taken, failures], [[1, 4, 5], ['Error: cannot take it']]);
  });

  it('leaves untaken what waits when it stops', async () => {
    const own = await start(createInProcessBus());
    let taken = 0;
    const link = own.openLink(LinkKind.LINK_KIND_USER, {
      onFrame: () => {
        taken++;
        own.stop();
        const until = performance.now() + TAKE_SLICE_MS;
        while (performance.now() < until);
      },
    });
    const writer = bus.openWriter(edgeEgress(EDGE_ID), { epoch: 1 });
    const builder = new EgressBatchBuilder();
    const bytes = frame(RAW_DESCRIPTOR.query, 0);
    for (let i = 0; i < 10; i++) builder.send(i, bytes, 0, bytes.length, 1, 0, link.number);
    writer.send({ ...builder.take(), edgeEpoch: EPOCH }, bytes.length);
    await waitFor('the frame', () => taken > 0);
    await bus.drain();
    assert.equal(taken, 1);
  });

  it('counts frames for a shard that does not keep up', async () => {
    // Credit ages by the clock: a busy machine must not use it up.
    const own = await start(createInProcessBus({ clock: new FakeClock() }));
    const releases: (() => void)[] = [];
    bus.openReader(routerIngress(0), () => new Promise<void>((resolve) => void releases.push(resolve)));
    const link = user(own);
    for (let i = 0; i < 700; i++) link.send(frame(RAW_DESCRIPTOR.query, 0));
    await turns();
    link.send(frame(RAW_DESCRIPTOR.query, 3));
    for (let i = 0; i < 800; i++) link.send(frame(RAW_DESCRIPTOR.hit, 3));
    await turns();
    const { 'ingress_frames_total{result="no-credit"}': noCredit = 0, ...rest } = await told();
    assert.deepEqual(rest, {
      links: 1,
      'ingress_frames_total{result="batched"}': 1_500,
      'ingress_frames_total{result="shed-query"}': 1,
    });
    assert.ok(noCredit > 100 && noCredit < 800, `${noCredit} without credit`);
    for (const release of releases) release();
  });

  it('counts frames that find NATS away', async () => {
    const server = await startNatsServer();
    try {
      const own = await start(await connectNatsBus({ servers: server.url, name: 'test' }));
      const link = user(own);
      await server.kill();
      await waitFor('the loss to be seen', () => bus.status === 'disconnected');
      link.send(frame(RAW_DESCRIPTOR.query, 0));
      await turns();
      assert.deepEqual(await told(), {
        links: 1,
        'ingress_frames_total{result="batched"}': 1,
        'ingress_frames_total{result="disconnected"}': 1,
      });
    } finally {
      await server.stop();
    }
  });
});
