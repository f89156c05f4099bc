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
  type DeclareReading,
  type HistogramRecorder,
  LATENCY_BUCKETS_SECONDS,
  type Metrics,
  type MetricsOptions,
  type Sample,
} from './metrics.ts';
export { type BusCounter, collectBusCounters, collectSpanCounters, collectProcessMetrics } from './process-metrics.ts';
