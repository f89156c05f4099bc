import assert from 'node:assert/strict';
import { Client, credentials } from '@grpc/grpc-js';
import {
  callStream,
  callUnary,
  createLogger,
  createMetrics,
  createReadiness,
  createRpcClient,
  createRpcServer,
  formatHostPort,
  isLoopback,
  ListenError,
  MAX_RPC_MESSAGE_BYTES,
  RpcError,
  type Metrics,
  type RpcErrorKind,
  type RpcHandlers,
  type RpcServer,
  RpcServerError,
  rpcClientOptions,
  rpcService,
  startSpan,
  startTelemetry,
} from '@filbert/kit';
import { connectionsV1 } from '@filbert/contracts';
import { startOtlpReceiver } from '../../support/otlp-receiver.ts';
import { waitFor } from '../../support/wait-for.ts';
import { checkHealth } from './health-client.ts';

const { ConnectionsServiceClient, ConnectionsServiceService, ConnectResponse, GetStatsResponse, ListLinksResponse } =
  connectionsV1;
const logger = createLogger({ level: 'silent', name: 'test' });
const TOKEN = 'a token of enough characters';
const timeoutMs = 5_000;
const { connect, listLinks, getStats } = ConnectionsServiceService;
const NAME = 'filbert.connections.v1.ConnectionsService';

type Handlers = RpcHandlers<typeof ConnectionsServiceService>;

const link = (number: number): connectionsV1.ListLinksResponse => ListLinksResponse.create({ link: number });
const never = (): Promise<never> => new Promise(() => {});

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const message of messages) collected.push(message);
  return collected;
}

const quiet: Handlers = {
  // eslint-disable-next-line require-yield -- a stream that ends without a message
  listLinks: async function* () {
    await Promise.resolve();
  },
  connect: ({ address }) => ConnectResponse.fromPartial({ accepted: true, reason: `to ${address}` }),
  disconnect: () => ({ found: false }),
  getStats: () => GetStatsResponse.create(),
};

const ofKind =
  (kind: RpcErrorKind, code: string = kind) =>
  (error: unknown) => {
    assert.ok(error instanceof RpcError, String(error));
    assert.deepEqual([error.kind, error.code], [kind, code]);
    return true;
  };

