import {
  GUID_BYTES,
  HEADER_BYTES,
  HOPS_OFFSET,
  mangleOobGuid,
  QueryDefect,
  QueryScanner,
  TTL_OFFSET,
} from '@filbert/gnutella';
import { LinkKind } from '@filbert/contracts';
import type { DropReason, ShardCounters } from './counters.ts';
import type { GuidTable } from './guid-table.ts';
import { hopOf, MAX_HOPS } from './hops.ts';
import type { LeafSearches } from './leaf-search.ts';
import type { Link, LinkTable } from './link-table.ts';
import type { Outbox } from './outbox.ts';
import { QueryDelivery } from './query-delivery.ts';
import { createSeenOutOfBand, noteWay, OutOfBandColumn, QueryColumn } from './routes.ts';

/** Hops plus TTL of a query that is sent on (docs/protocol/02 §3). */
export const MAX_TTL = 4;
/** A query seen before goes on with a higher TTL at most this many times. */
export const MAX_EXTENSIONS = 3;
/** "What's New" is sent on at most this many hops (docs/protocol/06 §2). */
const MAX_WHATS_NEW_HOPS = 2;

export interface QueryRoutingOptions {
  readonly links: LinkTable;
  readonly outbox: Outbox;
  readonly searches: LeafSearches;
  readonly counters: ShardCounters;
  /** Ways back of queries, by message GUID. */
  readonly routes: GuidTable;
  readonly now: () => number;
}

/** Queries: which are new, which go on once more, and how far (docs/protocol/06 §1, 02 §3). */
export class QueryRouting {
  readonly #outbox: Outbox;
  readonly #searches: LeafSearches;
  readonly #counters: ShardCounters;
  readonly #routes: GuidTable;
  readonly #seenOutOfBand: GuidTable;
  readonly #mangled = new Uint8Array(GUID_BYTES);
  readonly #scanner = new QueryScanner();
  readonly #delivery: QueryDelivery;

  constructor({ links, outbox, searches, counters, routes, now }: QueryRoutingOptions) {
    this.#outbox = outbox;
    this.#searches = searches;
    this.#counters = counters;
    this.#routes = routes;
    this.#seenOutOfBand = createSeenOutOfBand(now);
    this.#delivery = new QueryDelivery({ links, outbox, counters, scanner: this.#scanner });
  }

