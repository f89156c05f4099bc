import assert from 'node:assert/strict';
import { edgesPoll, edgesSummary, nodeFacts, nodeFactsRequest, type EdgeSummary } from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import { NodeView } from '../../services/connections/src/node-view.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EDGE_ID, someFacts, turns } from '../support/frame-bench.ts';

function summary(edgeId: string, changes: Partial<EdgeSummary> = {}): EdgeSummary {
  return {
    edgeId,
    epoch: 1,
    stateNumber: 0,
    leaves: 10,
    ultrapeers: 2,
    maxLeaves: 100,
    maxUltrapeers: 10,
    ultrapeerAddresses: [`5.6.7.${edgeId.length}:6346`],
    leafAddresses: [],
    draining: false,
    listenPort: 6346,
    ownAddress: '',
    ownAddressSource: 0,
    reached: false,
    ...changes,
  };
}

describe('connections node view', () => {
  let bus: Bus;
  let clock: FakeClock;
  let view: NodeView;
  let polls: number;

  beforeEach(() => {
    bus = createInProcessBus();
    clock = new FakeClock();
    polls = 0;
    view = new NodeView({
      bus,
      edgeId: EDGE_ID,
      now: () => clock.monotonic(),
      onPoll: () => polls++,
    });
  });
  afterEach(async () => {
    view.stop();
    await bus.drain();
  });

  it('waits for the facts until bootstrap is there, and follows later ones', async () => {
    const started = view.start();
    await turns();
    const early = view.facts;
    assert.equal(early, undefined);
    bus.respond(nodeFactsRequest, () => someFacts({ version: 3 }));
    assert.equal((await started).version, 3);
    bus.publish(nodeFacts, someFacts({ version: 4, advertisedAddress: '5.6.7.8:6346' }));
    await turns();
    assert.equal(view.facts?.advertisedAddress, '5.6.7.8:6346');
  });

  it('takes facts that are published while it waits', async () => {
    const started = view.start();
    await turns();
    bus.publish(nodeFacts, someFacts({ version: 9 }));
    assert.equal((await started).version, 9);
  });

  it('fails with a sentence where it is stopped while it waits', async () => {
    const started = view.start();
    view.stop();
    await assert.rejects(started, /stopped while waiting for the node facts/);
  });

  it('adds up what other edges hold, not what this one does, and forgets those that fell silent', async () => {
    bus.respond(nodeFactsRequest, () => someFacts());
    await view.start();
    bus.publish(edgesSummary, summary(EDGE_ID));
    bus.publish(edgesSummary, summary('edge-b'));
    bus.publish(edgesSummary, summary('edge-cc', { leaves: 7 }));
    await turns();
    assert.deepEqual(view.otherLinks(), { leaves: 17, ultrapeers: 4 });
    assert.ok(view.heldElsewhere('5.6.7.6:6346'));
    assert.ok(!view.heldElsewhere('5.6.7.9:6346'));
    clock.advance(3_000);
    bus.publish(edgesSummary, summary('edge-b', { leaves: 1 }));
    await turns();
    clock.advance(501);
    assert.deepEqual(view.otherLinks(), { leaves: 1, ultrapeers: 2 });
    assert.deepEqual(
      [...view.others()].map(({ edgeId }) => edgeId),
      ['edge-b'],
    );
  });

  it('answers a poll', async () => {
    bus.respond(nodeFactsRequest, () => someFacts());
    await view.start();
    bus.publish(edgesPoll, { shard: 0 });
    await turns();
    assert.equal(polls, 1);
  });
});
