import assert from 'node:assert/strict';
import { EgressBatchBuilder, egressBytes, edgeEgress, routerIngress } from '@filbert/contracts';
import { EDGE_EPOCH, EdgeHarness } from '../support/edge-harness.ts';
import { EDGE_ID } from '../support/frame-bench.ts';
import { attribute, recordSpans, type SpanRecording } from '../support/otlp-receiver.ts';
import { encodeFrame, hitPayload, randomGuid, RAW_DESCRIPTOR, shortTokens } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';

/** One that was not asked before: repeated ones are dropped. */
const newText = (): string => `quiet river ${shortTokens()}`;
const TRACE_ID = 'ab'.repeat(16);
const PARENT = `00-${TRACE_ID}-${'cd'.repeat(8)}-01`;

describe('connections: traces', () => {
  let harness: EdgeHarness;
  let recording: SpanRecording | undefined;
  let traces: string[];

  beforeEach(async () => {
    traces = [];
    harness = await EdgeHarness.start();
    harness.bus.openReader(routerIngress(0), ({ traceParents }) => void traces.push(...traceParents));
  });
  afterEach(async () => {
    await recording?.end();
    recording = undefined;
    await harness.stop();
  });

  /** Sends queries of an ultrapeer, and one that breaks a rule, until the shard has those that it gets. */
  async function query(count: number): Promise<void> {
    const { peer } = await harness.join({ role: 'ultrapeer' });
    peer.sendQuery({ text: newText(), ttl: 0 });
    for (let i = 0; i < count; i++) peer.sendQuery({ text: newText(), ttl: 3, hops: 1 });
    await waitFor('the queries', () => harness.routed.length === count);
  }

  it('begin with no query while telemetry is off', async () => {
    await query(20);
    assert.deepEqual(traces, []);
  });

  it('begin with the queries that are drawn, which go on with their context', async () => {
    recording = await recordSpans(1);
    await query(3);
    const spans = await recording.end();
    assert.deepEqual(
      traces,
      spans.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`),
    );
    assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 3);
    for (const span of spans) {
      assert.deepEqual([span.name, span.parentSpanId, span.kind], ['query', undefined, 2]);
      const told = ['edge', 'from', 'ttl', 'hops', 'result'].map((key) => attribute(span, key));
      assert.deepEqual(told, [EDGE_ID, 'ultrapeer', 3, 1, 'routed']);
    }
  });

  it('begin with about the share of the queries that the ratio says', async () => {
    recording = await recordSpans(0.2);
    await query(1_000);
    assert.ok(traces.length > 120 && traces.length < 280, String(traces.length));
  });

  it('end with the delivery of a traced frame: one span for all its links, none for frames beside it', async () => {
    recording = await recordSpans(0);
    const [first, second] = [await harness.join(), await harness.join()];
    const builder = new EgressBatchBuilder();
    const hits = [1, 2].map(() => {
      const payload = hitPayload({ serventGuid: randomGuid(), records: [{ index: 1, size: 2, name: 'a' }] });
      return encodeFrame({ guid: randomGuid(), descriptor: RAW_DESCRIPTOR.hit, ttl: 2, hops: 1, payload });
    });
    hits.forEach((hit, i) => {
      for (const { link } of [first, second]) builder.send(i, hit, 0, hit.length, 2, 1, link.number);
      if (i === 1) builder.traceLast(PARENT);
    });
    builder.send(1, hits[1] as Buffer, 0, (hits[1] as Buffer).length, 2, 1, 9_999);
    const batch = builder.take();
    batch.edgeEpoch = EDGE_EPOCH;
    harness.bus.openWriter(edgeEgress(EDGE_ID), { epoch: 1 }).send(batch, egressBytes(batch));
    for (const { peer } of [first, second]) {
      await waitFor('both hits', () => peer.all(({ descriptor }) => descriptor === RAW_DESCRIPTOR.hit).length === 2);
    }
    const [span, ...others] = await recording.end();
    assert.deepEqual(others, []);
    assert.deepEqual([span?.name, span?.traceId, span?.parentSpanId], ['deliver hit', TRACE_ID, 'cd'.repeat(8)]);
    assert.deepEqual(
      ['edge', 'links', 'queued'].map((key) => attribute(span, key)),
      [EDGE_ID, 3, 2],
    );
  });
});
