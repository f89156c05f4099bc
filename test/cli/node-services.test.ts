import assert from 'node:assert/strict';
import { bootstrapV1, connectionsV1, routerV1 } from '@filbert/contracts';
import {
  createLogger,
  createReadiness,
  createRpcServer,
  rpcService,
  type RpcServer,
  type RpcService,
} from '@filbert/kit';
import { SERVICE_KINDS } from '../../cli/src/service-kinds.ts';
import { freePort, runFilbert } from '../support/node-process.ts';

const TOKEN = 'a token of some length';
const UNAVAILABLE = 69;
const USAGE = 64;

describe('cli: a node whose services each have their own control', () => {
  const servers: RpcServer[] = [];
  after(() => Promise.all(servers.map((server) => server.stop())));

  async function serve(services: readonly RpcService[], token: string | undefined): Promise<string> {
    const logger = createLogger({ level: 'silent', name: 'test' });
    const server = createRpcServer({ services, logger, health: createReadiness(), token, drainMs: 100 });
    servers.push(server);
    const { host, port } = await server.start();
    return `${host}:${port}`;
  }

  /** `--control` of services that ask for the token; those that are not named are away. */
  async function addresses(there: Partial<Record<(typeof SERVICE_KINDS)[number], RpcService>>): Promise<string> {
    const parts = SERVICE_KINDS.map(async (kind) => {
      const service = there[kind];
      return `${kind}=${service === undefined ? `127.0.0.1:${await freePort()}` : await serve([service], TOKEN)}`;
    });
    return (await Promise.all(parts)).join(',');
  }

  const bootstrap = rpcService(bootstrapV1.BootstrapServiceService, {
    getFacts: () => bootstrapV1.GetFactsResponse.fromPartial({ serventGuid: 'ab'.repeat(16) }),
    // eslint-disable-next-line require-yield -- a stream that ends without a message
    async *listHosts() {
      await Promise.resolve();
    },
    addHost: () => ({ added: false, reason: '' }),
  });
  const connections = rpcService(connectionsV1.ConnectionsServiceService, {
    // eslint-disable-next-line @typescript-eslint/require-await -- a stream is an async generator, also where nothing waits
    async *listLinks() {
      yield connectionsV1.ListLinksResponse.fromPartial({ edgeId: 'edge-0', link: 1, kind: 'leaf' });
    },
    connect: () => connectionsV1.ConnectResponse.create(),
    disconnect: () => ({ found: false }),
    getStats: () => ({ edges: [connectionsV1.EdgeStats.fromPartial({ edgeId: 'edge-0', leaves: 1 })] }),
  });
  const router = rpcService(routerV1.RouterServiceService, {
    getStats: () => ({ shards: [routerV1.ShardStats.fromPartial({ queries: 17 })] }),
  });

  it('is asked as one: what a command needs comes from the service that has it', async () => {
    const control = await addresses({ bootstrap, connections, router });
    const env = { FILBERT_CONTROL_TOKEN: TOKEN };
    const [status, peers, uploads] = await Promise.all([
      runFilbert(['status', '--control', control], { env }),
      runFilbert(['peers', '--json'], { env: { ...env, FILBERT_CONTROL: control } }),
      runFilbert(['uploads', '--control', control], { env }),
    ]);
    // What answers is told, and then who does not.
    assert.equal(status.code, UNAVAILABLE);
    assert.match(status.stderr, /^filbert: search-index at 127\.0\.0\.1:\d+ does not answer; it may be starting\n$/);
    assert.match(status.stdout, /^servent GUID +(ab){16}$/m);
    assert.match(status.stdout, /^queries routed +17$/m);
    assert.equal(peers.code, 0);
    assert.match(peers.stdout, /"edgeId":"edge-0"/);
    assert.equal(uploads.code, UNAVAILABLE);
    assert.match(uploads.stderr, /^filbert: transfers at 127\.0\.0\.1:\d+ does not answer; it may be starting\n$/);
  });

  it('tells of a bus that is away', async () => {
    const cutOff = rpcService(connectionsV1.ConnectionsServiceService, {
      async *listLinks() {},
      connect: () => connectionsV1.ConnectResponse.create(),
      disconnect: () => ({ found: false }),
      getStats: () => ({ edges: [connectionsV1.EdgeStats.fromPartial({ edgeId: 'edge-0', busAway: true })] }),
    });
    const control = await addresses({ bootstrap, connections: cutOff, router });
    const status = await runFilbert(['status', '--control', control, '--json'], {
      env: { FILBERT_CONTROL_TOKEN: TOKEN },
    });
    assert.equal(status.code, UNAVAILABLE);
    assert.match(status.stdout, /"NATS is away from edge-0: nothing is routed"/);
  });

  it('says so where the token is not that of the services', async () => {
    const control = await addresses({ bootstrap, connections, router });
    const result = await runFilbert(['peers', '--control', control], {
      env: { FILBERT_CONTROL_TOKEN: 'another token' },
    });
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^filbert: the node refused: .*token/);
  });

  it('is refused in one sentence where an address is missing', async () => {
    const result = await runFilbert(['peers', '--control', 'router=127.0.0.1:1']);
    assert.equal(result.code, USAGE);
    assert.match(result.stderr, /^filbert: --control router=127\.0\.0\.1:1: bootstrap is missing: .*\n$/);
  });
});
