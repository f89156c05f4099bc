export {
  activeTraceIds,
  activeTraceparent,
  drawTrace,
  type SpanAttributes,
  type SpanOptions,
  startSpan,
  type TraceSpan,
} from './spans.ts';
export { startTelemetry, type Telemetry, TelemetryError, type TelemetryOptions } from './telemetry.ts';
export { formatTraceparent, parseTraceparent, type TraceParent } from './traceparent.ts';
