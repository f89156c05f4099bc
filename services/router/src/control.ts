import { LinkKind, routerV1 } from '@filbert/contracts';
import { rpcService, type RpcService } from '@filbert/kit';
import type { Link } from './link-table.ts';
import type { Router } from './router.ts';

/** gRPC control of the router shards of one process. */
export function routerControl(routers: readonly Router[]): RpcService {
  return rpcService(routerV1.RouterServiceService, {
    getStats() {
      return { shards: routers.map(shardStats) };
    },
  });
}

function shardStats(router: Router): routerV1.ShardStats {
  const { shard } = router;
  const counters = shard?.counters;
  return {
    shard: router.number,
    links: shard?.links.size ?? 0,
    leavesWithTable: shard?.links.leavesWithTable ?? 0,
    ultrapeersWithTable: shard?.links.ultrapeersWithTable ?? 0,
    queryRoutes: shard?.queryRoutes.size ?? 0,
    pushRoutes: shard?.servents.routes.size ?? 0,
    leafSearches: shard?.searches.active ?? 0,
    queries: counters?.queries ?? 0,
    queryDuplicates: counters?.dropped.duplicate ?? 0,
    hits: counters?.hits ?? 0,
    hitsDropped: (counters?.dropped['route-unknown'] ?? 0) + (counters?.dropped['route-lost'] ?? 0),
    pushes: counters?.pushes ?? 0,
    deliveries: (counters?.queryDeliveries ?? 0) + (counters?.hitDeliveries ?? 0) + (counters?.pushDeliveries ?? 0),
    mergedBits: shard?.links.merged.bits ?? 0,
    mergedSlotsSet: shard?.links.merged.count ?? 0,
    neighbours: shard === undefined ? 0 : neighbours(shard.links.all()),
  };
}

function neighbours(links: Iterable<Link>): number {
  let count = 0;
  for (const { kind } of links) {
    if (kind === LinkKind.LINK_KIND_LEAF || kind === LinkKind.LINK_KIND_ULTRAPEER) count++;
  }
  return count;
}
