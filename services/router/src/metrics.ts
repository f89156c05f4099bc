import type { Durations, Metrics, Sample } from '@filbert/kit';
import { DROP_REASONS } from './counters.ts';
import { KICK_REASONS } from './neighbour-limits.ts';
import { PUSH_PROXY_RESULTS } from './push-proxy.ts';
import type { Router } from './router.ts';
import type { RouterShard } from './shard.ts';

const ROUTE_TABLES = { table: ['query', 'push'] } as const;

/**
 * Declares what the router shards of this process tell, each number summed over them.
 * @param ingressAge what all of them count the age of batches in
 */
export function declareMetrics(metrics: Metrics, routers: readonly Router[], ingressAge: Durations): void {
  const sum = (read: (shard: RouterShard) => number): number =>
    routers.reduce((total, { shard }) => total + (shard === undefined ? 0 : read(shard)), 0);
  metrics.gaugeFrom('links', 'Links known.', () => sum((shard) => shard.links.size));
  metrics.gaugeFrom('leaf_tables', 'Leaves with a usable table.', () => sum((shard) => shard.links.leavesWithTable));
  metrics.gaugeFrom('query_routes', 'Query GUIDs remembered.', () => sum((shard) => shard.queryRoutes.size));
  metrics.gaugeFrom('push_routes', 'Servent GUIDs remembered.', () => sum((shard) => shard.servents.routes.size));
  metrics.gaugeFrom('leaf_searches', 'Searches under way for leaves.', () => sum((shard) => shard.searches.active));
  metrics.counterFrom(
    'kicks_total',
    'Links that edges were told to end since they break a rule of the whole node, by rule.',
    { reason: KICK_REASONS },
    () =>
      KICK_REASONS.map((reason) => ({ labels: { reason }, value: sum((shard) => shard.limits?.kicks[reason] ?? 0) })),
  );
  metrics.gaugeFrom('edges', 'Edges followed, each shard’s counted.', () =>
    routers.reduce((total, router) => total + router.edges, 0),
  );
  metrics.gaugeFrom('held_batches', 'Batches of frames that wait for the link records they rely on.', () =>
    routers.reduce((total, router) => total + router.heldBatches, 0),
  );
  metrics.durationsFrom(
    'ingress_age_seconds',
    'Age of batches from edges when they were routed, the wait for link records included.',
    () => ingressAge,
  );
  metrics.counterFrom('received_bytes_total', 'Bytes of frames in batches taken from edges.', () =>
    sum((shard) => shard.counters.bytesIn),
  );
  metrics.counterFrom(
    'sent_bytes_total',
    'Bytes of frames in batches sent to edges; a frame for many links counts once.',
    () => sum((shard) => shard.counters.bytesOut),
  );
  metrics.gaugeFrom('merged_table_slots', 'Slots set in the merged table.', () =>
    sum((shard) => shard.links.merged.count),
  );
  metrics.counterFrom('frames_total', 'Frames routed, by type.', { type: ['query', 'hit', 'push'] }, () => [
    { labels: { type: 'query' }, value: sum((shard) => shard.counters.queries) },
    { labels: { type: 'hit' }, value: sum((shard) => shard.counters.hits) },
    { labels: { type: 'push' }, value: sum((shard) => shard.counters.pushes) },
  ]);
  metrics.counterFrom(
    'deliveries_total',
    'Copies of frames handed to links, by type.',
    { type: ['query', 'hit', 'push'] },
    () => [
      { labels: { type: 'query' }, value: sum((shard) => shard.counters.queryDeliveries) },
      { labels: { type: 'hit' }, value: sum((shard) => shard.counters.hitDeliveries) },
      { labels: { type: 'push' }, value: sum((shard) => shard.counters.pushDeliveries) },
    ],
  );
  metrics.counterFrom('routes_expired_total', 'Routes forgotten with their generation, by table.', ROUTE_TABLES, () => [
    { labels: { table: 'query' }, value: sum((shard) => shard.queryRoutes.expired) },
    { labels: { table: 'push' }, value: sum((shard) => shard.servents.routes.expired) },
  ]);
  metrics.counterFrom(
    'route_generations_full_total',
    'Generations of routes replaced early because they were full, by table.',
    ROUTE_TABLES,
    () => [
      { labels: { table: 'query' }, value: sum((shard) => shard.queryRoutes.fullRotations) },
      { labels: { table: 'push' }, value: sum((shard) => shard.servents.routes.fullRotations) },
    ],
  );
  metrics.counterFrom(
    'push_proxy_requests_total',
    'PUSHes asked for over HTTP, by what became of them.',
    { result: PUSH_PROXY_RESULTS },
    () =>
      PUSH_PROXY_RESULTS.map((result) => ({
        labels: { result },
        value: routers.reduce((total, { pushProxy }) => total + (pushProxy?.results[result] ?? 0), 0),
      })),
  );
  metrics.counterFrom('candidates_total', 'Links that the filter found.', () =>
    sum((shard) => shard.counters.candidates),
  );
  metrics.counterFrom('candidates_refused_total', 'Of these, links whose exact table did not match.', () =>
    sum((shard) => shard.counters.candidatesRefused),
  );
  metrics.counterFrom('replays_asked_total', 'Replays of link records asked of edges.', () =>
    sum((shard) => shard.counters.replaysAsked),
  );
  metrics.counterFrom('dropped_total', 'Frames dropped, by reason.', { reason: DROP_REASONS }, () =>
    DROP_REASONS.map((reason): Sample<{ reason: typeof DROP_REASONS }> => ({
      labels: { reason },
      value: sum((shard) => shard.counters.dropped[reason]),
    })),
  );
}
