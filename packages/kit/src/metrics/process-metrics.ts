import { collectDefaultMetrics, type Registry } from 'prom-client';
import { SPAN_EVENTS, spanCounts } from '../telemetry/telemetry.ts';
import type { Durations } from './durations.ts';
import type { Metrics } from './metrics.ts';
import { namesUpTo } from './labels.ts';

const collecting = new WeakSet<Registry>();

/**
 * Adds what Node knows of the process (event-loop lag, heap, garbage collection, CPU, file descriptors) under its usual
 * names `nodejs_…` and `process_…`. Once per registry: further calls do nothing.
 */
export function collectProcessMetrics(registry: Registry): void {
  if (collecting.has(registry)) return;
  collecting.add(registry);
  collectDefaultMetrics({ register: registry });
}

/** What the bus counts, by topic and event: closed sets of names in the program. */
export interface CountedBus {
  counters(): Iterable<{ readonly topic: string; readonly event: string; readonly value: number }>;
  outstanding(): Iterable<{ readonly topic: string; readonly bytes: number }>;
  requestDurations(): Iterable<{ readonly topic: string; readonly durations: Durations }>;
}

/** Most topics that the bus counters tell apart. */
export const MAX_BUS_TOPICS = 48;
/** Most events per topic. */
export const MAX_BUS_EVENTS = 10;

/**
 * Adds `filbert_<service>_bus_events_total{topic,event}`, `filbert_<service>_bus_outstanding_bytes{topic}` and
 * `filbert_<service>_bus_request_seconds{topic}`, read from the bus at scrape time.
 */
export function collectBusCounters(metrics: Metrics, bus: CountedBus): void {
  metrics.counterFrom(
    'bus_events_total',
    'What happened to messages of the bus, by topic.',
    { topic: namesUpTo(MAX_BUS_TOPICS), event: namesUpTo(MAX_BUS_EVENTS) },
    () => Array.from(bus.counters(), ({ topic, event, value }) => ({ labels: { topic, event }, value })),
  );
  metrics.gaugeFrom(
    'bus_outstanding_bytes',
    'Bytes sent over streams of the bus that their readers have not done yet, by topic.',
    { topic: namesUpTo(MAX_BUS_TOPICS) },
    () => Array.from(bus.outstanding(), ({ topic, bytes }) => ({ labels: { topic }, value: bytes })),
  );
  metrics.durationsFrom(
    'bus_request_seconds',
    'Time from a request over the bus to its reply or failure, by topic.',
    { topic: namesUpTo(MAX_BUS_TOPICS) },
    () => Array.from(bus.requestDurations(), ({ topic, durations }) => ({ labels: { topic }, durations })),
  );
}

/** Adds `filbert_<service>_spans_total{event}`: what became of the spans of this process; all 0 while telemetry is off. */
export function collectSpanCounters(metrics: Metrics): void {
  metrics.counterFrom('spans_total', 'Spans of traces, by what became of them.', { event: SPAN_EVENTS }, () =>
    SPAN_EVENTS.map((event) => ({ labels: { event }, value: spanCounts[event] })),
  );
}
