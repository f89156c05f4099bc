import {
  HEADER_BYTES,
  HOPS_OFFSET,
  judgeServentGuid,
  newQueryHitSummary,
  summarizeQueryHit,
  TTL_OFFSET,
} from '@filbert/gnutella';
import { LinkKind } from '@filbert/contracts';
import type { DropReason, ShardCounters } from './counters.ts';
import type { GuidTable } from './guid-table.ts';
import { takeHitQuota } from './hit-quota.ts';
import { hopOf, MAX_HOPS } from './hops.ts';
import type { Link, LinkTable } from './link-table.ts';
import type { Outbox } from './outbox.ts';
import { QUERY_ROUTE_MS, QueryColumn, WAYS_PER_QUERY } from './routes.ts';
import type { ServentWays } from './servent-ways.ts';

/** TTL above which a hit's TTL is cut (docs/protocol/06 §3). */
const MAX_HIT_TTL = 16;

export interface HitRoutingOptions {
  readonly links: LinkTable;
  readonly outbox: Outbox;
  readonly counters: ShardCounters;
  /** Ways back of queries, by message GUID. */
  readonly routes: GuidTable;
  readonly servents: ServentWays;
  readonly now: () => number;
}

/** QUERY HITs: back the way that their query came (docs/protocol/06 §3). */
export class HitRouting {
  readonly #options: HitRoutingOptions;
  readonly #summary = newQueryHitSummary();
  readonly #startedAt: number;

  constructor(options: HitRoutingOptions) {
    this.#options = options;
    this.#startedAt = options.now();
  }

  /** Routes the QUERY HIT `bytes[start, end)`, header included, that came from `from`. */
  route(bytes: Uint8Array, start: number, end: number, from: Link): void {
    const { counters, links, outbox, routes, servents, now } = this.#options;
    counters.hits++;
    const summary = this.#summary;
    if (summarizeQueryHit(bytes, start + HEADER_BYTES, end, summary) !== 'ok') {
      from.bad++;
      return this.#drop('malformed');
    }
    if (judgeServentGuid(bytes, summary.serventGuidStart, bytes, start) !== 'usable') {
      from.bad++;
      return this.#drop('servent-guid-refused');
    }
    let route = routes.find(bytes, start);
    if (route < 0) {
      // A shard that was started again does not know the queries of the one before it: that is nobody's fault.
      if (now() - this.#startedAt >= QUERY_ROUTE_MS) from.bad++;
      return this.#drop('route-unknown');
    }
    // A servent is not told of its own files: its hit came to it by another way (docs/protocol/06 §3).
    const servent = links.byGuid(bytes, summary.serventGuidStart);
    const target = this.#wayBack(route, from, servent);
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
    servents.learnFromHit(bytes, summary.serventGuidStart, from);
    outbox.send(bytes, start, end, ttl, hopsIn + step, target);
    counters.hitDeliveries++;
  }

  /** The first way that still exists, but to neither of two links. */
  #wayBack(route: number, from: Link, servent: Link | undefined): Link | undefined {
    const { routes, links } = this.#options;
    for (let i = 0; i < WAYS_PER_QUERY; i++) {
      const serial = routes.get(route, QueryColumn.ways + i);
      if (serial === 0) return undefined;
      const link = serial === from.serial ? undefined : links.bySerial(serial);
      if (link !== undefined && link !== servent) return link;
    }
    return undefined;
  }

  #drop(reason: DropReason): void {
    this.#options.counters.dropped[reason]++;
  }
}
