export { Durations, LATENCY_BUCKETS_SECONDS } from './durations.ts';
export { MetricsError } from './errors.ts';
export { type LabelSpec, type LabelValues, namesUpTo, type NamesUpTo } from './labels.ts';
export {
  mergeMetricsJson,
  mergeProcessMetrics,
  type MetricsJson,
  parseMetricsJson,
  type ProcessMetrics,
} from './merge.ts';
export {
  createMetrics,
  type DeclareDurations,
  type DeclareReading,
  type DurationsSample,
  type Metrics,
  type MetricsOptions,
  type Sample,
} from './metrics.ts';
export { collectBusCounters, collectSpanCounters, collectProcessMetrics, type CountedBus } from './process-metrics.ts';
