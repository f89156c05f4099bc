import { bootstrapV1, connectionsV1, routerV1 } from '@filbert/contracts';
import { callStream, callUnary, RpcError, rpcService, type RpcCall, type RpcService } from '@filbert/kit';
import type { RpcClient } from './service-child.ts';

/** Longest time that one process may take to answer a unary call, ms: less than callers wait. */
const CHILD_CALL_TIMEOUT_MS = 3_000;

/** A service process as control reaches it. */
export interface ControlledProcess {
  readonly name: string;
  /** Undefined while it takes no calls. */
  readonly client: RpcClient | undefined;
}

export interface ControlledNode {
  readonly bootstrap: ControlledProcess;
  readonly routers: readonly ControlledProcess[];
  /** By edge id. */
  readonly connections: readonly ControlledProcess[];
}

/**
 * Control of a node made of several processes: each call goes to the process, or to all of the processes, that it is about.
 * Of a list or a sum, what a process that is away would have said is left out; a call to one that is away fails as
 * `unavailable`.
 */
export function fanOutControl({ bootstrap, routers, connections }: ControlledNode): RpcService[] {
  const edges = connectionsV1.ConnectionsServiceService;
  return [
    rpcService(edges, {
      async *listLinks(request, call) {
        for (const client of clientsOf(connections)) {
          yield* withoutFailures(callStream(client, edges.listLinks, request, whole(call)), call);
        }
      },
      async connect(request, call) {
        const client = await leastLoaded(connections, call);
        return callUnary(client, edges.connect, request, bounded(call));
      },
      async disconnect(request, call) {
        if (request.edgeId === '' && connections.length > 1) {
          throw new RpcError('invalid-argument', 'the node has several connections processes: name one by edge_id');
        }
        const edge = connections.find(({ name }) => request.edgeId === '' || name === request.edgeId);
        if (edge === undefined) return { found: false };
        return callUnary(clientOf(edge), edges.disconnect, request, bounded(call));
      },
      async getStats(request, call) {
        const parts = await ofAll(connections, (client) => callUnary(client, edges.getStats, request, bounded(call)));
        return { edges: parts.flatMap((part) => part.edges) };
      },
    }),
    rpcService(routerV1.RouterServiceService, {
      async getStats(request, call) {
        const { getStats } = routerV1.RouterServiceService;
        const parts = await ofAll(routers, (client) => callUnary(client, getStats, request, bounded(call)));
        return { shards: parts.flatMap((part) => part.shards) };
      },
    }),
    rpcService(bootstrapV1.BootstrapServiceService, {
      getFacts: (request, call) =>
        callUnary(clientOf(bootstrap), bootstrapV1.BootstrapServiceService.getFacts, request, bounded(call)),
      listHosts: (request, call) =>
        callStream(clientOf(bootstrap), bootstrapV1.BootstrapServiceService.listHosts, request, whole(call)),
      addHost: (request, call) =>
        callUnary(clientOf(bootstrap), bootstrapV1.BootstrapServiceService.addHost, request, bounded(call)),
    }),
  ];
}

function clientOf({ name, client }: ControlledProcess): RpcClient {
  if (client === undefined) throw new RpcError('unavailable', `${name} is being started again`);
  return client;
}

/** The clients of those that take calls. @throws RpcError where there is none */
function clientsOf(processes: readonly ControlledProcess[]): RpcClient[] {
  const clients = processes.flatMap(({ client }) => client ?? []);
  if (clients.length > 0) return clients;
  throw new RpcError('unavailable', `${processes.map(({ name }) => name).join(', ')}: being started again`);
}

/** What each process answers, without those that do not. @throws RpcError where none does */
async function ofAll<R>(processes: readonly ControlledProcess[], ask: (client: RpcClient) => Promise<R>): Promise<R[]> {
  const answers = await Promise.allSettled(clientsOf(processes).map(ask));
  const parts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const [first] = answers;
  if (parts.length === 0 && first?.status === 'rejected') throw first.reason;
  return parts;
}

/** The connections process with the fewest ultrapeers: a peer that is dialled becomes one. */
async function leastLoaded(connections: readonly ControlledProcess[], call: RpcCall): Promise<RpcClient> {
  const { getStats } = connectionsV1.ConnectionsServiceService;
  const loads = await ofAll(connections, async (client) => {
    const { edges } = await callUnary(client, getStats, {}, bounded(call));
    return { client, ultrapeers: edges[0]?.ultrapeers ?? 0 };
  });
  return loads.reduce((best, one) => (one.ultrapeers < best.ultrapeers ? one : best)).client;
}

/** A stream that ends where the process behind it fails, unless the caller is the one who ended it. */
async function* withoutFailures<R>(stream: AsyncIterable<R>, call: RpcCall): AsyncGenerator<R, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    if (call.signal.aborted) throw error;
  }
}

/** A unary call of one process within the caller's own time. */
function bounded(call: RpcCall): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: Math.min(CHILD_CALL_TIMEOUT_MS, remainingMs(call)), signal: call.signal };
}

function whole(call: RpcCall): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: remainingMs(call), signal: call.signal };
}

function remainingMs(call: RpcCall): number {
  return Math.max(1, call.deadlineMs - Date.now());
}