describe('kit rpc', () => {
  const servers: RpcServer[] = [];
  const clients: Client[] = [];
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  async function serve(
    handlers: Partial<Handlers> = {},
    more: { token?: string; drainMs?: number; metrics?: Metrics } = {},
  ) {
    const health = createReadiness(['bus']);
    const service = rpcService(
      ConnectionsServiceService,
      { ...quiet, ...handlers },
      { errors: { 'no-link': 'not-found' } },
    );
    const server = createRpcServer({ services: [service], health, logger, drainMs: 100, ...more });
    servers.push(server);
    const address = await server.start();
    return { server, address, health, client: open(address, more.token) };
  }

  function open(address: { host: string; port: number }, token?: string): Client {
    const client = createRpcClient({ address, token });
    clients.push(client);
    return client;
  }

  it('answers a unary call, on loopback and a port that the system chose', async () => {
    const { client, address } = await serve();
    assert.equal(address.host, '127.0.0.1');
    assert.ok(address.port > 0);
    const response = await callUnary(client, connect, { address: '192.0.2.1:6346', waitMs: 0 }, { timeoutMs });
    assert.deepEqual(response, ConnectResponse.fromPartial({ accepted: true, reason: 'to 192.0.2.1:6346' }));
  });

  it('tells how long calls took, by service and method, those that failed among them', async () => {
    const metrics = createMetrics({ service: 'edge', strict: true });
    const { client } = await serve({ disconnect: () => Promise.reject(new Error('no')) }, { metrics });
    const { disconnect } = ConnectionsServiceService;
    await callUnary(client, connect, { address: '192.0.2.1:6346', waitMs: 0 }, { timeoutMs });
    await assert.rejects(callUnary(client, disconnect, { edgeId: '', link: 1, reason: '' }, { timeoutMs }));
    const counted = async (method: string): Promise<string | undefined> => {
      const text = await metrics.registry.metrics();
      return new RegExp(`rpc_call_seconds_count\\{service="${NAME}",method="${method}"\\} (\\d+)`).exec(text)?.[1];
    };
    await waitFor(
      'both calls',
      async () => (await counted('Connect')) === '1' && (await counted('Disconnect')) === '1',
    );
    assert.equal(await counted('ListLinks'), '0');
  });

  it('serves generated clients too', async () => {
    const { client } = await serve();
    const generated = new ConnectionsServiceClient(client.getChannel().getTarget(), {} as never, {
      channelOverride: client.getChannel(),
    });
    const found = await new Promise((resolve, reject) => {
      generated.disconnect({ edgeId: 'e', link: 1, reason: '' }, (error, response) =>
        error === null ? resolve(response.found) : reject(error),
      );
    });
    assert.equal(found, false);
  });

  it('gives the caller the code and the kind of a service error, and of any other only that it was internal', async () => {
    let thrown: Error = Object.assign(new Error('no link 7'), { code: 'no-link' });
    const { client } = await serve({
      disconnect: () => Promise.reject(thrown),
      // eslint-disable-next-line require-yield -- a stream that ends without a message
      listLinks: async function* () {
        await Promise.resolve();
        throw thrown;
      },
    });
    const call = () =>
      callUnary(client, ConnectionsServiceService.disconnect, { edgeId: '', link: 7, reason: '' }, { timeoutMs });
    const stream = () => collect(callStream(client, listLinks, {}, { timeoutMs }));
    await assert.rejects(call(), ofKind('not-found', 'no-link'));
    await assert.rejects(stream(), ofKind('not-found', 'no-link'));
    await assert.rejects(call(), /no link 7/);
    thrown = new Error('/home/someone');
    await assert.rejects(call(), (error) => ofKind('internal')(error) && !String(error).includes('someone'));
    await assert.rejects(stream(), ofKind('internal'));
  });

  it('streams all messages in order', async () => {
    const { client } = await serve({
      listLinks: async function* () {
        for (let number = 0; number < 500; number++) yield await Promise.resolve(link(number));
      },
    });
    const numbers: number[] = [];
    for await (const response of callStream(client, listLinks, {}, { timeoutMs })) numbers.push(response.link);
    assert.deepEqual(
      numbers,
      Array.from({ length: 500 }, (_, number) => number),
    );
  });

  it('holds the server back while the consumer is slow, and tells the handler when the consumer leaves', async () => {
    let made = 0;
    let cleanedUp = false;
    const { client } = await serve({
      listLinks: async function* (_request, { signal }) {
        try {
          while (!signal.aborted) {
            made++;
            yield await Promise.resolve(ListLinksResponse.create({ userAgent: 'x'.repeat(10_000) }));
          }
        } finally {
          cleanedUp = true;
        }
      },
    });
    let taken = 0;
    for await (const { userAgent } of callStream(client, listLinks, {}, { timeoutMs })) {
      if (userAgent.length === 10_000) taken++;
      // Many turns of the event loop, in which a server that is not held back would make thousands.
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (taken === 20) break;
    }
    assert.ok(made < 200, `${made} made`);
    await waitFor('the handler to end', () => cleanedUp);
  });

  it('stops taking messages at the bound', async () => {
    const { client } = await serve({
      listLinks: async function* () {
        for (;;) yield await Promise.resolve(link(1));
      },
    });
    const seen: number[] = [];
    const take = async (): Promise<void> => {
      for await (const { link: number } of callStream(client, listLinks, {}, { timeoutMs, maxMessages: 3 }))
        seen.push(number);
    };
    await assert.rejects(take(), ofKind('resource-exhausted'));
    assert.equal(seen.length, 3);
  });

  it('ends a call at its deadline on both sides, also where the handler hangs', async () => {
    const aborted: string[] = [];
    const { client } = await serve({
      getStats: (_request, { signal, deadlineMs }) => {
        assert.ok(deadlineMs <= Date.now() + 100);
        signal.addEventListener('abort', () => aborted.push('unary'));
        return never();
      },
      // eslint-disable-next-line require-yield -- a stream that ends without a message
      listLinks: async function* (_request, { signal }) {
        signal.addEventListener('abort', () => aborted.push('stream'));
        await never();
      },
    });
    await assert.rejects(callUnary(client, getStats, {}, { timeoutMs: 100 }), ofKind('deadline-exceeded'));
    const stream = collect(callStream(client, listLinks, {}, { timeoutMs: 100 }));
    await assert.rejects(stream, ofKind('deadline-exceeded'));
    await waitFor('both handlers to be told', () => aborted.length === 2);
  });

  it('cancels when the signal of the caller aborts', async () => {
    let reached = 0;
    let told = 0;
    const wait = (signal: AbortSignal): Promise<never> => {
      reached++;
      signal.addEventListener('abort', () => told++);
      return never();
    };
    const { client } = await serve({
      getStats: (_request, { signal }) => wait(signal),
      // eslint-disable-next-line require-yield -- a stream that ends without a message
      listLinks: async function* (_request, { signal }) {
        await wait(signal);
      },
    });
    const abort = new AbortController();
    const options = { timeoutMs, signal: abort.signal };
    const calls = [
      assert.rejects(callUnary(client, getStats, {}, options), ofKind('cancelled')),
      assert.rejects(collect(callStream(client, listLinks, {}, options)), ofKind('cancelled')),
    ];
    await waitFor('both calls', () => reached === 2);
    abort.abort();
    await Promise.all(calls);
    await waitFor('both handlers to be told', () => told === 2);
    await assert.rejects(callUnary(client, getStats, {}, options), ofKind('cancelled'));
  });

  it('refuses messages over the size limit, either way', async () => {
    const { client } = await serve({
      connect: () => ConnectResponse.fromPartial({ reason: 'x'.repeat(MAX_RPC_MESSAGE_BYTES) }),
    });
    const large = { address: 'x'.repeat(MAX_RPC_MESSAGE_BYTES), waitMs: 0 };
    await assert.rejects(callUnary(client, connect, large, { timeoutMs }), ofKind('resource-exhausted'));
    await assert.rejects(
      callUnary(client, connect, { address: '', waitMs: 0 }, { timeoutMs }),
      ofKind('resource-exhausted'),
    );
  });

  it('refuses calls over its limit, and takes calls again when others have ended', async () => {
    let reached = 0;
    const { client, address } = await serve({
      getStats: () => {
        reached++;
        return never();
      },
    });
    const abort = new AbortController();
    // Clients share a connection to one address unless told otherwise, and a connection has a limit of its own.
    const apart = { ...rpcClientOptions(), 'grpc.use_local_subchannel_pool': 1 };
    const others = Array.from(
      { length: 4 },
      () => new Client(formatHostPort(address), credentials.createInsecure(), apart),
    );
    clients.push(...others);
    const waiting = others.flatMap((other) =>
      Array.from({ length: 64 }, () =>
        callUnary(other, getStats, {}, { timeoutMs, signal: abort.signal }).catch(() => {}),
      ),
    );
    await waitFor('the limit', () => reached === 256);
    await assert.rejects(
      callUnary(client, connect, { address: '', waitMs: 0 }, { timeoutMs }),
      ofKind('resource-exhausted'),
    );
    abort.abort();
    await Promise.all(waiting);
    await waitFor('room', () =>
      callUnary(client, connect, { address: '', waitMs: 0 }, { timeoutMs }).then(
        () => true,
        () => false,
      ),
    );
  });

  it('asks for its token in each call, but not in health checks', async () => {
    const { client, address } = await serve({}, { token: TOKEN });
    assert.equal((await callUnary(client, connect, { address: '', waitMs: 0 }, { timeoutMs })).accepted, true);
    for (const token of [undefined, 'another token of many characters']) {
      const other = open(address, token);
      await assert.rejects(
        callUnary(other, connect, { address: '', waitMs: 0 }, { timeoutMs }),
        ofKind('unauthenticated'),
      );
      const stream = collect(callStream(other, listLinks, {}, { timeoutMs }));
      await assert.rejects(stream, ofKind('unauthenticated'));
      assert.equal(await checkHealth(other, ''), 'NOT_SERVING');
    }
  });

  it('reports health by readiness, for the server and each service', async () => {
    const { client, health } = await serve();
    assert.deepEqual([await checkHealth(client, ''), await checkHealth(client, NAME)], ['NOT_SERVING', 'NOT_SERVING']);
    health.set('bus', true);
    assert.deepEqual([await checkHealth(client, ''), await checkHealth(client, NAME)], ['SERVING', 'SERVING']);
    health.set('bus', false);
    assert.equal(await checkHealth(client, NAME), 'NOT_SERVING');
  });

  it('lets calls end while it stops, and cuts off those that do not', async () => {
    let finish = (): void => {};
    let reached = 0;
    const { server, client } = await serve({
      disconnect: () => {
        reached++;
        return new Promise((resolve) => (finish = () => resolve({ found: true })));
      },
    });
    const request = { edgeId: '', link: 1, reason: '' };
    const call = callUnary(client, ConnectionsServiceService.disconnect, request, { timeoutMs });
    await waitFor('the call', () => reached === 1);
    const stopped = server.stop();
    finish();
    assert.deepEqual(await call, { found: true });
    await stopped;

    const second = await serve({ getStats: () => (reached++, never()) });
    const hanging = assert.rejects(
      callUnary(second.client, getStats, {}, { timeoutMs }),
      (error) => error instanceof RpcError,
    );
    await waitFor('the hanging call', () => reached === 2);
    await second.server.stop();
    await hanging;
  });

  it('refuses an address that others can reach without a token, and a token that is too short', () => {
    const make = (host: string, token?: string) =>
      createRpcServer({ listen: { host, port: 0 }, services: [], health: createReadiness(), logger, token });
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'node.example'])
      assert.throws(
        () => make(host),
        (error) =>
          error instanceof RpcServerError && error.code === 'token-needed' && /configure a token/.test(error.message),
      );
    assert.throws(() => make('127.0.0.1', 'short'), /at least 16 characters/);
    for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
      assert.ok(isLoopback(host), host);
    for (const host of ['127.0.0.1.example', '128.0.0.1', '::', '']) assert.equal(isLoopback(host), false, host);
    make('0.0.0.0', TOKEN);
  });

  it('says in a sentence that its port is in use', async () => {
    const { address } = await serve();
    const second = createRpcServer({ listen: address, services: [], health: createReadiness(), logger });
    await assert.rejects(second.start(), (error) => {
      assert.ok(error instanceof ListenError);
      assert.match(error.message, /^control address 127\.0\.0\.1:\d+ is in use/);
      return error.code === 'address-in-use';
    });
  });

  it('reports a server that is not there as unavailable', async () => {
    const { server, address } = await serve();
    await server.stop();
    const call = callUnary(open(address), connect, { address: '', waitMs: 0 }, { timeoutMs });
    await assert.rejects(call, ofKind('unavailable'));
  });

  it('carries a sampled trace from the caller to the handler', async () => {
    const receiver = await startOtlpReceiver();
    const { endpoint } = receiver;
    const telemetry = await startTelemetry({ enabled: true, endpoint, serviceName: 'test', sampleRatio: 1 });
    try {
      const { client } = await serve();
      const span = startSpan('command', { kind: 'client' });
      await span.run(() => callUnary(client, connect, { address: '', waitMs: 0 }, { timeoutMs }));
      span.end();
    } finally {
      await telemetry.shutdown();
      await receiver.close();
    }
    const command = receiver.spans.find(({ name }) => name === 'command');
    const served = receiver.spans.find(({ name }) => name === `/${NAME}/Connect`);
    assert.ok(command !== undefined && served !== undefined);
    assert.equal(served.parentSpanId, command.spanId);
    assert.equal(served.traceId, command.traceId);
  });
});
