import type { Metrics } from '@filbert/kit';
import type { NatsSource } from './nats-source.ts';
import { SERVICE_KINDS } from '../service-kinds.ts';
import type { ServiceChild } from './service-child.ts';

/** What is told of a service process. */
type ToldChild = Pick<ServiceChild, 'kind' | 'ready' | 'restarts'>;

/** Declares what the supervisor tells of itself. Returns the count of scrapes that missed a process. */
export function declareMetrics(
  metrics: Metrics,
  children: readonly ToldChild[],
  nats: Pick<NatsSource, 'restarts'>,
): { scrapes: number } {
  const missing = { scrapes: 0 };
  const ofKind = (read: (child: ToldChild) => number) =>
    SERVICE_KINDS.map((kind) => ({
      labels: { kind },
      value: children.reduce((sum, child) => sum + (child.kind === kind ? read(child) : 0), 0),
    }));
  metrics.gaugeFrom('children_up', 'Service processes that live and do their work.', { kind: SERVICE_KINDS }, () =>
    ofKind((child) => (child.ready ? 1 : 0)),
  );
  metrics.counterFrom(
    'child_restarts_total',
    'Processes started again after they had ended.',
    { kind: [...SERVICE_KINDS, 'nats'] },
    () => [...ofKind((child) => child.restarts), { labels: { kind: 'nats' } as const, value: nats.restarts }],
  );
  metrics.counterFrom(
    'metrics_missing_total',
    'Times that a process that lives did not tell its metrics.',
    () => missing.scrapes,
  );
  return missing;
}
