import { bootstrapV1, connectionsV1, routerV1, searchV1 } from '@filbert/contracts';
import { RpcError, rpcService, type RpcCall, type RpcService } from '@filbert/kit';
import {
  away,
  bounded,
  ofAll,
  reachable,
  stream,
  unary,
  whole,
  withoutFailures,
  type ControlledProcess,
} from './asking.ts';
import { transfersControl } from './transfers-control.ts';

export interface ControlledNode {
  readonly bootstrap: ControlledProcess;
  readonly routers: readonly ControlledProcess[];
  /** By edge id. */
  readonly connections: readonly ControlledProcess[];
  readonly searchIndex: ControlledProcess;
  readonly transfers: readonly ControlledProcess[];
}

/**
 * Control of a node made of several processes: each call goes to the process, or to all of the processes, that it is about.
 * Of a list or a sum, what a process that is away would have said is left out; a call to one that is away fails as
 * `unavailable`.
 */
export function fanOutControl({
  bootstrap,
  routers,
  connections,
  searchIndex,
  transfers,
}: ControlledNode): RpcService[] {
  const edges = connectionsV1.ConnectionsServiceService;
  return [
    rpcService(edges, {
      async *listLinks(request, call) {
        const there = reachable(connections);
        const failures: unknown[] = [];
        for (const edge of there) {
          yield* withoutFailures(stream(edge, edges.listLinks, request, whole(call)), call, failures);
        }
        if (failures.length === there.length) throw failures[0];
      },
      async connect(request, call) {
        const edge = await leastLoaded(connections, call);
        // It may wait for the end of the dial.
        return unary(edge, edges.connect, request, whole(call));
      },
      async disconnect(request, call) {
        if (request.edgeId === '' && connections.length > 1) {
          throw new RpcError('invalid-argument', 'the node has several connections processes: name one by edge_id');
        }
        // Each knows its own name, and has none of the others' links.
        const parts = await ofAll(connections, (edge) => unary(edge, edges.disconnect, request, bounded(call)));
        const found = parts.some((part) => part.found);
        if (!found && parts.length < connections.length) throw away('a connections process');
        return { found };
      },
      async getStats(request, call) {
        const parts = await ofAll(connections, (edge) => unary(edge, edges.getStats, request, bounded(call)));
        return { edges: parts.flatMap((part) => part.edges) };
      },
    }),
    rpcService(routerV1.RouterServiceService, {
      async getStats(request, call) {
        const { getStats } = routerV1.RouterServiceService;
        const parts = await ofAll(routers, (router) => unary(router, getStats, request, bounded(call)));
        return { shards: parts.flatMap((part) => part.shards) };
      },
    }),
    rpcService(bootstrapV1.BootstrapServiceService, {
      getFacts: (request, call) =>
        unary(bootstrap, bootstrapV1.BootstrapServiceService.getFacts, request, bounded(call)),
      listHosts: (request, call) =>
        stream(bootstrap, bootstrapV1.BootstrapServiceService.listHosts, request, whole(call)),
      addHost: (request, call) => unary(bootstrap, bootstrapV1.BootstrapServiceService.addHost, request, bounded(call)),
    }),
    searchControl(searchIndex),
    transfersControl(transfers),
  ];
}

function searchControl(searchIndex: ControlledProcess): RpcService {
  const search = searchV1.SearchServiceService;
  return rpcService(search, {
    search: (request, call) => stream(searchIndex, search.search, request, whole(call)),
    lookUp: (request, call) => unary(searchIndex, search.lookUp, request, bounded(call)),
    browse: (request, call) => stream(searchIndex, search.browse, request, whole(call)),
    getStats: (request, call) => unary(searchIndex, search.getStats, request, bounded(call)),
    rescan: (request, call) => stream(searchIndex, search.rescan, request, whole(call)),
    addShare: (request, call) => unary(searchIndex, search.addShare, request, bounded(call)),
    removeShare: (request, call) => unary(searchIndex, search.removeShare, request, bounded(call)),
    listShares: (request, call) => stream(searchIndex, search.listShares, request, whole(call)),
  });
}

/** The connections process with the fewest ultrapeers: a peer that is dialled becomes one. */
async function leastLoaded(connections: readonly ControlledProcess[], call: RpcCall): Promise<ControlledProcess> {
  const { getStats } = connectionsV1.ConnectionsServiceService;
  const loads = await ofAll(connections, async (edge) => {
    const { edges } = await unary(edge, getStats, {}, bounded(call));
    return { edge, ultrapeers: edges[0]?.ultrapeers ?? 0 };
  });
  return loads.reduce((best, one) => (one.ultrapeers < best.ultrapeers ? one : best)).edge;
}
