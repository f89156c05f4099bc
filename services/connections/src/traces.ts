import { Descriptor, FUNCTION_OFFSET, HOPS_OFFSET, TTL_OFFSET } from '@filbert/gnutella';
import { startSpan, type TraceSpan } from '@filbert/kit';
import type { EdgeCounters } from './counters.ts';
import type { EdgeContext } from './frames/edge-context.ts';
import type { PeerLink } from './link/peer-link.ts';

const DELIVERY_NAMES: Readonly<Record<number, string>> = {
  [Descriptor.QUERY]: 'deliver query',
  [Descriptor.QUERY_HIT]: 'deliver hit',
  [Descriptor.PUSH]: 'deliver push',
};

/** Hands a query that was drawn to its shard, as the first span of its trace (docs/architecture.md, "Traces"). */
export function routeDrawnQuery(
  { ingress, edgeId }: EdgeContext,
  link: PeerLink,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  const span = startSpan('query', {
    trace: 'drawn',
    kind: 'server',
    attributes: {
      edge: edgeId,
      from: link.role,
      ttl: bytes[start + TTL_OFFSET] as number,
      hops: bytes[start + HOPS_OFFSET] as number,
      bytes: end - start,
    },
  });
  const queued = ingress.add(bytes, start, end, link.number, span.traceparent);
  span.setAttributes({ result: queued ? 'routed' : 'shed' });
  span.end();
}

/** The span of handing one traced frame to its links. */
export class DeliverySpan {
  readonly #edgeId: string;
  readonly #counters: EdgeCounters;
  #span: TraceSpan | undefined;
  #deliveriesBefore = 0;

  constructor(edgeId: string, counters: EdgeCounters) {
    this.#edgeId = edgeId;
    this.#counters = counters;
  }

  begin(trace: string, bytes: Uint8Array, start: number, links: number): void {
    this.#deliveriesBefore = this.#counters.deliveries;
    this.#span = startSpan(DELIVERY_NAMES[bytes[start + FUNCTION_OFFSET] as number] ?? 'deliver', {
      parent: trace,
      attributes: { edge: this.#edgeId, links },
    });
  }

  end(): void {
    this.#span?.setAttributes({ queued: this.#counters.deliveries - this.#deliveriesBefore });
    this.#span?.end();
    this.#span = undefined;
  }
}
