import {
  Descriptor,
  FUNCTION_OFFSET,
  GUID_BYTES,
  HEADER_BYTES,
  HOPS_OFFSET,
  judgeServentGuid,
  mangleOobGuid,
  newQueryHitSummary,
  QueryDefect,
  QueryScanner,
  summarizeQueryHit,
  tableMatches,
  TTL_OFFSET,
} from '@filbert/gnutella';
import { LinkCapability, LinkKind, type ShardMap } from '@filbert/contracts';
import { ShardCounters, type DropReason } from './counters.ts';
import type { GuidTable } from './guid-table.ts';
import { takeHitQuota } from './hit-quota.ts';
import { LeafSearches } from './leaf-search.ts';
import { LinkTable, type EdgeLinks, type Link } from './link-table.ts';
import { NeighbourLimits, type KickReason } from './neighbour-limits.ts';
import { Outbox, type EgressWriter } from './outbox.ts';
import {
  createPushRoutes,
  createQueryRoutes,
  createSeenOutOfBand,
  createSeenPushes,
  learnWay,
  noteWay,
  OutOfBandColumn,
  QUERY_ROUTE_MS,
  QueryColumn,
  ServentColumn,
  WAYS_PER_QUERY,
  WAYS_PER_SERVENT,
} from './routes.ts';

/** Hops plus TTL of a query that is sent on (docs/protocol/02 §3). */
export const MAX_TTL = 4;
/** A query seen before goes on with a higher TTL at most this many times. */
export const MAX_EXTENSIONS = 3;
/** TTL above which a hit's TTL is cut (docs/protocol/06 §3). */
const MAX_HIT_TTL = 16;
/** "What's New" is sent on at most this many hops (docs/protocol/06 §2). */
const MAX_WHATS_NEW_HOPS = 2;
/** Fixed part of a PUSH (docs/protocol/02 §8). */
const PUSH_BYTES = 26;
/** The shard of a servent is told again of a way that did not change after this time: it may have been restarted. */
const TEACH_AGAIN_S = 30;
const LEAF_TTL = 1;
const MAX_HOPS = 255;

export interface RouterShardOptions {
  readonly shardMap: ShardMap;
  readonly shard: number;
  readonly now: () => number;
  /** 0 … 1 */
  readonly random: () => number;
  readonly openEgress: (edge: EdgeLinks) => EgressWriter;
  /** A servent GUID of another shard was learned to be behind `link`. */
  readonly teach: (shard: number, serventGuid: Uint8Array, link: Link) => void;
  /** Given to the one shard that holds neighbours to the rules of the whole node: has an edge end a link. */
  readonly kick?: (link: Link, reason: KickReason) => void;
}

/**
 * Every rule about a GUID: duplicates, routes, tables, controlled searches (docs/protocol/06, 02 §3, 05 §7).
 * Takes frames and a time, gives deliveries to its outbox; knows no bus and no socket.
 */
export class RouterShard {
  readonly counters = new ShardCounters();
  readonly links: LinkTable;
  readonly outbox: Outbox;
  readonly searches: LeafSearches;
  /** Undefined where another shard sees to the rules about neighbours. */
  readonly limits: NeighbourLimits | undefined;
  readonly #options: RouterShardOptions;
  readonly #queries;
  readonly #pushWays;
  readonly #seenPushes;
  readonly #seenOutOfBand;
  readonly #mangled = new Uint8Array(GUID_BYTES);
  readonly #scanner = new QueryScanner();
  readonly #summary = newQueryHitSummary();
  readonly #startedAt: number;
  #columns = new Uint32Array(0);

  constructor(options: RouterShardOptions) {
    this.#options = options;
    this.#startedAt = options.now();
    this.#queries = createQueryRoutes(options.now);
    this.#pushWays = createPushRoutes(options.now);
    this.#seenPushes = createSeenPushes(options.now);
    this.#seenOutOfBand = createSeenOutOfBand(options.now);
    this.outbox = new Outbox({ shard: options.shard, counters: this.counters, open: options.openEgress });
    this.links = new LinkTable({
      onGone: (link) => {
        this.searches.cancel(link);
        this.limits?.gone(link);
      },
      onTold: (link) => this.limits?.told(link),
    });
    const { kick } = options;
    this.limits =
      kick === undefined
        ? undefined
        : new NeighbourLimits({ kick, now: options.now, ownerOf: (link) => this.links.ownerOf(link) });
    this.searches = new LeafSearches({
      links: this.links,
      routes: this.#queries,
      outbox: this.outbox,
      counters: this.counters,
      now: options.now,
      random: options.random,
    });
  }

