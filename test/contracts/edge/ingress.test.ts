import assert from 'node:assert/strict';
import {
  BATCH_TARGET_BYTES,
  edgeState,
  forEachFrame,
  MAX_TAKEN_WAIT_MS,
  MAX_TAKEN_WAITS,
  routerIngress,
  ShardMap,
  type IngressBatch,
} from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import { Ingress, StateStream } from '@filbert/contracts';
import { FakeClock } from '../../support/fake-clock.ts';
import { EDGE_ID, turns } from '../../support/frame-bench.ts';
import { encodeFrame, pushPayload, randomGuid, RAW_DESCRIPTOR } from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';

function query(payloadBytes: number, guid = randomGuid(), hops = 0): Buffer {
  return encodeFrame({ guid, descriptor: RAW_DESCRIPTOR.query, ttl: 3, hops, payload: Buffer.alloc(payloadBytes) });
}

describe('connections ingress', () => {
  let bus: Bus;
  let state: StateStream;
  let map: ShardMap;
  let ingress: Ingress;
  let events: { shard?: number; batch?: IngressBatch; records?: number }[];

  function open(shards: number): void {
    map = new ShardMap(shards, 4, Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'));
    ingress = new Ingress({ bus, map, state, edgeId: EDGE_ID, epoch: 7 });
    for (let shard = 0; shard < shards; shard++) {
      bus.openReader(routerIngress(shard), (batch) => void events.push({ shard, batch }));
    }
  }

  beforeEach(() => {
    // Credit ages by the clock: a busy machine must not use it up.
    bus = createInProcessBus({ clock: new FakeClock() });
    events = [];
    state = new StateStream({ bus, edgeId: EDGE_ID, epoch: 7, links: () => [] });
    bus.subscribe(edgeState(EDGE_ID), ({ records }) => void events.push({ records: records.length }));
  });
  afterEach(() => bus.drain());

  function add(frame: Buffer, link = 1): void {
    const padded = Buffer.concat([Buffer.alloc(5), frame, Buffer.alloc(5)]);
    ingress.add(padded, 5, 5 + frame.length, link);
  }

  function batches(): IngressBatch[] {
    return events.flatMap(({ batch }) => batch ?? []);
  }

  it('sends the frames of one turn in one batch that says whence they are and on what state they rely', async () => {
    open(1);
    const frames = [query(10), query(20), query(0)];
    state.gone(9);
    frames.forEach((frame, i) => add(frame, 40 + i));
    assert.equal(batches().length, 0);
    await turns();
    const [batch, ...others] = batches();
    assert.ok(batch);
    assert.equal(others.length, 0);
    assert.deepEqual([batch.edgeId, batch.edgeEpoch, batch.stateNumber, batch.shardMapVersion], [EDGE_ID, 7, 1, 4]);
    const seen: [string, number][] = [];
    forEachFrame(batch, (bytes, start, end, link) =>
      seen.push([Buffer.from(bytes.subarray(start, end)).toString('hex'), link]),
    );
    assert.deepEqual(
      seen,
      frames.map((frame, i) => [frame.toString('hex'), 40 + i]),
    );
    assert.equal(ingress.counters.frames, 3);
  });

  it('sends the state records first', async () => {
    open(1);
    add(query(10));
    state.gone(9);
    await turns();
    assert.deepEqual(
      events.map(({ records }) => records ?? 'frames'),
      [1, 'frames'],
    );
  });

  describe('waits for shards to take in what they were sent', () => {
    let releases: (() => void)[];
    let called: string[];

    beforeEach(() => {
      releases = [];
      called = [];
      map = new ShardMap(2, 4, Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'));
      ingress = new Ingress({ bus, map, state, edgeId: EDGE_ID, epoch: 7 });
      for (const shard of [0, 1]) {
        bus.openReader(routerIngress(shard), () => new Promise<void>((resolve) => void releases.push(resolve)));
      }
    });

    /** A frame for each of both shards. */
    function addToBoth(): void {
      for (const shard of [0, 1]) {
        let frame = query(10);
        while (map.shardOf(frame, 0) !== shard) frame = query(10);
        add(frame);
      }
    }

    it('before a record that takes their link away, in order', async () => {
      addToBoth();
      ingress.whenTaken(() => called.push('first'));
      addToBoth();
      ingress.whenTaken(() => called.push('second'));
      await waitFor('four batches', () => releases.length === 4);
      assert.deepEqual(called, []);
      releases[0]?.();
      releases[1]?.();
      await waitFor('the first', () => called.length === 1);
      assert.deepEqual(called, ['first'], 'the second relies on more');
      for (const release of releases) release();
      await waitFor('the second', () => called.length === 2);
      assert.deepEqual(called, ['first', 'second']);
    });

    it('not at all where nothing is under way', () => {
      ingress.whenTaken(() => called.push('at once'));
      assert.deepEqual(called, ['at once']);
    });

    it('not for ever', async () => {
      addToBoth();
      const askedMs = performance.now();
      ingress.whenTaken(() => called.push('late'));
      await waitFor('the end of the wait', () => called.length === 1);
      assert.ok(performance.now() - askedMs >= MAX_TAKEN_WAIT_MS);
      for (const release of releases) release();
    });

    it('no longer once it is closed', () => {
      addToBoth();
      ingress.whenTaken(() => called.push('waited'));
      ingress.close();
      ingress.whenTaken(() => called.push('asked later'));
      assert.deepEqual(called, ['waited', 'asked later']);
      for (const release of releases) release();
    });

    it('no more at one time than the bound: the one that waits longest is called early', () => {
      addToBoth();
      for (let i = 0; i <= MAX_TAKEN_WAITS; i++) ingress.whenTaken(() => called.push(`${i}`));
      assert.deepEqual(called, ['0']);
      ingress.close();
      assert.equal(called.length, MAX_TAKEN_WAITS + 1);
    });
  });

  it('does not wait for the end of the turn once a batch holds 64 KiB', async () => {
    open(1);
    for (let bytes = 0; bytes < 3 * BATCH_TARGET_BYTES; bytes += 1023) add(query(1000));
    // Handlers of the in-process bus run as microtasks, so before the turn is over.
    await Promise.resolve().then(() => undefined);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    assert.equal(batches().length, 2);
    await turns();
    assert.equal(batches().length, 3);
    for (const { frames } of batches().slice(0, 2)) {
      assert.ok(frames.length >= BATCH_TARGET_BYTES && frames.length < BATCH_TARGET_BYTES + 1023);
    }
  });

  it('sends each frame to the shard of its GUID, a PUSH to that of its servent GUID', async () => {
    open(4);
    const frames = Array.from({ length: 40 }, () => query(5));
    for (const frame of frames) add(frame);
    const servents = Array.from({ length: 40 }, () => randomGuid());
    for (const serventGuid of servents) {
      add(
        encodeFrame({ guid: randomGuid(), descriptor: 0x40, ttl: 3, hops: 0, payload: pushPayload({ serventGuid }) }),
      );
    }
    await turns();
    const counts = [0, 0, 0, 0];
    for (const { shard, batch } of events) {
      if (shard === undefined || batch === undefined) continue;
      forEachFrame(batch, (bytes, start) => {
        counts[shard] = (counts[shard] ?? 0) + 1;
        assert.equal(map.shardOf(bytes, bytes[start + 16] === 0x40 ? start + 23 : start), shard);
      });
    }
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      80,
    );
    assert.ok(counts.every((count) => count > 0));
  });

  it('sheds queries that came far when the shard does not keep up, and counts what finds no credit', async () => {
    open(1);
    // Credit ages by the clock: a busy machine must not use it up.
    bus = createInProcessBus({ clock: new FakeClock() });
    const slow = new Ingress({ bus, map, state, edgeId: EDGE_ID, epoch: 7 });
    const releases: (() => void)[] = [];
    bus.openReader(routerIngress(0), () => new Promise<void>((resolve) => void releases.push(resolve)));
    const far = query(1000, randomGuid(), 3);
    const near = query(1000, randomGuid(), 0);
    const hit = encodeFrame({ guid: randomGuid(), descriptor: 0x81, ttl: 3, hops: 3, payload: Buffer.alloc(1000) });
    // Half of the credit of 1 MiB.
    for (let i = 0; i < 560; i++) slow.add(near, 0, near.length, 1);
    await turns();
    assert.equal(slow.counters.shedQueries, 0);
    slow.add(far, 0, far.length, 1);
    assert.equal(slow.counters.shedQueries, 1);
    slow.add(near, 0, near.length, 1);
    slow.add(hit, 0, hit.length, 1);
    assert.equal(slow.counters.shedQueries, 1, 'nearer queries and hits still go');
    for (let i = 0; i < 800; i++) slow.add(hit, 0, hit.length, 1);
    await turns();
    assert.ok(slow.counters.noCredit > 100, `${slow.counters.noCredit} without credit`);
    for (const release of releases) release();
  });

  it('does not read a servent GUID behind the end of a short PUSH', async () => {
    open(1);
    add(encodeFrame({ guid: randomGuid(), descriptor: 0x40, ttl: 3, hops: 0, payload: Buffer.alloc(15) }));
    await turns();
    assert.equal(batches().length, 0);
  });

  it('sends what it holds when it is closed', async () => {
    open(1);
    add(query(3));
    ingress.close();
    await turns();
    assert.equal(batches().length, 1);
    add(query(3));
    await turns();
    assert.equal(batches().length, 1);
    assert.equal(ingress.counters.disconnected, 1);
  });
});
