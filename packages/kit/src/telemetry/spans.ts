import type * as Api from '@opentelemetry/api';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

/** What may be said of a span: numbers, switches and short fixed texts; never query text. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** One timed piece of work of a trace. Where telemetry is off, or the trace is not sampled, every method does nothing. */
export interface TraceSpan {
  /** W3C traceparent to hand on to whoever goes on with the work; undefined where nothing is recorded. */
  readonly traceparent: string | undefined;
  setAttributes(attributes: SpanAttributes): void;
  /** Marks the span as failed. */
  fail(error: unknown): void;
  /** Runs `work` with this span as the active one, so that its logs and spans belong to it. */
  run<T>(work: () => T): T;
  /** Must be called once; what is not ended is never sent. */
  end(): void;
}

export interface SpanOptions {
  /** W3C traceparent of the work that led to this; without one, the active span is the parent. */
  readonly parent?: string | undefined;
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly attributes?: SpanAttributes;
}

/** The loaded library while telemetry is on. OpenTelemetry is one per process, so this is too. */
export interface TracingState {
  readonly api: typeof Api;
  readonly tracer: Api.Tracer;
}

let tracing: TracingState | undefined;

/** Turns spans on, or off with undefined. Only `startTelemetry` calls this. */
export function setTracing(state: TracingState | undefined): void {
  tracing = state;
}

/** Whether telemetry is on in this process. */
export function isTracing(): boolean {
  return tracing !== undefined;
}

const NO_SPAN: TraceSpan = {
  traceparent: undefined,
  setAttributes: () => {},
  fail: () => {},
  run: (work) => work(),
  end: () => {},
};

/** Starts a span. Returns one that does nothing while telemetry is off. */
export function startSpan(name: string, { parent, kind = 'internal', attributes }: SpanOptions = {}): TraceSpan {
  if (tracing === undefined) return NO_SPAN;
  const { api, tracer } = tracing;
  const kinds = {
    internal: api.SpanKind.INTERNAL,
    server: api.SpanKind.SERVER,
    client: api.SpanKind.CLIENT,
    producer: api.SpanKind.PRODUCER,
    consumer: api.SpanKind.CONSUMER,
  };
  const parentContext = contextOf(api, parent);
  const span = tracer.startSpan(name, { kind: kinds[kind], ...(attributes && { attributes }) }, parentContext);
  return wrap(api, span, parentContext);
}

/** Ids of the active span, named as log lines carry them; undefined while there is none. */
export function activeTraceIds(): { readonly trace_id: string; readonly span_id: string } | undefined {
  const context = tracing?.api.trace.getActiveSpan()?.spanContext();
  if (context === undefined || !tracing?.api.isSpanContextValid(context)) return undefined;
  return { trace_id: context.traceId, span_id: context.spanId };
}

/** W3C traceparent of the active span; undefined while there is none or it is not sampled. */
export function activeTraceparent(): string | undefined {
  const span = tracing?.api.trace.getActiveSpan();
  return span === undefined || tracing === undefined ? undefined : traceparentOf(tracing.api, span);
}

function contextOf(api: typeof Api, traceparent: string | undefined): Api.Context {
  const parsed = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  if (parsed === undefined) return api.context.active();
  return api.trace.setSpanContext(api.context.active(), {
    traceId: parsed.traceId,
    spanId: parsed.spanId,
    traceFlags: parsed.sampled ? api.TraceFlags.SAMPLED : api.TraceFlags.NONE,
    isRemote: true,
  });
}

function traceparentOf(api: typeof Api, span: Api.Span): string | undefined {
  const { traceId, spanId, traceFlags } = span.spanContext();
  const sampled = (traceFlags & api.TraceFlags.SAMPLED) !== 0;
  return sampled ? formatTraceparent({ traceId, spanId, sampled }) : undefined;
}

function wrap(api: typeof Api, span: Api.Span, parentContext: Api.Context): TraceSpan {
  return {
    traceparent: traceparentOf(api, span),
    setAttributes: (attributes) => void span.setAttributes(attributes),
    fail: (error) => {
      span.recordException(error instanceof Error ? error : String(error));
      span.setStatus({ code: api.SpanStatusCode.ERROR });
    },
    run: (work) => api.context.with(api.trace.setSpan(parentContext, span), work),
    end: () => span.end(),
  };
}