  /** Ways back of queries, by message GUID. */
  get queryRoutes(): GuidTable {
    return this.#queries;
  }

  /** Ways to servents, by servent GUID. */
  get pushRoutes(): GuidTable {
    return this.#pushWays;
  }

  get number(): number {
    return this.#options.shard;
  }

  /** Routes the frame `bytes[start, end)`, header included, that came from `link`. */
  frame(bytes: Uint8Array, start: number, end: number, link: Link): void {
    switch (bytes[start + FUNCTION_OFFSET]) {
      case Descriptor.QUERY:
        this.#query(bytes, start, end, link);
        return;
      case Descriptor.QUERY_HIT:
        this.#hit(bytes, start, end, link);
        return;
      case Descriptor.PUSH:
        this.#push(bytes, start, end, link);
        return;
      default:
        this.#drop('unknown-function');
    }
  }

  /** Takes the steps that are due: controlled searches. */
  tick(): void {
    this.searches.tick();
  }

  /** Hands the verdicts gathered since the last call to the edges. */
  reportVerdicts(edges: Iterable<EdgeLinks>): void {
    for (const edge of edges) {
      for (const link of edge.links.values()) {
        if (link.duplicates + link.bad + link.useful > 0) this.outbox.verdict(link);
      }
    }
  }

  /** Another shard saw a hit of this servent over `link`. */
  learn(serventGuid: Uint8Array, link: Link): void {
    if (serventGuid.length === GUID_BYTES) learnWay(this.#pushWays, serventGuid, 0, link.serial);
  }

  #drop(reason: DropReason): void {
    this.counters.dropped[reason]++;
  }

  #query(bytes: Uint8Array, start: number, end: number, from: Link): void {
    this.counters.queries++;
    const hopsIn = bytes[start + HOPS_OFFSET] as number;
    if (hopsIn >= MAX_HOPS) return this.#drop('hops-exceeded');
    const room = MAX_TTL - hopsIn;
    const ttlIn = Math.min(bytes[start + TTL_OFFSET] as number, room > 1 ? room : 1);
    const known = this.#queries.find(bytes, start);
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
    const handle = this.#queries.insert(bytes, start);
    noteWay(this.#queries, handle, from.serial, bytes[start + TTL_OFFSET] as number);
    this.#queries.set(handle, QueryColumn.highestTtl, highestTtl);
    const hops = hopsIn + hopOf(from);
    if (novelty === 'extension') {
      this.#extend(bytes, start, end, from, ttlIn, hops);
      return;
    }
    const id = this.outbox.nextFrameId();
    if (scanner.whatsNew) {
      this.#sendWhatsNew(id, bytes, start, end, from, hops <= MAX_WHATS_NEW_HOPS ? ttlIn - 1 : 0, hops);
      return;
    }
    this.#sendToMatchingLeaves(id, bytes, start, end, from, hops);
    if (from.kind === LinkKind.LINK_KIND_ULTRAPEER) {
      this.#sendToUltrapeers(id, bytes, start, end, from, ttlIn - 1, hops);
    } else {
      this.searches.start(bytes, start, end, from);
    }
  }

  /** A query seen before goes on only with a higher TTL, and never to leaves again (docs/protocol/README.md). */
  #seenBefore(bytes: Uint8Array, start: number, end: number, from: Link, known: number, ttlIn: number): void {
    const routes = this.#queries;
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
    this.#sendToUltrapeers(this.outbox.nextFrameId(), bytes, start, end, from, ttlIn - 1, hops);
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

