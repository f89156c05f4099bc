import { LinkCapability, LinkKind, type InternalLink } from '@filbert/contracts';
import {
  decodeQuery,
  Descriptor,
  FUNCTION_OFFSET,
  guidAt,
  HEADER_BYTES,
  MAX_SCANNED_QUERY_BYTES,
} from '@filbert/gnutella';
import { startSpan, type Clock, type Logger, type TimerHandle, type Timers } from '@filbert/kit';
import type { Library } from '../catalogue/library.ts';
import { hitFrames, hitTtl } from '../hits/hit-frames.ts';
import type { NodeAddress } from '../hits/node-address.ts';
import { filesForQuery } from './answer.ts';
import type { LinkOpener } from './link-opener.ts';
import { libraryTable } from './library-table.ts';

/** A change of the library waits this long for others before the table is made anew. */
export const TABLE_DEBOUNCE_MS = 1_000;
/** While files keep changing, making tables takes at most this share of the time. */
const MAX_BUILD_SHARE = 0.1;

/** What becomes of queries; keys are labels of a metric. */
export const QUERY_RESULTS = ['answered', 'nothing-found', 'malformed', 'no-address', 'not-a-query'] as const;
export type QueryResult = (typeof QUERY_RESULTS)[number];

export interface LibraryLinkOptions {
  readonly edge: LinkOpener;
  readonly library: Library;
  readonly address: NodeAddress;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Told how long a search in the index took, in seconds. */
  readonly onMatched?: (seconds: number) => void;
}

/** The library as a neighbour of the router: it publishes a query route table, gets the queries that match, sends hits. */
export class LibraryLink {
  readonly counters = {
    queries: Object.fromEntries(QUERY_RESULTS.map((result) => [result, 0])) as Record<QueryResult, number>,
    hits: 0,
    hitBytes: 0,
    records: 0,
    tables: 0,
  };
  /** Slots and set slots of the table in force. */
  tableSlots = 0;
  tableSlotsSet = 0;
  readonly #options: LibraryLinkOptions;
  #link: InternalLink | undefined;
  #stopListening: (() => void) | undefined;
  #timer: TimerHandle | undefined;
  #building = false;
  #lastBuildMs = 0;

  constructor(options: LibraryLinkOptions) {
    this.#options = options;
  }

  /** Opens the link; the table follows at once. */
  start(): void {
    const { edge, library } = this.#options;
    this.#link = edge.openLink(LinkKind.LINK_KIND_LIBRARY, {
      capabilities: LinkCapability.whatsNew,
      onFrame: (bytes, start, end, _ttl, hops, trace) => {
        if (trace === undefined) this.#onFrame(bytes, start, end, hops, undefined);
        else this.#onTracedFrame(bytes, start, end, hops, trace);
      },
    });
    this.#stopListening = library.onChange(() => this.#schedule());
    void this.#build();
  }

  stop(): void {
    this.#stopListening?.();
    this.#options.timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#link?.close();
    this.#link = undefined;
  }

  #schedule(): void {
    if (this.#link === undefined) return;
    const delayMs = Math.max(TABLE_DEBOUNCE_MS, this.#lastBuildMs / MAX_BUILD_SHARE);
    this.#timer ??= this.#options.timers.setTimeout(() => {
      this.#timer = undefined;
      void this.#build();
    }, delayMs);
  }

  async #build(): Promise<void> {
    const { library, clock, logger } = this.#options;
    if (this.#building) {
      this.#schedule();
      return;
    }
    this.#building = true;
    const begunMs = clock.monotonic();
    try {
      const table = await libraryTable(library, () => clock.monotonic(), nextTurn);
      this.tableSlots = 2 ** table.bits;
      this.tableSlotsSet = table.count;
      this.counters.tables++;
      this.#link?.setTable(table);
    } catch (error) {
      logger.error({ err: error }, 'the query route table of the library could not be made');
    } finally {
      this.#lastBuildMs = clock.monotonic() - begunMs;
      this.#building = false;
    }
  }

  /** As a span of the query's trace; the hits go on with it. */
  #onTracedFrame(bytes: Uint8Array, start: number, end: number, hops: number, trace: string): void {
    const { counters } = this;
    const { records, hits } = counters;
    const span = startSpan('match', { parent: trace });
    try {
      const result = this.#onFrame(bytes, start, end, hops, span.traceparent);
      span.setAttributes({ result, files: counters.records - records, hits: counters.hits - hits });
    } finally {
      span.end();
    }
  }

  #onFrame(bytes: Uint8Array, start: number, end: number, hops: number, trace: string | undefined): QueryResult {
    const result = this.#answer(bytes, start, end, hops, trace);
    this.counters.queries[result]++;
    return result;
  }

  #answer(bytes: Uint8Array, start: number, end: number, hops: number, trace: string | undefined): QueryResult {
    const { library, address, clock, onMatched } = this.#options;
    if (bytes[start + FUNCTION_OFFSET] !== Descriptor.QUERY) return 'not-a-query';
    const query = decodeQuery(bytes, start + HEADER_BYTES, end, MAX_SCANNED_QUERY_BYTES);
    if (!query.ok) return 'malformed';
    const begun = clock.monotonic();
    const files = filesForQuery(library, query.value, hops);
    onMatched?.((clock.monotonic() - begun) / 1000);
    if (files.length === 0) return 'nothing-found';
    const source = address.source();
    if (source === undefined) return 'no-address';
    for (const frame of hitFrames(files, source, { guid: guidAt(bytes, start), ttl: hitTtl(hops) })) {
      this.#link?.send(frame, trace);
      this.counters.hits++;
      this.counters.hitBytes += frame.length;
    }
    this.counters.records += files.length;
    return 'answered';
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
