import { Descriptor, FUNCTION_OFFSET } from '@filbert/gnutella';
import { startSpan } from '@filbert/kit';
import { DROP_REASONS, type ShardCounters } from './counters.ts';
import { GuidTable } from './guid-table.ts';
import type { Link } from './link-table.ts';
import { QUERY_ROUTE_MS } from './routes.ts';
import type { RouterShard } from './shard.ts';

/** Traced queries of one generation whose peers' hits still join their traces; two generations are kept. */
export const MAX_TRACED_QUERIES = 512;
/** Hits of peers that join the trace of one query; further ones are routed without a span. */
export const MAX_TRACED_HITS = 32;

const SPAN_NAMES: Readonly<Record<number, string>> = {
  [Descriptor.QUERY]: 'route query',
  [Descriptor.QUERY_HIT]: 'route hit',
  [Descriptor.PUSH]: 'route push',
};

/** Columns of a traced query. */
const TRACE = 0;
const HITS = 1;

/**
 * Routes the few frames that belong to a trace, each as a span that says what became of it; what leaves for it belongs to
 * that span. Remembers the GUIDs of traced queries, because peers' hits carry no trace (docs/architecture.md, "Traces").
 */
export class TracedFrames {
  readonly #shard: RouterShard;
  readonly #queries: GuidTable;
  /** Traceparents of queries; as many as the table's two generations hold, so that none is replaced before its GUID is. */
  readonly #traces: string[] = [];
  #nextTrace = 0;

  /** @param now ms, monotonic */
  constructor(shard: RouterShard, now: () => number) {
    this.#shard = shard;
    this.#queries = new GuidTable({ maxEntries: MAX_TRACED_QUERIES, width: 2, generationMs: QUERY_ROUTE_MS, now });
  }

  /** Whether there is a query whose hits could join its trace: false for ever where nothing is traced. */
  get any(): boolean {
    return this.#queries.size > 0;
  }

  /** The W3C traceparent of the query that the hit at `bytes[start]` answers, unless it has had its number of hits. */
  ofHit(bytes: Uint8Array, start: number): string | undefined {
    const handle = this.#queries.find(bytes, start);
    if (handle < 0) return undefined;
    const hits = this.#queries.get(handle, HITS);
    if (hits >= MAX_TRACED_HITS) return undefined;
    this.#queries.set(handle, HITS, hits + 1);
    return this.#traces[this.#queries.get(handle, TRACE)];
  }

  /**
   * Routes the frame `bytes[start, end)` of `link`.
   * @param trace W3C traceparent of what led to it
   */
  route(bytes: Uint8Array, start: number, end: number, link: Link, trace: string): void {
    const shard = this.#shard;
    const { counters, outbox } = shard;
    const descriptor = bytes[start + FUNCTION_OFFSET] as number;
    const span = startSpan(SPAN_NAMES[descriptor] ?? 'route', {
      parent: trace,
      attributes: { shard: shard.number, bytes: end - start },
    });
    const deliveredBefore = deliveriesOf(counters);
    const droppedBefore = { ...counters.dropped };
    outbox.trace = span.traceparent;
    try {
      shard.frame(bytes, start, end, link);
    } finally {
      outbox.trace = undefined;
      const deliveries = deliveriesOf(counters) - deliveredBefore;
      const reason = DROP_REASONS.find((each) => counters.dropped[each] !== droppedBefore[each]);
      const result = deliveries > 0 ? 'routed' : (reason ?? 'nobody-to-ask');
      if (descriptor === Descriptor.QUERY && deliveries > 0) this.#remember(bytes, start, span.traceparent);
      span.setAttributes({ deliveries, result });
      span.end();
    }
  }

  #remember(bytes: Uint8Array, start: number, trace: string | undefined): void {
    if (trace === undefined || this.#queries.find(bytes, start) >= 0) return;
    const handle = this.#queries.insert(bytes, start);
    this.#queries.set(handle, TRACE, this.#nextTrace);
    this.#traces[this.#nextTrace] = trace;
    this.#nextTrace = (this.#nextTrace + 1) % (MAX_TRACED_QUERIES * 2);
  }
}

function deliveriesOf({ queryDeliveries, hitDeliveries, pushDeliveries }: ShardCounters): number {
  return queryDeliveries + hitDeliveries + pushDeliveries;
}