  #sendToMatchingLeaves(id: number, bytes: Uint8Array, start: number, end: number, from: Link, hops: number): void {
    const { matrix } = this.links;
    const { wordHashes, wordCount, urnHashes, urnCount } = this.#scanner;
    if (wordCount === 0 && urnCount === 0) return;
    if (this.#columns.length < matrix.columns) this.#columns = new Uint32Array(matrix.columns);
    const found = matrix.find(wordHashes, wordCount, urnHashes, urnCount, this.#columns);
    for (let i = 0; i < found; i++) {
      const link = this.links.byColumn(this.#columns[i] as number);
      if (link === undefined || !link.isFiltered || link === from || hops >= link.hopsFlow) continue;
      this.counters.candidates++;
      if (link.table === undefined || !tableMatches(link.table, wordHashes, wordCount, urnHashes, urnCount)) {
        this.counters.candidatesRefused++;
        continue;
      }
      if (this.outbox.sendQuery(id, bytes, start, end, LEAF_TTL, hops, link)) this.counters.queryDeliveries++;
    }
  }

  /** To every other ultrapeer, on the last hop only where its table matches or it gave none (docs/protocol/05 §7). */
  #sendToUltrapeers(
    id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    from: Link,
    ttl: number,
    hops: number,
  ): void {
    if (ttl < 1) return;
    const { wordHashes, wordCount, urnHashes, urnCount } = this.#scanner;
    for (const link of this.links.ultrapeers) {
      if (link === from || hops >= link.hopsFlow) continue;
      const limited = link.limitTtl(ttl);
      if (
        limited === 1 &&
        link.table !== undefined &&
        !tableMatches(link.table, wordHashes, wordCount, urnHashes, urnCount)
      ) {
        continue;
      }
      if (this.outbox.sendQuery(id, bytes, start, end, limited, hops, link)) this.counters.queryDeliveries++;
    }
  }

  /** "What's New" ignores tables and goes to those who announced that they answer it. */
  #sendWhatsNew(
    id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    from: Link,
    ttl: number,
    hops: number,
  ): void {
    for (const link of this.links.all()) {
      if (link === from || hops >= link.hopsFlow || (link.capabilities & LinkCapability.whatsNew) === 0) continue;
      const isUltrapeer = link.kind === LinkKind.LINK_KIND_ULTRAPEER;
      if (isUltrapeer ? ttl < 1 && from.kind === LinkKind.LINK_KIND_ULTRAPEER : (link.table?.count ?? 0) === 0)
        continue;
      const out = isUltrapeer ? link.limitTtl(Math.max(1, ttl)) : LEAF_TTL;
      if (this.outbox.sendQuery(id, bytes, start, end, out, hops, link)) this.counters.queryDeliveries++;
    }
  }

  #hit(bytes: Uint8Array, start: number, end: number, from: Link): void {
    this.counters.hits++;
    const summary = this.#summary;
    if (summarizeQueryHit(bytes, start + HEADER_BYTES, end, summary) !== 'ok') {
      from.bad++;
      return this.#drop('malformed');
    }
    if (judgeServentGuid(bytes, summary.serventGuidStart, bytes, start) !== 'usable') {
      from.bad++;
      return this.#drop('servent-guid-refused');
    }
    const routes = this.#queries;
    let route = routes.find(bytes, start);
    if (route < 0) {
      // A shard that was started again does not know the queries of the one before it: that is nobody's fault.
      if (this.#options.now() - this.#startedAt >= QUERY_ROUTE_MS) from.bad++;
      return this.#drop('route-unknown');
    }
    const target = this.#wayBack(route, from);
    if (target === undefined) return this.#drop('route-lost');
    const ttlIn = Math.min(bytes[start + TTL_OFFSET] as number, MAX_HIT_TTL);
    const hopsIn = bytes[start + HOPS_OFFSET] as number;
    if (hopsIn >= MAX_HOPS) return this.#drop('hops-exceeded');
    // A hit must not die one step before our own leaf (docs/protocol/02 §3 rule 2).
    const step = hopOf(from);
    const ttl = (target.kind === LinkKind.LINK_KIND_ULTRAPEER ? ttlIn : Math.max(2, ttlIn)) - step;
    if (ttl < 1) return this.#drop('ttl-exceeded');
    route = routes.promote(route);
    const enough = takeHitQuota(routes, route, summary.recordCount, end - start, ttl, target);
    if (enough !== undefined) return this.#drop(enough);
    from.useful++;
    this.#learnServent(bytes, summary.serventGuidStart, from);
    this.outbox.send(bytes, start, end, ttl, hopsIn + step, target);
    this.counters.hitDeliveries++;
  }

