import { LinkCapability } from '@filbert/contracts';
import { QueryScanner, tableMatches, HEADER_BYTES } from '@filbert/gnutella';
import type { GuidTable } from './guid-table.ts';
import type { Link, LinkTable } from './link-table.ts';
import type { Outbox } from './outbox.ts';
import type { ShardCounters } from './counters.ts';
import { QueryColumn } from './routes.ts';

/** Ultrapeers asked at once, and the TTL they get. */
const FIRST_ULTRAPEERS = 3;
const FIRST_TTL = 2;
/** TTL of the ones asked later, one every `STEP_MS`. */
const NEXT_TTL = 3;
const STEP_MS = 2_400;
/** A search ends when this many records were routed back, or after this time. */
export const ENOUGH_RECORDS = 50;
export const SEARCH_LIFETIME_MS = 200_000;
/** Searches under way for one leaf, and in one shard; the oldest is ended for a newer one. */
export const MAX_SEARCHES_PER_LEAF = 20;
export const MAX_SEARCHES = 10_000;
/** Hops of a leaf's query when it leaves us; a search of the node's own has made none yet. */
const LEAF_HOPS = 1;
const OWN_HOPS = 0;

interface LeafSearch {
  readonly frame: Buffer;
  readonly leaf: Link;
  /** TTL that each ultrapeer got, by serial. */
  readonly asked: Map<number, number>;
  readonly endsAt: number;
  /** Of the query, where it is traced: what is asked later belongs to it too. */
  readonly trace: string | undefined;
  nextAt: number;
  over: boolean;
}

/**
 * Controlled searches on behalf of leaves: a few ultrapeers at once, those whose table matches first, then one more every
 * 2.4 s, until enough came back (docs/protocol/06 §4 in its simplest form). When none is left, those that got less TTL and
 * take the same query again with more (X-Ext-Probes) get it: else a node with few neighbours would never see further.
 */
export class LeafSearches {
  readonly #links: LinkTable;
  readonly #routes: GuidTable;
  readonly #outbox: Outbox;
  readonly #counters: ShardCounters;
  readonly #now: () => number;
  readonly #random: () => number;
  /** In order of `nextAt`: every step adds the same time. */
  readonly #queue: LeafSearch[] = [];
  #head = 0;
  readonly #byLeaf = new Map<Link, LeafSearch[]>();
  readonly #scanner = new QueryScanner();
  #active = 0;

  constructor(options: {
    readonly links: LinkTable;
    readonly routes: GuidTable;
    readonly outbox: Outbox;
    readonly counters: ShardCounters;
    readonly now: () => number;
    readonly random: () => number;
  }) {
    this.#links = options.links;
    this.#routes = options.routes;
    this.#outbox = options.outbox;
    this.#counters = options.counters;
    this.#now = options.now;
    this.#random = options.random;
  }

  get active(): number {
    return this.#active;
  }

  /** Starts a search with the query `bytes[start, end)` of `leaf`, whose route has been recorded already. */
  start(bytes: Uint8Array, start: number, end: number, leaf: Link): void {
    const own = this.#byLeaf.get(leaf) ?? [];
    if (own.length >= MAX_SEARCHES_PER_LEAF) this.#end(own[0] as LeafSearch);
    if (this.#active >= MAX_SEARCHES) this.#endOldest();
    const now = this.#now();
    const search: LeafSearch = {
      frame: Buffer.from(bytes.subarray(start, end)),
      leaf,
      asked: new Map(),
      endsAt: now + SEARCH_LIFETIME_MS,
      trace: this.#outbox.trace,
      nextAt: now + STEP_MS,
      over: false,
    };
    this.#byLeaf.set(leaf, [...own.filter((other) => !other.over), search]);
    this.#active++;
    this.#counters.leafSearches++;
    for (let i = 0; i < FIRST_ULTRAPEERS; i++) if (!this.#askOne(search, FIRST_TTL)) break;
    this.#queue.push(search);
  }

  /** Takes the steps that are due. */
  tick(): void {
    const now = this.#now();
    for (;;) {
      const search = this.#queue[this.#head];
      if (search === undefined || (search.nextAt > now && !search.over)) break;
      this.#head++;
      if (search.over) continue;
      if (now >= search.endsAt || this.#hasEnough(search)) {
        this.#end(search);
        continue;
      }
      this.#outbox.trace = search.trace;
      this.#askOne(search, NEXT_TTL);
      this.#outbox.trace = undefined;
      search.nextAt = now + STEP_MS;
      this.#queue.push(search);
    }
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Ends the searches of a leaf that is gone. */
  cancel(leaf: Link): void {
    for (const search of this.#byLeaf.get(leaf) ?? []) {
      if (!search.over) this.#active--;
      search.over = true;
    }
    this.#byLeaf.delete(leaf);
  }

  #hasEnough(search: LeafSearch): boolean {
    const handle = this.#routes.find(search.frame, 0);
    return handle < 0 || this.#routes.get(handle, QueryColumn.results) >= ENOUGH_RECORDS;
  }

  /**
   * Asks the best ultrapeer: one not asked yet before one that got a lower TTL, one whose table matches before any other,
   * among equals a random one.
   */
  #askOne(search: LeafSearch, ttl: number): boolean {
    const { frame } = search;
    const hops = search.leaf.isInternal ? OWN_HOPS : LEAF_HOPS;
    const scanner = this.#scanner;
    scanner.scan(frame, HEADER_BYTES, frame.length);
    let best: Link | undefined;
    let bestRank = -1;
    for (const link of this.#links.ultrapeers) {
      const before = search.asked.get(link.serial);
      if (hops >= link.hopsFlow || (before !== undefined && !takesAgain(link, before, ttl))) continue;
      const matches =
        link.table !== undefined &&
        tableMatches(link.table, scanner.wordHashes, scanner.wordCount, scanner.urnHashes, scanner.urnCount);
      // Its X-Max-TTL leaves the query one hop: by its table, as any last hop (docs/protocol/05 §7).
      if (!matches && link.table !== undefined && link.limitTtl(ttl) === 1) continue;
      const rank = (before === undefined ? 2 : 0) + (matches ? 1 : 0) + this.#random();
      if (rank <= bestRank) continue;
      best = link;
      bestRank = rank;
    }
    if (best === undefined) return false;
    const limited = best.limitTtl(ttl);
    search.asked.set(best.serial, limited);
    const id = this.#outbox.nextFrameId();
    const sent = this.#outbox.sendQuery(id, frame, 0, frame.length, limited, hops, best);
    if (sent) this.#counters.queryDeliveries++;
    return true;
  }

  #end(search: LeafSearch): void {
    if (search.over) return;
    search.over = true;
    this.#active--;
    const left = (this.#byLeaf.get(search.leaf) ?? []).filter((other) => other !== search);
    if (left.length === 0) this.#byLeaf.delete(search.leaf);
    else this.#byLeaf.set(search.leaf, left);
  }

  #endOldest(): void {
    for (let i = this.#head; i < this.#queue.length; i++) {
      const search = this.#queue[i] as LeafSearch;
      if (search.over) continue;
      this.#end(search);
      return;
    }
  }
}

/** Whether a neighbour that got a query with the TTL `before` takes it once more with `ttl` and sends it further. */
function takesAgain(link: Link, before: number, ttl: number): boolean {
  return (link.capabilities & LinkCapability.probes) !== 0 && link.limitTtl(ttl) > before;
}
