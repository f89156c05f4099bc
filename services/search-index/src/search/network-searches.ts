import { LinkKind } from '@filbert/contracts';
import {
  decodeQueryHit,
  Descriptor,
  FUNCTION_OFFSET,
  guidEquals,
  HEADER_BYTES,
  randomMessageGuid,
  type RandomBytes,
} from '@filbert/gnutella';
import { RpcError, startSpan, type Clock, type Timers } from '@filbert/kit';
import type { LinkOpener } from '../link/link-opener.ts';
import { FoundFiles, type Found } from './found-files.ts';
import { HIT_VERDICTS, judgeHit, type HitVerdict } from './judge-hit.ts';
import { RecentFinds } from './recent-finds.ts';
import { searchQuery, type SearchQuery } from './search-query.ts';

/** Searches under way at one time. */
export const MAX_SEARCHES = 64;
/** A search ends with so many sources unless it says otherwise, and takes at most `MAX_ENOUGH`. */
export const DEFAULT_ENOUGH = 100;
export const MAX_ENOUGH = 10_000;
export const DEFAULT_TIMEOUT_MS = 30_000;
/** The router ends a search after about this long itself. */
export const MAX_TIMEOUT_MS = 200_000;
/** Sources that wait for a slow reader; those beyond it are dropped. */
export const MAX_WAITING = 1_000;

export interface NetworkSearchesOptions {
  readonly edge: LinkOpener;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: RandomBytes;
  readonly allowPrivate: boolean;
  /** The node's servent GUID, 16 bytes, while it is known: its own files are no finds. */
  readonly ownServent: () => Uint8Array | undefined;
}

export interface SearchOptions {
  readonly query: string;
  /** Sources; 0 for the default. */
  readonly enough: number;
  /** ms; 0 for the default. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export type SearchEndReason = 'enough' | 'timeout';

/** A person's searches of the network, each over a `user` link of its own: closing it ends the search in the router. */
export class NetworkSearches {
  readonly counters = {
    searches: 0,
    /** By what was found of the hits that came. */
    hits: Object.fromEntries(HIT_VERDICTS.map((verdict) => [verdict, 0])) as Record<HitVerdict, number>,
    sources: 0,
    /** Those that earlier searches had found. */
    recalled: 0,
    dropped: 0,
  };
  readonly #options: NetworkSearchesOptions;
  readonly #recent: RecentFinds;
  #active = 0;

  constructor(options: NetworkSearchesOptions) {
    this.#options = options;
    this.#recent = new RecentFinds(options.clock);
  }

  get active(): number {
    return this.#active;
  }

  /** Sources remembered from searches. */
  get remembered(): number {
    return this.#recent.size;
  }

  /**
   * Searches, and yields each new source as it comes, until there are enough, the time is up, or the signal aborts. What
   * other searches found lately of the file, or for the same words, comes first.
   * @returns why it ended
   * @throws RpcError `invalid-argument` for a query that cannot be asked, `resource-exhausted` over `MAX_SEARCHES`
   */
  async *search(options: SearchOptions): AsyncGenerator<Found, SearchEndReason> {
    const { edge, timers, random } = this.#options;
    const guid = randomMessageGuid(random);
    const asked = searchQuery(options.query, guid);
    if (!asked.ok) throw new RpcError('invalid-argument', asked.problem);
    if (this.#active >= MAX_SEARCHES)
      throw new RpcError('resource-exhausted', `${MAX_SEARCHES} searches are under way`);
    const enough = Math.min(options.enough === 0 ? DEFAULT_ENOUGH : options.enough, MAX_ENOUGH);
    const timeoutMs = Math.min(options.timeoutMs === 0 ? DEFAULT_TIMEOUT_MS : options.timeoutMs, MAX_TIMEOUT_MS);

    const found = new FoundFiles();
    const waiting: Found[] = [];
    let wake: () => void = () => undefined;
    let isLate = false;
    this.#active++;
    this.counters.searches++;
    const link = edge.openLink(LinkKind.LINK_KIND_USER, {
      onFrame: (bytes, start, end, _ttl, hops, trace) => {
        if (bytes[start + FUNCTION_OFFSET] !== Descriptor.QUERY_HIT || !guidEquals(bytes, guid, start)) return;
        const hitSpan = trace === undefined ? undefined : startSpan('take hit', { parent: trace });
        this.#take(bytes, start, end, hops, asked.value, found, waiting);
        hitSpan?.end();
        wake();
      },
    });
    const end = (): void => {
      isLate = true;
      wake();
    };
    const timer = timers.setTimeout(end, timeoutMs);
    // Belongs to the call that asked for it.
    const span = startSpan('search');
    let result: SearchEndReason | 'left' = 'left';
    options.signal.addEventListener('abort', end);
    try {
      link.send(asked.value.frame, span.traceparent);
      this.#recall(asked.value, found, waiting);
      let yielded = 0;
      for (;;) {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          yield next;
          if (++yielded >= enough) return (result = 'enough');
        }
        if (isLate || options.signal.aborted) return (result = 'timeout');
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      timers.clearTimeout(timer);
      options.signal.removeEventListener('abort', end);
      link.close();
      this.#active--;
      span.setAttributes({ result, files: found.files, sources: found.sources });
      span.end();
    }
  }

  #take(
    bytes: Uint8Array,
    start: number,
    end: number,
    hops: number,
    query: SearchQuery,
    found: FoundFiles,
    waiting: Found[],
  ): void {
    const { hits } = this.counters;
    // Names and hashes of a hit are views of its bytes, which are the router's.
    const frame = bytes.slice(start, end);
    const decoded = decodeQueryHit(frame, HEADER_BYTES, frame.length);
    if (!decoded.ok) {
      hits.malformed++;
      return;
    }
    const hit = decoded.value;
    const own = this.#options.ownServent();
    if (own !== undefined && guidEquals(hit.serventGuid, own)) {
      hits.own++;
      return;
    }
    const judged = judgeHit(hit, frame, 0, this.#options);
    if (judged.verdict !== 'good') {
      hits[judged.verdict]++;
      return;
    }
    const { sha1 } = query;
    const records =
      sha1 === undefined
        ? hit.records
        : hit.records.filter((record) => record.sha1 !== undefined && Buffer.compare(record.sha1, sha1) === 0);
    hits[records.length === 0 ? 'not-asked-for' : 'good']++;
    for (const record of records) {
      const next = found.add(hit, record, judged.origin, hops);
      if (next === undefined) continue;
      this.counters.sources++;
      this.#recent.add(query.words, record.sha1, next.source);
      this.#queue(next, waiting);
    }
  }

  #recall({ sha1, words }: SearchQuery, found: FoundFiles, waiting: Found[]): void {
    for (const find of sha1 === undefined ? this.#recent.ofWords(words) : this.#recent.ofFile(sha1)) {
      const next = found.addSource(find.sha1, find.source);
      if (next === undefined) continue;
      this.counters.recalled++;
      this.#queue(next, waiting);
    }
  }

  #queue(next: Found, waiting: Found[]): void {
    if (waiting.length < MAX_WAITING) waiting.push(next);
    else this.counters.dropped++;
  }
}