  #wayBack(route: number, from: Link): Link | undefined {
    for (let i = 0; i < WAYS_PER_QUERY; i++) {
      const serial = this.#queries.get(route, QueryColumn.ways + i);
      if (serial === 0) return undefined;
      const link = serial === from.serial ? undefined : this.links.bySerial(serial);
      if (link !== undefined) return link;
    }
    return undefined;
  }

  #learnServent(bytes: Uint8Array, at: number, from: Link): void {
    const changed = learnWay(this.#pushWays, bytes, at, from.serial);
    const owner = this.#options.shardMap.shardOf(bytes, at);
    if (owner === this.#options.shard) return;
    const handle = this.#pushWays.find(bytes, at);
    const nowS = Math.floor(this.#options.now() / 1_000);
    if (!changed && nowS - this.#pushWays.get(handle, ServentColumn.taughtAt) < TEACH_AGAIN_S) return;
    this.#pushWays.set(handle, ServentColumn.taughtAt, nowS);
    this.#options.teach(owner, new Uint8Array(bytes.subarray(at, at + GUID_BYTES)), from);
  }

  /** To the direct neighbour that owns the GUID, else along the way the servent's hits came (docs/protocol/02 §8). */
  #push(bytes: Uint8Array, start: number, end: number, from: Link): void {
    this.counters.pushes++;
    const payload = start + HEADER_BYTES;
    if (end - payload < PUSH_BYTES) {
      from.bad++;
      return this.#drop('malformed');
    }
    if (judgeServentGuid(bytes, payload) !== 'usable') {
      from.bad++;
      return this.#drop('servent-guid-refused');
    }
    const seen = this.#seenPushes.find(bytes, start);
    if (seen >= 0) {
      // Others send one PUSH along every way they know: only the same link's repetition speaks against it.
      if (this.#seenPushes.get(seen, 0) === from.serial) from.duplicates++;
      return this.#drop('duplicate');
    }
    this.#seenPushes.set(this.#seenPushes.insert(bytes, start), 0, from.serial);
    const hopsIn = bytes[start + HOPS_OFFSET] as number;
    if (hopsIn >= MAX_HOPS) return this.#drop('hops-exceeded');
    const ttlIn = bytes[start + TTL_OFFSET] as number;
    const step = hopOf(from);
    const neighbour = this.links.byGuid(bytes, payload);
    if (neighbour !== undefined && neighbour !== from) {
      this.outbox.send(bytes, start, end, Math.max(1, ttlIn - step), hopsIn + step, neighbour);
      this.counters.pushDeliveries++;
      return;
    }
    const route = this.#pushWays.find(bytes, payload);
    if (route < 0) return this.#drop('route-unknown');
    for (let i = 0; i < WAYS_PER_SERVENT; i++) {
      const serial = this.#pushWays.get(route, i);
      const link = serial === 0 || serial === from.serial ? undefined : this.links.bySerial(serial);
      if (link === undefined) continue;
      // The last step to a leaf or to ourselves is never refused for its TTL.
      const ttl = (link.kind === LinkKind.LINK_KIND_ULTRAPEER ? ttlIn : Math.max(2, ttlIn)) - step;
      if (ttl < 1) return this.#drop('ttl-exceeded');
      this.#pushWays.promote(route);
      this.outbox.send(bytes, start, end, ttl, hopsIn + step, link);
      this.counters.pushDeliveries++;
      return;
    }
    this.#drop('route-lost');
  }
}

/** Links that a frame crossed by coming from this one: none from the node's own services. */
function hopOf(from: Link): 0 | 1 {
  return from.isInternal ? 0 : 1;
}
