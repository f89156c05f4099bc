import type { Metrics } from '@filbert/kit';
import { FORGET_REASONS, HOST_STATES } from './host-cache.ts';
import { HOST_REFUSALS, SUMMARY_KINDS, VOTE_REFUSALS, type NodeBootstrap } from './node-bootstrap.ts';

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
    'Hosts not taken into the cache, by reason: no peer’s address, no room, or beyond what one report may hold.',
    { reason: HOST_REFUSALS },
    () => HOST_REFUSALS.map((reason) => ({ labels: { reason }, value: bootstrap.drops.hostsRefused[reason] })),
  );
  metrics.counterFrom(
    'hosts_forgotten_total',
    'Hosts dropped from the cache, by reason: it was full, or they were not seen for too long.',
    { reason: FORGET_REASONS },
    () => FORGET_REASONS.map((reason) => ({ labels: { reason }, value: bootstrap.drops.hostsForgotten[reason] })),
  );
  metrics.counterFrom(
    'votes_refused_total',
    'Words of peers about our address that were not taken, by reason.',
    { reason: VOTE_REFUSALS },
    () => VOTE_REFUSALS.map((reason) => ({ labels: { reason }, value: bootstrap.drops.votesRefused[reason] })),
  );
  metrics.counterFrom(
    'votes_forgotten_total',
    'Words of peers about our address that are no longer kept, by reason: further networks spoke, or they were too old.',
    { reason: FORGET_REASONS },
    () => FORGET_REASONS.map((reason) => ({ labels: { reason }, value: bootstrap.drops.votesForgotten[reason] })),
  );
  metrics.counterFrom(
    'summaries_refused_total',
    'Heartbeats of edges, library parts and transfers workers beyond what is followed, by kind.',
    { kind: SUMMARY_KINDS },
    () => SUMMARY_KINDS.map((kind) => ({ labels: { kind }, value: bootstrap.drops.summariesRefused[kind] })),
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
