import type { Context } from '@opentelemetry/api';
import type { core, tracing } from '@opentelemetry/sdk-node';
import { isTracing, setTracing } from './spans.ts';
import { TraceDraw } from './trace-draw.ts';

/** Most ended spans that wait for being sent; more are dropped. */
export const MAX_QUEUED_SPANS = 2_048;
/** Longest time an ended span waits before it is sent, in ms. */
export const SPAN_FLUSH_INTERVAL_MS = 2_000;
/** Longest time for one delivery to the collector, in ms. */
export const SPAN_EXPORT_TIMEOUT_MS = 5_000;
/** Longest time that the last delivery may take at shutdown, in ms. */
export const TELEMETRY_SHUTDOWN_TIMEOUT_MS = 5_000;

/** What happened to spans; labels of a metric. What is `ended` and neither `sent` nor `failed` waits, or was dropped. */
export const SPAN_EVENTS = ['ended', 'sent', 'failed'] as const;

/** Spans since the process started. Like tracing itself these are the process's. */
export const spanCounts: Record<(typeof SPAN_EVENTS)[number], number> = { ended: 0, sent: 0, failed: 0 };

export interface TelemetryOptions {
  readonly enabled: boolean;
  /** Base URL of an OTLP/HTTP collector; `/v1/traces` is added where the URL has no path. */
  readonly endpoint: string;
  /** Becomes `service.name`. */
  readonly serviceName: string;
  /** Share of traces begun here that are recorded, 0 … 1; traces begun elsewhere keep what was decided there. */
  readonly sampleRatio: number;
  /** Further resource attributes, such as the replica. */
  readonly attributes?: Readonly<Record<string, string>>;
  /** Bound of the last delivery in ms; default `TELEMETRY_SHUTDOWN_TIMEOUT_MS`. */
  readonly shutdownTimeoutMs?: number;
}

export interface Telemetry {
  readonly enabled: boolean;
  /** Sends what waits, within a bound, and turns telemetry off. Never rejects: spans are not worth a failed stop. */
  readonly shutdown: () => Promise<void>;
}

/** Why telemetry could not be started. */
export class TelemetryError extends Error {
  readonly code: 'already-started' | 'bad-endpoint';

  constructor(code: TelemetryError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TelemetryError';
    this.code = code;
  }
}

/**
 * Turns tracing on for this process. While it is off, the SDK and its exporter are not even loaded: that takes half a second.
 * @throws TelemetryError `already-started`, `bad-endpoint`
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  if (!options.enabled) return { enabled: false, shutdown: () => Promise.resolve() };
  if (isTracing()) throw new TelemetryError('already-started', 'telemetry is already on in this process');
  const url = tracesUrl(options.endpoint);
  const { shutdownTimeoutMs = TELEMETRY_SHUTDOWN_TIMEOUT_MS } = options;

  const [api, { NodeSDK, core, resources, tracing }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ]);
  const drawnKey = api.createContextKey('filbert: the trace is drawn');
  const exporter = counted(
    new OTLPTraceExporter({ url, timeoutMillis: SPAN_EXPORT_TIMEOUT_MS }),
    core.ExportResultCode.SUCCESS,
  );
  const sdk = new NodeSDK({
    // Service and replica are told; host and process facts would only add identifying noise.
    autoDetectResources: false,
    resource: resources.resourceFromAttributes({ ...options.attributes, 'service.name': options.serviceName }),
    sampler: new tracing.ParentBasedSampler({
      root: drawnOr(drawnKey, new tracing.AlwaysOnSampler(), new tracing.TraceIdRatioBasedSampler(options.sampleRatio)),
    }),
    spanProcessors: [
      endCounter,
      new tracing.BatchSpanProcessor(exporter, {
        maxQueueSize: MAX_QUEUED_SPANS,
        scheduledDelayMillis: SPAN_FLUSH_INTERVAL_MS,
        exportTimeoutMillis: SPAN_EXPORT_TIMEOUT_MS,
      }),
    ],
    // Metrics are Prometheus's and logs are pino's; without these empty lists the SDK would export both.
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
  });
  sdk.start();
  const draw = new TraceDraw(options.sampleRatio, Math.random);
  setTracing({ api, tracer: api.trace.getTracer('filbert'), drawnKey, draw });

  return {
    enabled: true,
    async shutdown() {
      setTracing(undefined);
      await Promise.race([
        sdk.shutdown().catch(() => {}),
        new Promise<void>((resolve) => setTimeout(resolve, shutdownTimeoutMs).unref()),
      ]);
      api.trace.disable();
      api.context.disable();
      api.propagation.disable();
    },
  };
}

/** Counts spans that are recorded and ended. */
const endCounter: tracing.SpanProcessor = {
  onStart: () => {},
  onEnd: () => void spanCounts.ended++,
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};

/** Counts what reaches the collector and what does not. */
function counted(exporter: tracing.SpanExporter, success: core.ExportResultCode): tracing.SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        spanCounts[result.code === success ? 'sent' : 'failed'] += spans.length;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
}

/** Samples traces that were drawn where they began with `drawn`, all others with `rest`. */
function drawnOr(drawnKey: symbol, drawn: tracing.Sampler, rest: tracing.Sampler): tracing.Sampler {
  return {
    shouldSample: (context: Context, ...of) =>
      (context.getValue(drawnKey) === true ? drawn : rest).shouldSample(context, ...of),
    toString: () => `Drawn{or=${rest.toString()}}`,
  };
}

function tracesUrl(endpoint: string): string {
  const url = URL.parse(endpoint);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new TelemetryError('bad-endpoint', `"${endpoint}" is not an http or https URL`);
  if (url.pathname === '/') url.pathname = '/v1/traces';
  return url.href;
}
