import { HEADER_BYTES, HOPS_OFFSET, judgeServentGuid, PUSH_BYTES, TTL_OFFSET } from '@filbert/gnutella';
import { LinkKind } from '@filbert/contracts';
import type { DropReason, ShardCounters } from './counters.ts';
import type { GuidTable } from './guid-table.ts';
import { hopOf, MAX_HOPS } from './hops.ts';
import type { Link, LinkTable } from './link-table.ts';
import type { Outbox } from './outbox.ts';
import { createSeenPushes } from './routes.ts';
import type { ServentWays } from './servent-ways.ts';

export interface PushRoutingOptions {
  readonly links: LinkTable;
  readonly outbox: Outbox;
  readonly counters: ShardCounters;
  readonly servents: ServentWays;
  readonly now: () => number;
}

/** PUSHes: to the direct neighbour that owns the GUID, else along the way the servent's hits came (docs/protocol/02 §8). */
export class PushRouting {
  readonly #options: PushRoutingOptions;
  readonly #seen: GuidTable;

  constructor(options: PushRoutingOptions) {
    this.#options = options;
    this.#seen = createSeenPushes(options.now);
  }

  /** Routes the PUSH `bytes[start, end)`, header included, that came from `from`. */
  route(bytes: Uint8Array, start: number, end: number, from: Link): void {
    const { counters, links, servents } = this.#options;
    counters.pushes++;
    const payload = start + HEADER_BYTES;
    if (end - payload < PUSH_BYTES) {
      from.bad++;
      return this.#drop('malformed');
    }
    if (judgeServentGuid(bytes, payload) !== 'usable') {
      from.bad++;
      return this.#drop('servent-guid-refused');
    }
    const seen = this.#seen.find(bytes, start);
    if (seen >= 0) {
      // Others send one PUSH along every way they know: only the same link's repetition speaks against it.
      if (this.#seen.get(seen, 0) === from.serial) from.duplicates++;
      return this.#drop('duplicate');
    }
    this.#seen.set(this.#seen.insert(bytes, start), 0, from.serial);
    if ((bytes[start + HOPS_OFFSET] as number) >= MAX_HOPS) return this.#drop('hops-exceeded');
    const ttlIn = bytes[start + TTL_OFFSET] as number;
    const step = hopOf(from);
    const neighbour = links.byGuid(bytes, payload);
    if (neighbour !== undefined && neighbour !== from) {
      this.#send(bytes, start, end, Math.max(1, ttlIn - step), step, neighbour);
      return;
    }
    const route = servents.routes.find(bytes, payload);
    if (route < 0) return this.#drop('route-unknown');
    const link = servents.wayOf(route, from);
    if (link === undefined) return this.#drop('route-lost');
    // The last step to a leaf or to ourselves is never refused for its TTL.
    const ttl = (link.kind === LinkKind.LINK_KIND_ULTRAPEER ? ttlIn : Math.max(2, ttlIn)) - step;
    if (ttl < 1) return this.#drop('ttl-exceeded');
    servents.routes.promote(route);
    this.#send(bytes, start, end, ttl, step, link);
  }

  #send(bytes: Uint8Array, start: number, end: number, ttl: number, step: number, to: Link): void {
    this.#options.outbox.send(bytes, start, end, ttl, (bytes[start + HOPS_OFFSET] as number) + step, to);
    this.#options.counters.pushDeliveries++;
  }

  #drop(reason: DropReason): void {
    this.#options.counters.dropped[reason]++;
  }
}
