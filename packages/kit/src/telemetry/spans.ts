import type * as Api from '@opentelemetry/api';
import { TraceDraw } from './trace-draw.ts';
import { formatTraceparent, parseTraceparent } from './traceparent.ts';

/** What may be said of a span: numbers, switches and short fixed texts; never query text. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** One timed piece of work of a trace. Where telemetry is off, or the trace is not sampled, every method does nothing. */
export interface TraceSpan {
  /**
   * W3C traceparent to hand on to whoever goes on with the work; undefined where nothing is recorded. While telemetry is off
   * here, that of the parent: others may record.
   */
  readonly traceparent: string | undefined;
  setAttributes(attributes: SpanAttributes): void;
  /** Marks the span as failed, with the error's code or name: what it says may name a file or an address. */
  fail(error: unknown): void;
  /** Runs `work` with this span as the active one, so that its logs and spans belong to it. */
  run<T>(work: () => T): T;
  /** Must be called once; what is not ended is never sent. */
  end(): void;
}

export interface SpanOptions {
  /** W3C traceparent of the work that led to this; without one, the active span is the parent. */
  readonly parent?: string | undefined;
  /**
   * Begins a trace of its own, whatever span is active: recorded by the ratio, or in any case where `drawTrace` has chosen
   * it. Without this the span belongs to its parent.
   */
  readonly trace?: 'by-ratio' | 'drawn';
  readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly attributes?: SpanAttributes;
}

/** The loaded library while telemetry is on. OpenTelemetry is one per process, so this is too. */
export interface TracingState {
  readonly api: typeof Api;
  readonly tracer: Api.Tracer;
  /** Says in a context that the trace which begins there is recorded. */
  readonly drawnKey: symbol;
  readonly draw: TraceDraw;
}

const NEVER = new TraceDraw(0, () => 0);

let tracing: TracingState | undefined;
/** Beside the rest, so that asking it is one step while telemetry is off. */
let draw = NEVER;

/** Turns spans on, or off with undefined. Only `startTelemetry` calls this. */
export function setTracing(state: TracingState | undefined): void {
  tracing = state;
  draw = state?.draw ?? NEVER;
}

/** Whether telemetry is on in this process. */
export function isTracing(): boolean {
  return tracing !== undefined;
}

/**
 * Whether a trace shall begin with this piece of work: to be asked once for each, where there are too many to make a span
 * for. One comparison while telemetry is off, a countdown while it is on. Where it says yes, `startSpan` with
 * `trace: 'drawn'` follows.
 */
export function drawTrace(): boolean {
  return draw.next();
}

const NO_SPAN: TraceSpan = {
  traceparent: undefined,
  setAttributes: () => {},
  fail: () => {},
  run: (work) => work(),
  end: () => {},
};

/** Starts a span. Returns one that does nothing but hand on its parent while telemetry is off. */
export function startSpan(name: string, { parent, trace, kind = 'internal', attributes }: SpanOptions = {}): TraceSpan {
  if (tracing === undefined) return parent === undefined ? NO_SPAN : { ...NO_SPAN, traceparent: parent };
  const { api, tracer, drawnKey } = tracing;
  const kinds = {
    internal: api.SpanKind.INTERNAL,
    server: api.SpanKind.SERVER,
    client: api.SpanKind.CLIENT,
    producer: api.SpanKind.PRODUCER,
    consumer: api.SpanKind.CONSUMER,
  };
  const parentContext =
    trace === undefined
      ? contextOf(api, parent)
      : trace === 'drawn'
        ? api.ROOT_CONTEXT.setValue(drawnKey, true)
        : api.ROOT_CONTEXT;
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
      span.setAttribute('error.type', errorType(error));
      span.setStatus({ code: api.SpanStatusCode.ERROR });
    },
    run: (work) => api.context.with(api.trace.setSpan(parentContext, span), work),
    end: () => span.end(),
  };
}

function errorType(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}
