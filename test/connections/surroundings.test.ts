import assert from 'node:assert/strict';
import { nodeFacts, nodeFactsRequest, type NodeFacts } from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import { LinkRegistry } from '../../services/connections/src/link/link-registry.ts';
import { NodeView } from '../../services/connections/src/node-view.ts';
import { PongCache } from '../../services/connections/src/pongs/pong-cache.ts';
import { Surroundings } from '../../services/connections/src/surroundings.ts';
import { EDGE_ID, someFacts, turns } from '../support/frame-bench.ts';

describe('connections surroundings', () => {
  let bus: Bus;
  let view: NodeView;

  beforeEach(async () => {
    bus = createInProcessBus();
    bus.respond(nodeFactsRequest, () => someFacts());
    view = new NodeView({ bus, edgeId: EDGE_ID, now: () => 0, onPoll: () => undefined });
    await view.start();
  });
  afterEach(async () => {
    view.stop();
    await bus.drain();
  });

  function around(allowPrivate: boolean): Surroundings {
    return new Surroundings({
      links: new LinkRegistry(),
      view,
      pongs: new PongCache(
        () => 0,
        () => 0,
      ),
      maxLeaves: 10,
      maxUltrapeers: 10,
      allowPrivate,
      port: () => 6346,
      listenAddress: () => '0.0.0.0:6346',
    });
  }

  async function tell(changes: Partial<NodeFacts>): Promise<void> {
    bus.publish(nodeFacts, someFacts(changes));
    await turns();
  }

  it('tell peers the advertised address before the one that they reached, and that before the learned one', async () => {
    const open = around(false);
    await tell({ learnedAddress: '9.9.9.9:6346' });
    assert.deepEqual(open.ownAddress('::ffff:5.5.5.5'), { host: '5.5.5.5', port: 6346 });
    await tell({ learnedAddress: '9.9.9.9:6346', advertisedAddress: '8.8.8.8:7000' });
    assert.deepEqual(open.ownAddress('5.5.5.5'), { host: '8.8.8.8', port: 7000 });
  });

  it('tell the learned address where the one that they reached is private: nobody else could use it', async () => {
    await tell({ learnedAddress: '9.9.9.9:6346' });
    assert.deepEqual(around(false).ownAddress('192.168.1.5'), { host: '9.9.9.9', port: 6346 });
    assert.deepEqual(around(true).ownAddress('192.168.1.5'), { host: '192.168.1.5', port: 6346 });
    await tell({ advertisedAddress: '0.0.0.0:7000' });
    assert.deepEqual(around(false).ownAddress('192.168.1.5'), { host: '192.168.1.5', port: 6346 });
  });

  it('know the learned address for our own: it is neither dialled nor named to peers', async () => {
    await tell({ learnedAddress: '9.9.9.9:6346', hosts: ['9.9.9.9:6346', '7.7.7.7:6346'] });
    assert.equal(around(false).isTaken('9.9.9.9:6346'), true);
    assert.deepEqual(around(false).knownUltrapeers(10, ''), ['7.7.7.7:6346']);
  });
});