  /** Routes the QUERY `bytes[start, end)`, header included, that came from `from`. */
  route(bytes: Uint8Array, start: number, end: number, from: Link): void {
    this.#counters.queries++;
    const hopsIn = bytes[start + HOPS_OFFSET] as number;
    if (hopsIn >= MAX_HOPS) return this.#drop('hops-exceeded');
    const room = MAX_TTL - hopsIn;
    const ttlIn = Math.min(bytes[start + TTL_OFFSET] as number, room > 1 ? room : 1);
    const known = this.#routes.find(bytes, start);
    if (known >= 0) {
      this.#seenBefore(bytes, start, end, from, known, ttlIn);
      return;
    }
    const scanner = this.#scanner;
    if (scanner.scan(bytes, start + HEADER_BYTES, end) !== QueryDefect.none) {
      from.bad++;
      return this.#drop('malformed');
    }
    // The reply to a query that came from too far could not get back, unless it goes out of band.
    if (hopsIn > MAX_TTL && !scanner.outOfBand) return this.#drop('hops-exceeded');
    // What we search for ourselves with TTLs of our own is never sent on when it comes back.
    const highestTtl = from.kind === LinkKind.LINK_KIND_ULTRAPEER ? ttlIn : MAX_TTL;
    const novelty = scanner.outOfBand ? this.#noteOutOfBand(bytes, start, highestTtl) : 'new';
    // Whoever sent this copy cannot know of the other one: nothing speaks against it.
    if (novelty === 'seen') return this.#drop('duplicate');
    const handle = this.#routes.insert(bytes, start);
    noteWay(this.#routes, handle, from.serial, bytes[start + TTL_OFFSET] as number);
    this.#routes.set(handle, QueryColumn.highestTtl, highestTtl);
    const hops = hopsIn + hopOf(from);
    if (novelty === 'extension') {
      this.#extend(bytes, start, end, from, ttlIn, hops);
      return;
    }
    const id = this.#outbox.nextFrameId();
    if (scanner.whatsNew) {
      this.#delivery.ofWhatsNew(id, bytes, start, end, from, hops <= MAX_WHATS_NEW_HOPS ? ttlIn - 1 : 0, hops);
      return;
    }
    this.#delivery.toLeaves(id, bytes, start, end, from, hops);
    if (from.kind === LinkKind.LINK_KIND_ULTRAPEER) {
      this.#delivery.toUltrapeers(id, bytes, start, end, from, ttlIn - 1, hops);
    } else {
      this.#searches.start(bytes, start, end, from);
    }
  }

  /** A query seen before goes on only with a higher TTL, and never to leaves again (docs/protocol/README.md). */
  #seenBefore(bytes: Uint8Array, start: number, end: number, from: Link, known: number, ttlIn: number): void {
    const routes = this.#routes;
    // From another link it is a second way back, and a higher TTL is a probe's extension: neither speaks against it.
    if (noteWay(routes, known, from.serial, bytes[start + TTL_OFFSET] as number)) from.duplicates++;
    const extensions = routes.get(known, QueryColumn.extensions);
    const higher = ttlIn > routes.get(known, QueryColumn.highestTtl);
    if (!higher || extensions >= MAX_EXTENSIONS || from.kind !== LinkKind.LINK_KIND_ULTRAPEER) {
      return this.#drop('duplicate');
    }
    const scanner = this.#scanner;
    if (scanner.scan(bytes, start + HEADER_BYTES, end) !== QueryDefect.none) {
      from.bad++;
      return this.#drop('malformed');
    }
    if (scanner.outOfBand && this.#noteOutOfBand(bytes, start, ttlIn) === 'seen') return this.#drop('duplicate');
    routes.set(known, QueryColumn.highestTtl, ttlIn);
    routes.set(known, QueryColumn.extensions, extensions + 1);
    this.#extend(bytes, start, end, from, ttlIn, (bytes[start + HOPS_OFFSET] as number) + 1);
  }

  /** Sends a query on that leaves had already. */
  #extend(bytes: Uint8Array, start: number, end: number, from: Link, ttlIn: number, hops: number): void {
    if (this.#scanner.whatsNew || from.kind !== LinkKind.LINK_KIND_ULTRAPEER) return this.#drop('duplicate');
    this.#delivery.toUltrapeers(this.#outbox.nextFrameId(), bytes, start, end, from, ttlIn - 1, hops);
  }

  /** Whether an out-of-band query came before, from whichever ultrapeer that proxied it (docs/protocol/06 §1). */
  #noteOutOfBand(bytes: Uint8Array, start: number, ttl: number): 'new' | 'extension' | 'seen' {
    const seen = this.#seenOutOfBand;
    const mangled = this.#mangled;
    for (let i = 0; i < GUID_BYTES; i++) mangled[i] = bytes[start + i] as number;
    mangleOobGuid(mangled);
    const known = seen.find(mangled, 0);
    if (known < 0) {
      seen.set(seen.insert(mangled, 0), OutOfBandColumn.highestTtl, ttl);
      return 'new';
    }
    const extensions = seen.get(known, OutOfBandColumn.extensions);
    if (ttl <= seen.get(known, OutOfBandColumn.highestTtl) || extensions >= MAX_EXTENSIONS) return 'seen';
    seen.set(known, OutOfBandColumn.highestTtl, ttl);
    seen.set(known, OutOfBandColumn.extensions, extensions + 1);
    return 'extension';
  }

  #drop(reason: DropReason): void {
    this.#counters.dropped[reason]++;
  }
}
