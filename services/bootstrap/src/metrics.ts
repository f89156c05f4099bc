import type { Metrics } from '@filbert/kit';
import { HOST_STATES } from './host-cache.ts';
import type { NodeBootstrap } from './node-bootstrap.ts';

/** Declares what bootstrap tells: all of it is read from plain numbers at scrape time. */
export function declareMetrics(metrics: Metrics, bootstrap: NodeBootstrap): void {
  metrics.gaugeFrom('hosts_known', 'Hosts in the cache.', () => bootstrap.hosts?.size ?? 0);
  metrics.gaugeFrom('hosts_proven', 'Hosts that were linked to.', () => bootstrap.hosts?.proven ?? 0);
  metrics.gaugeFrom(
    'hosts',
    'Hosts in the cache by state: linked to, dialled in vain at last, neither, or left alone for a while.',
    { state: HOST_STATES },
    () => {
      const byState = bootstrap.hosts?.byState();
      return HOST_STATES.map((state) => ({ labels: { state }, value: byState?.[state] ?? 0 }));
    },
  );
  metrics.counterFrom(
    'hosts_refused_total',
    'Addresses refused because they are no peer’s.',
    () => bootstrap.hosts?.refused ?? 0,
  );
  metrics.gaugeFrom('facts_version', 'Number of the facts that are told; it grows with each change.', () =>
    bootstrap.facts === undefined ? 0 : bootstrap.facts.version,
  );
  metrics.gaugeFrom('edges', 'Edges heard of lately.', () => bootstrap.edges);
  metrics.gaugeFrom(
    'library_parts',
    'Parts of the library that tell what they share.',
    () => bootstrap.summaries.libraries,
  );
  metrics.gaugeFrom(
    'transfers_workers',
    'Transfers workers that tell of themselves.',
    () => bootstrap.summaries.workers,
  );
}
