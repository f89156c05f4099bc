import type { Metrics } from '@filbert/kit';
import type { IngressCounters } from './ingress.ts';
import type { InternalEdgeNumbers } from './internal-edge.ts';

/** Declares what became of the frames that an edge has for the router. @param read undefined before the edge starts */
export function declareIngressFrames(metrics: Metrics, read: () => Readonly<IngressCounters> | undefined): void {
  metrics.counterFrom(
    'ingress_frames_total',
    'Frames for the router, by what became of them.',
    { result: ['batched', 'shed-query', 'no-credit', 'disconnected'] },
    () => {
      const counters = read();
      return [
        { labels: { result: 'batched' }, value: counters?.frames ?? 0 },
        { labels: { result: 'shed-query' }, value: counters?.shedQueries ?? 0 },
        { labels: { result: 'no-credit' }, value: counters?.noCredit ?? 0 },
        { labels: { result: 'disconnected' }, value: counters?.disconnected ?? 0 },
      ];
    },
  );
}

/** Declares what a service tells of its internal edge. @param read undefined while the service has none */
export function declareInternalEdge(metrics: Metrics, read: () => InternalEdgeNumbers | undefined): void {
  metrics.gaugeFrom('links', 'Links that the service itself holds in the router.', () => read()?.links ?? 0);
  metrics.counterFrom(
    'links_refused_total',
    'Links that the service did not get because it holds as many as it may.',
    () => read()?.linksRefused ?? 0,
  );
  declareIngressFrames(metrics, () => read()?.ingress);
  metrics.counterFrom(
    'deliveries_total',
    'Frames from the router for these links, by what became of them.',
    { result: ['taken', 'unknown-link', 'old-epoch'] },
    () => {
      const numbers = read();
      return [
        { labels: { result: 'taken' }, value: numbers?.delivered ?? 0 },
        { labels: { result: 'unknown-link' }, value: numbers?.unknownLink ?? 0 },
        { labels: { result: 'old-epoch' }, value: numbers?.oldEpoch ?? 0 },
      ];
    },
  );
}
