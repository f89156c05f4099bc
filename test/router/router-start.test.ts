import assert from 'node:assert/strict';
import {
  edgeState,
  edgesPoll,
  edgesSummary,
  EdgeSummary,
  FactsFollower,
  InternalEdge,
  LinkKind,
  mergedTable,
  nodeFactsRequest,
  ReplayMark,
  StateBatch,
  type MergedTable,
} from '@filbert/contracts';
import { tableForNames } from '@filbert/gnutella';
import { createInProcessBus, createLogger, Durations, type Bus } from '@filbert/kit';
import { Router } from '../../services/router/src/router.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { someFacts } from '../support/frame-bench.ts';
import { waitFor } from '../support/wait-for.ts';

/** A shard that starts is silent about the merged table for so long (docs/limits.md). */
const SETTLE_MS = 2_500;

describe('router that starts among edges that run', () => {
  let bus: Bus;
  let clock: FakeClock;
  let router: Router;
  /** Times that the router looked at its clock. */
  let looks: number;

  beforeEach(() => {
    bus = createInProcessBus();
    bus.respond(nodeFactsRequest, () => someFacts());
    clock = new FakeClock();
    // Every edge is new, however old the router's clock is.
    clock.advance(1_000_000);
    looks = 0;
    router = new Router({
      bus,
      logger: createLogger({ level: 'silent', name: 'test' }),
      shard: 0,
      epoch: 21,
      now: () => {
        looks++;
        return clock.monotonic();
      },
      wallClock: Date.now,
      ingressAge: new Durations(),
    });
  });
  afterEach(async () => {
    router.stop();
    await bus.drain();
  });

  it('asks all edges to tell of themselves', async () => {
    bus.subscribe(edgesPoll, ({ shard }) => {
      assert.equal(shard, 0);
      bus.publish(edgesSummary, EdgeSummary.fromPartial({ edgeId: 'edge-1', epoch: 3 }));
    });
    await router.start();
    await waitFor('the edge', () => router.edges === 1);
  });

  it('says nothing of the merged table for 2.5 s, in which the edges tell of theirs', async () => {
    const told: MergedTable[] = [];
    bus.subscribe(mergedTable, (table) => told.push(table));
    await router.start();
    clock.advance(SETTLE_MS - 1);
    await ticks();
    const facts = new FactsFollower({ bus });
    await facts.start();
    const edge = new InternalEdge({ bus, edgeId: 'library-0', epoch: 5, facts });
    edge.start();
    const table = tableForNames(['quiet river'], []);
    edge.openLink(LinkKind.LINK_KIND_LIBRARY, { onFrame: () => undefined }).setTable(table);
    await waitFor('the link', () => router.shard?.links.size === 1);
    await ticks();
    assert.equal(told.length, 0);
    clock.advance(1);
    const first = await waitFor('the merged table', () => told[0]);
    assert.deepEqual([first.full, first.setSlots.length > 0], [true, true]);
    edge.stop();
  });

  it('says nothing of it either while an edge has not told of all its links', async () => {
    const told: MergedTable[] = [];
    bus.subscribe(mergedTable, (table) => told.push(table));
    const say = (replay: ReplayMark): void =>
      void bus.publish(edgeState('edge-1'), StateBatch.fromPartial({ edgeId: 'edge-1', epoch: 3, replay }));
    await router.start();
    say(ReplayMark.REPLAY_MARK_BEGIN);
    await waitFor('the edge', () => router.edges === 1);
    clock.advance(SETTLE_MS);
    await ticks();
    assert.equal(told.length, 0);
    say(ReplayMark.REPLAY_MARK_END);
    await waitFor('the merged table', () => told[0]);
  });

  /** Lets what is due at this time happen: a tick looks at the clock a few times, and a message of an edge once. */
  async function ticks(): Promise<void> {
    const before = looks;
    await waitFor('some ticks', () => looks >= before + 12);
  }
});
