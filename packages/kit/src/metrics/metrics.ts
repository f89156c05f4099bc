import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { MetricsError } from './errors.ts';
import { LabelSet, type LabelSpec, type LabelValues } from './labels.ts';

/** Buckets for how long something took, in seconds: from 100 µs to 10 s. */
export const LATENCY_BUCKETS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
/** Most buckets of a histogram: each is a series per label combination. */
export const MAX_BUCKETS = 32;

/** One value with its labels. */
export interface Sample<L extends LabelSpec> {
  readonly labels: LabelValues<L>;
  readonly value: number;
}

/** A histogram that takes values one by one. */
export interface HistogramRecorder<L extends LabelSpec> {
  /** Takes a value, in the unit of the metric's name, with a value for each declared label. */
  readonly observe: (value: number, ...labels: keyof L extends never ? [] : [labels: LabelValues<L>]) => void;
}

/** A metric with or without labels that is read at scrape time from numbers kept elsewhere. */
export interface DeclareReading {
  (name: string, help: string, read: () => number): void;
  <const L extends LabelSpec>(name: string, help: string, labels: L, read: () => Iterable<Sample<L>>): void;
}

/** Declares the metrics of one service. Names are given without their prefix `filbert_<service>_`. */
export interface Metrics {
  readonly registry: Registry;
  /** A counter, `<noun>_total`, read from a number that only grows. @throws MetricsError */
  readonly counterFrom: DeclareReading;
  /** A gauge, `<noun>` or `<noun>_<unit>`, read from a number. @throws MetricsError */
  readonly gaugeFrom: DeclareReading;
  /** A histogram, `<noun>_<unit>`; latency buckets unless others are given. @throws MetricsError */
  histogram<const L extends LabelSpec = Record<never, never>>(
    name: string,
    help: string,
    options?: { readonly buckets?: readonly number[]; readonly labels?: L },
  ): HistogramRecorder<L>;
}

export interface MetricsOptions {
  /** Second part of every name: `connections`, `search_index`, … */
  readonly service: string;
  /** Shared by the services of one process; by default a new one. */
  readonly registry?: Registry;
  /**
   * Throw where a sample has undeclared labels or is no usable number. For tests; otherwise such samples are left out and
   * counted in `filbert_<service>_refused_samples_total`, so that one bad sample does not cost the whole scrape.
   */
  readonly strict?: boolean;
}

/**
 * Metrics of one service.
 * @throws MetricsError `bad-name` where the service is not snake_case
 */
export function createMetrics({ service, registry = new Registry(), strict = false }: MetricsOptions): Metrics {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(service))
    throw new MetricsError('bad-name', `service "${service}" is not snake_case`);
  let refused = 0;
  const refuse = (metric: string, why: string): void => {
    if (strict) throw new MetricsError('bad-sample', `${metric}: ${why}`);
    refused++;
  };

  const readings = (kind: 'counter' | 'gauge'): DeclareReading => {
    return (name: string, help: string, ...rest: readonly unknown[]): void => {
      // The overloads of DeclareReading leave exactly these two shapes.
      const [labels, read] = (rest.length === 1 ? [{}, rest[0]] : rest) as [LabelSpec, () => unknown];
      const fullName = metricName(service, name, kind);
      const set = new LabelSet(fullName, labels);
      declareReading(
        kind,
        fullName,
        help,
        set,
        () => samplesOf(read()),
        registry,
        (why) => refuse(fullName, why),
      );
    };
  };

  const metrics: Metrics = {
    registry,
    counterFrom: readings('counter'),
    gaugeFrom: readings('gauge'),
    histogram(name, help, { buckets = LATENCY_BUCKETS_SECONDS, labels } = {}) {
      const fullName = metricName(service, name, 'histogram');
      if (buckets.length > MAX_BUCKETS)
        throw new MetricsError('bad-name', `${fullName} has over ${MAX_BUCKETS} buckets`);
      const set = new LabelSet(fullName, labels ?? {});
      const histogram = new Histogram({
        name: fullName,
        help,
        labelNames: set.names,
        buckets: [...buckets],
        registers: [registry],
      });
      return {
        observe(value, ...given) {
          const values = (given[0] ?? {}) as Readonly<Record<string, string>>;
          const problem = Number.isFinite(value) ? set.problem(values) : 'value is not finite';
          if (problem === undefined) histogram.observe(values, value);
          else refuse(fullName, problem);
        },
      };
    },
  };
  metrics.counterFrom(
    'refused_samples_total',
    'Samples left out for undeclared labels or unusable values.',
    () => refused,
  );
  return metrics;
}

function declareReading(
  kind: 'counter' | 'gauge',
  name: string,
  help: string,
  labels: LabelSet,
  read: () => Iterable<Sample<LabelSpec>>,
  registry: Registry,
  refuse: (why: string) => void,
): void {
  const collectInto = (put: (labels: Readonly<Record<string, string>>, value: number) => void): void => {
    for (const sample of read()) {
      const usable = Number.isFinite(sample.value) && (kind === 'gauge' || sample.value >= 0);
      const problem = usable ? labels.problem(sample.labels) : `value ${sample.value} is not usable`;
      if (problem === undefined) put(sample.labels, sample.value);
      else refuse(problem);
    }
  };
  const common = { name, help, labelNames: labels.names, registers: [registry] };
  if (kind === 'gauge') {
    const gauge: Gauge = new Gauge({
      ...common,
      collect() {
        gauge.reset();
        collectInto((values, value) => gauge.set(values, value));
      },
    });
  } else {
    const counter: Counter = new Counter({
      ...common,
      collect() {
        counter.reset();
        collectInto((values, value) => counter.inc(values, value));
      },
    });
  }
}

function samplesOf(reading: unknown): Iterable<Sample<LabelSpec>> {
  return typeof reading === 'number' ? [{ labels: {}, value: reading }] : (reading as Iterable<Sample<LabelSpec>>);
}

function metricName(service: string, name: string, kind: 'counter' | 'gauge' | 'histogram'): string {
  const fullName = `filbert_${service}_${name}`;
  const refuse = (why: string): never => {
    throw new MetricsError('bad-name', `${kind} ${fullName} ${why}`);
  };
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name)) refuse('is not snake_case');
  if (/_(ms|us|ns|millis|milliseconds|kib|kb|mib|mb|percent)$/.test(name)) refuse('is not in a base unit');
  if (name.endsWith('_total') !== (kind === 'counter')) refuse('ends in _total, or a counter does not');
  if (kind === 'histogram' && !name.includes('_')) refuse('does not name its unit');
  return fullName;
}
