import assert from 'node:assert/strict';
import { LinkKind, type EgressBatch } from '@filbert/contracts';
import { MAX_TRACED_HITS, MAX_TRACED_QUERIES, TracedFrames } from '../../services/router/src/traced-frames.ts';
import { attribute, recordSpans, type SpanRecording } from '../support/otlp-receiver.ts';
import { guid, hit, names, query, ShardWorld } from './shard-world.ts';

const traceId = 'ab'.repeat(16);
const PARENT = `00-${traceId}-${'cd'.repeat(8)}-01`;
const STEP_MS = 2_400;

describe('router: traced frames', () => {
  let world: ShardWorld;
  let traced: TracedFrames;

  beforeEach(() => {
    world = new ShardWorld();
    traced = new TracedFrames(world.shard, () => world.now);
  });

  /** Routes a frame as part of a trace; returns the batches that leave. */
  function route(from: Parameters<ShardWorld['send']>[0], frame: Uint8Array, trace = PARENT): EgressBatch[] {
    const before = world.batches.length;
    traced.route(frame, 0, frame.length, from, trace);
    world.flush();
    return world.batches.slice(before);
  }
  const parentsOf = (batches: readonly EgressBatch[]): string[] => batches.flatMap(({ traceParents }) => traceParents);

  describe('while telemetry is off here', () => {
    it('go on with the trace that they came with, and frames after them with none', () => {
      const [from, leaf] = [world.ultrapeer(), world.leaf(names(['quiet river']))];
      assert.deepEqual(parentsOf(route(from, query('quiet river'))), [PARENT]);
      const before = world.batches.length;
      assert.equal(world.send(from, query('quiet river', { id: 2 }))[0]?.to, leaf);
      assert.deepEqual(parentsOf(world.batches.slice(before)), []);
    });

    it('lend their trace to the later steps of a leaf’s search', () => {
      const leaf = world.leaf(names(['quiet river']));
      for (let i = 0; i < 5; i++) world.ultrapeer();
      assert.deepEqual(parentsOf(route(leaf, query('quiet river'))), [PARENT, PARENT, PARENT]);
      const before = world.batches.length;
      assert.equal(world.pass(STEP_MS).length, 1);
      assert.deepEqual(parentsOf(world.batches.slice(before)), [PARENT]);
    });

    it('lend their trace to hits of peers, up to a number, and to those of no other query', () => {
      const [from] = [world.ultrapeer(), world.leaf(names(['quiet river']))];
      assert.equal(traced.any, false);
      route(from, query('quiet river', { id: 1 }));
      assert.equal(traced.any, true);
      for (let i = 0; i < MAX_TRACED_HITS; i++) assert.equal(traced.ofHit(hit({ id: 1 }), 0), PARENT);
      assert.equal(traced.ofHit(hit({ id: 1 }), 0), undefined);
      assert.equal(traced.ofHit(hit({ id: 2 }), 0), undefined);
    });

    it('are not remembered where they went nowhere', () => {
      const from = world.ultrapeer();
      route(from, query('quiet river'));
      assert.equal(traced.any, false);
    });

    it('are remembered in a bounded number, each with the trace that is its own', () => {
      const [from] = [world.ultrapeer(), world.leaf(names(['quiet river']))];
      const traceOf = (id: number): string => `00-${id.toString(16).padStart(32, '0')}-${'cd'.repeat(8)}-01`;
      const asked = MAX_TRACED_QUERIES * 5;
      for (let id = 1; id <= asked; id++) route(from, query('quiet river', { id }), traceOf(id));
      const known: number[] = [];
      for (let id = 1; id <= asked; id++) {
        const trace = traced.ofHit(hit({ id }), 0);
        if (trace === undefined) continue;
        known.push(id);
        assert.equal(trace, traceOf(id));
      }
      assert.ok(known.length >= MAX_TRACED_QUERIES && known.length <= MAX_TRACED_QUERIES * 2, String(known.length));
      assert.equal(known.at(-1), asked);
    });
  });

  describe('while telemetry is on', () => {
    let recording: SpanRecording;

    beforeEach(async () => {
      recording = await recordSpans(0);
    });
    afterEach(() => recording.end());

    it('are spans below what led to them, hand themselves on, and say what became of them', async () => {
      const [from, other] = [world.ultrapeer(), world.ultrapeer()];
      world.leaf(names(['quiet river']), { kind: LinkKind.LINK_KIND_LIBRARY });
      const [onward] = parentsOf(route(from, query('quiet river')));
      route(other, query('quiet river'));
      route(from, query('nobody has this', { id: 3, ttl: 1 }));
      route(from, query('hopless', { id: 4, hops: 255 }));
      route(other, hit({ servent: guid(600) }), onward);
      const recorded = await recording.end();
      const spans = recorded.map((span) => ({
        name: span.name,
        parent: span.parentSpanId,
        result: attribute(span, 'result'),
        deliveries: attribute(span, 'deliveries'),
      }));
      const own = recorded[0]?.spanId ?? '';
      assert.equal(onward, `00-${traceId}-${own}-01`);
      const parent = 'cd'.repeat(8);
      assert.deepEqual(spans, [
        { name: 'route query', parent, result: 'routed', deliveries: 2 },
        { name: 'route query', parent, result: 'duplicate', deliveries: 0 },
        { name: 'route query', parent, result: 'nobody-to-ask', deliveries: 0 },
        { name: 'route query', parent, result: 'hops-exceeded', deliveries: 0 },
        { name: 'route hit', parent: own, result: 'routed', deliveries: 1 },
      ]);
      assert.deepEqual([...new Set(recorded.map((span) => span.traceId))], [traceId]);
    });
  });
});
