import type { ReceivedSpan } from '../../support/otlp-receiver.ts';

/** A span and what it led to, as far as a test says something of it. */
export interface TraceTree {
  /** `service: name` */
  readonly span: string;
  readonly children?: readonly TraceTree[];
}

/** The traces among `spans`, by their ids. */
export function tracesOf(spans: readonly ReceivedSpan[]): ReadonlyMap<string, readonly ReceivedSpan[]> {
  return Map.groupBy(spans, ({ traceId }) => traceId);
}

/** The service that sent a span. */
export function serviceOf(span: ReceivedSpan): string {
  const name = span.resource.get('service.name');
  return name === undefined ? '' : String(Object.values(name)[0]);
}

/**
 * One trace as the tree that its parents make, children in the order of their text.
 * @throws Error unless exactly one span has no parent among the others
 */
export function treeOf(trace: readonly ReceivedSpan[]): TraceTree {
  const ids = new Set(trace.map(({ spanId }) => spanId));
  const [root, ...others] = trace.filter(({ parentSpanId = '' }) => !ids.has(parentSpanId));
  if (root === undefined || others.length > 0) throw new Error(`a trace with ${others.length + 1} roots`);
  if ((root.parentSpanId ?? '') !== '') throw new Error('the first span names a parent that never came');
  const below = (span: ReceivedSpan): TraceTree => {
    const children = trace.filter(({ parentSpanId }) => parentSpanId === span.spanId).map(below);
    children.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    const named = { span: `${serviceOf(span)}: ${span.name}` };
    return children.length === 0 ? named : { ...named, children };
  };
  return below(root);
}
