import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type Durations, LATENCY_BUCKETS_SECONDS } from './durations.ts';
import { MetricsError } from './errors.ts';
import { LabelSet, type LabelSpec, type LabelValues } from './labels.ts';

/** One value with its labels. */
export interface Sample<L extends LabelSpec> {
  readonly labels: LabelValues<L>;
  readonly value: number;
}

/** A metric with or without labels that is read at scrape time from numbers kept elsewhere. */
export interface DeclareReading {
  (name: string, help: string, read: () => number): void;
  <const L extends LabelSpec>(name: string, help: string, labels: L, read: () => Iterable<Sample<L>>): void;
}

/** Durations with their labels. */
export interface DurationsSample<L extends LabelSpec> {
  readonly labels: LabelValues<L>;
  readonly durations: Durations;
}

/** A histogram with or without labels that is read at scrape time from durations counted elsewhere. */
export interface DeclareDurations {
  (name: string, help: string, read: () => Durations): void;
  <const L extends LabelSpec>(name: string, help: string, labels: L, read: () => Iterable<DurationsSample<L>>): void;
}

/** Declares the metrics of one service. Names are given without their prefix `filbert_<service>_`. */
export interface Metrics {
  readonly registry: Registry;
  /** A counter, `<noun>_total`, read from a number that only grows. @throws MetricsError */
  readonly counterFrom: DeclareReading;
  /** A gauge, `<noun>` or `<noun>_<unit>`, read from a number. @throws MetricsError */
  readonly gaugeFrom: DeclareReading;
  /** A histogram, `<noun>_seconds`, with the latency buckets, read from `Durations`. @throws MetricsError */
  readonly durationsFrom: DeclareDurations;
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
    durationsFrom(name: string, help: string, ...rest: readonly unknown[]): void {
      const [labels, read] = (rest.length === 1 ? [{}, rest[0]] : rest) as [LabelSpec, () => unknown];
      const fullName = metricName(service, name, 'histogram');
      if (!name.endsWith('_seconds')) throw new MetricsError('bad-name', `${fullName} does not end in _seconds`);
      const set = new LabelSet(fullName, labels);
      const samples = (): Iterable<DurationsSample<LabelSpec>> => {
        const reading = read();
        return Symbol.iterator in (reading as object)
          ? (reading as Iterable<DurationsSample<LabelSpec>>)
          : [{ labels: {}, durations: reading as Durations }];
      };
      registry.registerMetric(new DurationsMetric(fullName, help, set, samples, (why) => refuse(fullName, why)));
    },
  };
  metrics.counterFrom(
    'refused_samples_total',
    'Samples left out for undeclared labels or unusable values.',
    () => refused,
  );
  return metrics;
}

/** A histogram for prom-client that keeps nothing itself: what it tells is made of the `Durations` at each scrape. */
class DurationsMetric extends Histogram {
  /** Gives everything but the values. */
  readonly #empty: Histogram;
  readonly #read: () => Iterable<DurationsSample<LabelSpec>>;
  readonly #labels: LabelSet;
  readonly #refuse: (why: string) => void;

  constructor(
    name: string,
    help: string,
    labels: LabelSet,
    read: () => Iterable<DurationsSample<LabelSpec>>,
    refuse: (why: string) => void,
  ) {
    const shape = { name, help, labelNames: [...labels.names], registers: [] };
    super(shape);
    this.#empty = new Histogram(shape);
    this.#labels = labels;
    this.#read = read;
    this.#refuse = refuse;
  }

  override async get(): ReturnType<Histogram['get']> {
    const metric = await this.#empty.get();
    metric.values = [];
    for (const { labels, durations } of this.#read()) {
      const problem = this.#labels.problem(labels);
      if (problem !== undefined) {
        this.#refuse(problem);
        continue;
      }
      const add = (metricName: string, value: number, le?: number | string): void => {
        metric.values.push({ metricName, value, labels: le === undefined ? { ...labels } : { le, ...labels } });
      };
      let below = 0;
      LATENCY_BUCKETS_SECONDS.forEach((bound, index) => {
        below += durations.buckets[index] ?? 0;
        add(`${metric.name}_bucket`, below, bound);
      });
      add(`${metric.name}_bucket`, durations.count, '+Inf');
      add(`${metric.name}_sum`, durations.sum);
      add(`${metric.name}_count`, durations.count);
    }
    return metric;
  }

  /** What prom-client asks for the text form; not in its types. */
  getForPromString(): ReturnType<Histogram['get']> {
    return this.get();
  }
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
