import { GUID_BYTES } from '@filbert/gnutella';
import type { ShardMap } from '@filbert/contracts';
import type { GuidTable } from './guid-table.ts';
import type { Link, LinkTable } from './link-table.ts';
import { createPushRoutes, learnWay, ServentColumn, WAYS_PER_SERVENT } from './routes.ts';

/** The shard of a servent is told again of a way that did not change after this time: it may have been restarted. */
const TEACH_AGAIN_S = 30;

export interface ServentWaysOptions {
  readonly shardMap: ShardMap;
  readonly shard: number;
  readonly links: LinkTable;
  readonly now: () => number;
  /** A servent GUID of another shard was learned to be behind `link`. */
  readonly teach: (shard: number, serventGuid: Uint8Array, link: Link) => void;
}

/** Ways to servents, learned from the hits that came from them (docs/protocol/02 §8). */
export class ServentWays {
  /** By servent GUID. */
  readonly routes: GuidTable;
  readonly #options: ServentWaysOptions;

  constructor(options: ServentWaysOptions) {
    this.#options = options;
    this.routes = createPushRoutes(options.now);
  }

  /** Another shard saw a hit of this servent over `link`. */
  learn(serventGuid: Uint8Array, link: Link): void {
    if (serventGuid.length === GUID_BYTES) learnWay(this.routes, serventGuid, 0, link.serial);
  }

  /** A hit of the servent whose GUID is at `bytes[at]` came over `from`: also the shard of that GUID learns it. */
  learnFromHit(bytes: Uint8Array, at: number, from: Link): void {
    const { shardMap, shard, now, teach } = this.#options;
    const changed = learnWay(this.routes, bytes, at, from.serial);
    const owner = shardMap.shardOf(bytes, at);
    if (owner === shard) return;
    const handle = this.routes.find(bytes, at);
    const nowS = Math.floor(now() / 1_000);
    if (!changed && nowS - this.routes.get(handle, ServentColumn.taughtAt) < TEACH_AGAIN_S) return;
    this.routes.set(handle, ServentColumn.taughtAt, nowS);
    teach(owner, new Uint8Array(bytes.subarray(at, at + GUID_BYTES)), from);
  }

  /** @returns the newest way to a servent that still exists */
  wayTo(serventGuid: Uint8Array): Link | undefined {
    const route = this.routes.find(serventGuid, 0);
    return route < 0 ? undefined : this.wayOf(route);
  }

  /** @returns the newest way of a route that still exists, other than back to `from` */
  wayOf(route: number, from?: Link): Link | undefined {
    for (let i = 0; i < WAYS_PER_SERVENT; i++) {
      const serial = this.routes.get(route, i);
      const link = serial === 0 || serial === from?.serial ? undefined : this.#options.links.bySerial(serial);
      if (link !== undefined) return link;
    }
    return undefined;
  }
}
