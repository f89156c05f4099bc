import { Descriptor, FUNCTION_OFFSET } from '@filbert/gnutella';
import type { ShardMap } from '@filbert/contracts';
import { ShardCounters } from './counters.ts';
import type { GuidTable } from './guid-table.ts';
import { HitRouting } from './hit-routing.ts';
import { LeafSearches } from './leaf-search.ts';
import { LinkTable, type EdgeLinks, type Link } from './link-table.ts';
import { NeighbourLimits, type KickReason } from './neighbour-limits.ts';
import { Outbox, type EgressWriter } from './outbox.ts';
import { PushRouting } from './push-routing.ts';
import { QueryRouting } from './query-routing.ts';
import { createQueryRoutes } from './routes.ts';
import { ServentWays } from './servent-ways.ts';

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
  readonly number: number;
  /** Ways back of queries, by message GUID. */
  readonly queryRoutes: GuidTable;
  readonly servents: ServentWays;
  readonly #queries: QueryRouting;
  readonly #hits: HitRouting;
  readonly #pushes: PushRouting;

  constructor(options: RouterShardOptions) {
    const { kick, now, random, shard } = options;
    const { counters } = this;
    this.number = shard;
    this.queryRoutes = createQueryRoutes(now);
    const outbox = new Outbox({ shard, counters, open: options.openEgress });
    const links = new LinkTable({
      onGone: (link) => {
        this.searches.cancel(link);
        this.limits?.gone(link);
      },
      onTold: (link) => this.limits?.told(link),
    });
    this.outbox = outbox;
    this.links = links;
    this.limits =
      kick === undefined ? undefined : new NeighbourLimits({ kick, now, ownerOf: (link) => links.ownerOf(link) });
    const routes = this.queryRoutes;
    this.searches = new LeafSearches({ links, routes, outbox, counters, now, random });
    this.servents = new ServentWays({ ...options, links });
    this.#queries = new QueryRouting({ links, outbox, searches: this.searches, counters, routes, now });
    this.#hits = new HitRouting({ links, outbox, counters, routes, servents: this.servents, now });
    this.#pushes = new PushRouting({ links, outbox, counters, servents: this.servents, now });
  }

  /** Routes the frame `bytes[start, end)`, header included, that came from `link`. */
  frame(bytes: Uint8Array, start: number, end: number, link: Link): void {
    switch (bytes[start + FUNCTION_OFFSET]) {
      case Descriptor.QUERY:
        this.#queries.route(bytes, start, end, link);
        return;
      case Descriptor.QUERY_HIT:
        this.#hits.route(bytes, start, end, link);
        return;
      case Descriptor.PUSH:
        this.#pushes.route(bytes, start, end, link);
        return;
      default:
        this.counters.dropped['unknown-function']++;
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
    this.servents.learn(serventGuid, link);
  }
}
