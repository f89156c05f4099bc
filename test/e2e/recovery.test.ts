import assert from 'node:assert/strict';
import { killChild, NodeProcess } from '../support/node-process.ts';
import { startNatsServer, type NatsServer } from '../support/nats-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { SteadyLoad, type Deliveries } from './support/steady-load.ts';

const LEAVES = 500;
const QUERIES_PER_SECOND = 1_000;

/** Queries count from this time after the accident on, and for so long. */
const GRACE_MS = 2_000;
const COUNTED_MS = 4_000;

/** The share of the nominal rate at which they must have been sent, or the load itself was disturbed. */
const SENT_SHARE = 0.95;

/** The share of them that must arrive. */
const DELIVERED_SHARE = 0.95;

/** What is under way when the load stops has this long to arrive. */
const DRAIN_MS = 1_000;

/** A shard drops the links of an edge that says nothing for 3.5 s, unless it is cut off itself. */
const NATS_AWAY_MS = 6_000;

/** How long a service that died may take to run again. */
const RESTART_TIMEOUT_MS = 8_000;

/** Time is what passes here: the load goes on meanwhile, and is counted afterwards. */
function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A node under load, with what its tests need. */
interface Loaded {
  readonly node: () => NodeProcess;
  readonly load: () => SteadyLoad;
  /** The nats-server that the node was given. */
  readonly nats: () => NatsServer;
  readonly countedFrom: (accidentMs: number) => Promise<Deliveries>;
  readonly check: (context: Mocha.Context, deliveries: Deliveries) => void;
}

function describeUnderLoad(
  title: string,
  startNats: (() => Promise<NatsServer>) | undefined,
  define: (loaded: Loaded) => void,
): void {
  describe(`e2e, processes: accidents under load, ${title}`, () => {
    let node: NodeProcess;
    let load: SteadyLoad;
    let nats: NatsServer | undefined;

    before(async function () {
      this.timeout(60_000);
      nats = await startNats?.();
      const given = nats === undefined ? {} : { nats: nats.url };
      node = await NodeProcess.start({ processes: true, connections: 2, routerShards: 2, ...given });
      load = new SteadyLoad(LEAVES);
      await load.join(node.gnutella.host, node.gnutella.port);
    });

    beforeEach(async () => {
      load.start(QUERIES_PER_SECOND);
      // Every table is in use before anything happens.
      await waitFor(
        'all queries to arrive',
        async () => {
          const fromMs = performance.now();
          await pass(500);
          const toMs = performance.now();
          await pass(100);
          const { queries, delivered } = load.between(fromMs, toMs);
          return queries > 0 && delivered === queries;
        },
        15_000,
      );
    });

    afterEach(() => load.stop());

    after(async () => {
      try {
        load.close();
        await node.stop();
      } finally {
        await nats?.stop();
      }
    });

    /** The queries sent from the grace after that time on, once the last of them had its time to arrive. */
    async function countedFrom(accidentMs: number): Promise<Deliveries> {
      const fromMs = accidentMs + GRACE_MS;
      await pass(fromMs + COUNTED_MS - performance.now());
      load.stop();
      await pass(DRAIN_MS);
      return load.between(fromMs, fromMs + COUNTED_MS);
    }

    function check(context: Mocha.Context, { queries, delivered }: Deliveries): void {
      const share = delivered / queries;
      if (context.test !== undefined) context.test.title += ` (${(share * 100).toFixed(2)} % of ${queries})`;
      const nominal = (QUERIES_PER_SECOND * COUNTED_MS) / 1_000;
      assert.ok(
        queries >= nominal * SENT_SHARE,
        `the load itself was slow: ${queries} of ${nominal} queries were sent`,
      );
      assert.ok(share >= DELIVERED_SHARE, `${delivered} of ${queries} queries arrived`);
      assert.equal(load.disconnected, 0, 'no neighbour disconnects');
    }

    define({ node: () => node, load: () => load, nats: () => nats ?? assert.fail(), countedFrom, check });
  });
}

describeUnderLoad('with a nats-server of its own', undefined, ({ node, load, countedFrom, check }) => {
  it('kill -9 of every router: queries flow again 2 s later, and no neighbour notices', async function () {
    this.timeout(30_000);
    const routers = node().childrenLike('services/router');
    assert.equal(routers.length, 2);
    await Promise.all(routers.map(killChild));
    check(this, await countedFrom(performance.now()));
    assert.equal(node().childrenLike('services/router').length, 2);
  });

  it('kill -9 of nats-server: queries flow again 2 s after it is back, and no neighbour notices', async function () {
    this.timeout(30_000);
    const [nats] = node().childrenLike('nats-server');
    assert.ok(nats !== undefined);
    await killChild(nats);
    await waitFor(
      'nats-server to be back',
      () =>
        node()
          .childrenLike('nats-server')
          .some(({ pid }) => pid !== nats.pid),
      RESTART_TIMEOUT_MS,
    );
    check(this, await countedFrom(performance.now()));
  });

  it('kill -9 of bootstrap costs no query and no neighbour', async function () {
    this.timeout(30_000);
    const [bootstrap] = node().childrenLike('services/bootstrap');
    assert.ok(bootstrap !== undefined);
    const startMs = performance.now();
    await killChild(bootstrap);
    await waitFor(
      'bootstrap to be back',
      () => node().childrenLike('services/bootstrap').length === 1,
      RESTART_TIMEOUT_MS,
    );
    const endMs = performance.now();
    await pass(DRAIN_MS);
    const { queries, delivered } = load().between(startMs, endMs);
    assert.ok(queries > 0, `none was sent in the ${endMs - startMs} ms without bootstrap`);
    assert.equal(delivered, queries);
    assert.equal(load().disconnected, 0);
  });
});

const givenNats = (): Promise<NatsServer> => startNatsServer({ jetStream: true });

describeUnderLoad('with a given nats-server', givenNats, ({ nats, countedFrom, check }) => {
  it('killed and away for longer than edges may be silent: queries flow 2 s after it is back', async function () {
    this.timeout(40_000);
    await nats().kill();
    await pass(NATS_AWAY_MS);
    await nats().restart();
    check(this, await countedFrom(performance.now()));
  });
});
