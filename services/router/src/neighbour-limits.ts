import { LinkKind, MAX_LINKS_PER_ADDRESS, MAX_LINKS_PER_NETWORK } from '@filbert/contracts';
import { networkOf } from '@filbert/gnutella';
import { bump } from '@filbert/kit';
import type { Link } from './link-table.ts';

/**
 * A link that breaks a rule of the whole node is ended after this time: by then the links of an edge that died are dropped,
 * and a neighbour that came back by another edge breaks none.
 */
export const KICK_AFTER_MS = 5_000;
/** Links that are told to go in one second. */
export const MAX_KICKS = 64;

/** Which rule a link breaks: labels of `filbert_router_kicks_total`. */
export const KICK_REASONS = ['guid', 'address', 'network'] as const;
export type KickReason = (typeof KICK_REASONS)[number];

export interface NeighbourLimitsOptions {
  /** The direct neighbour that has the servent GUID of `link`. */
  readonly ownerOf: (link: Link) => Link | undefined;
  /** Has the edge of the link end it. */
  readonly kick: (link: Link, reason: KickReason) => void;
  /** ms, monotonic */
  readonly now: () => number;
}

/**
 * Rules about neighbours that one edge cannot hold to alone, since others of the node hold links too: a servent GUID has one
 * link (docs/protocol/01 §5), an address and a network have a few (12 §4). Of several the ones that came last go.
 */
export class NeighbourLimits {
  readonly kicks: Record<KickReason, number> = { guid: 0, address: 0, network: 0 };
  readonly #options: NeighbourLimitsOptions;
  readonly #addresses = new Map<string, number>();
  readonly #networks = new Map<string, number>();
  /** Links that are counted, with the address they are counted under. */
  readonly #counted = new Map<Link, string>();
  /** Links that break a rule, and since when. */
  readonly #suspects = new Map<Link, number>();

  constructor(options: NeighbourLimitsOptions) {
    this.#options = options;
  }

  /** A link was told of, for the first time or again. */
  told(link: Link): void {
    if (link.kind !== LinkKind.LINK_KIND_LEAF && link.kind !== LinkKind.LINK_KIND_ULTRAPEER) return;
    if (this.#suspects.has(link)) return;
    const isNew = link.remoteHost !== '' && !this.#counted.has(link);
    if (isNew) this.#count(link);
    // What is told again of an old link must not make it answer for those that came after it.
    const reason = this.#broken(link);
    if (reason === 'guid' || (reason !== undefined && isNew)) this.#suspects.set(link, this.#options.now());
  }

  /** A link is gone. */
  gone(link: Link): void {
    this.#uncount(link);
    this.#suspects.delete(link);
  }

  /** Ends what still breaks a rule; call it about once a second. */
  tick(): void {
    if (this.#suspects.size === 0) return;
    const due = this.#options.now() - KICK_AFTER_MS;
    let left = MAX_KICKS;
    for (const [link, since] of [...this.#suspects].reverse()) {
      if (since > due) continue;
      // One that was told to go and is still there is not counted any more: it is told again.
      const wasKicked = link.remoteHost !== '' && !this.#counted.has(link);
      const reason = this.#broken(link) ?? (wasKicked ? 'address' : undefined);
      if (reason === undefined) {
        this.#suspects.delete(link);
        continue;
      }
      if (left-- === 0) return;
      // The others of its address are judged as if it were gone.
      this.#uncount(link);
      this.#suspects.set(link, this.#options.now());
      this.kicks[reason]++;
      this.#options.kick(link, reason);
    }
  }

  #broken(link: Link): KickReason | undefined {
    const owner = this.#options.ownerOf(link);
    if (owner !== undefined && owner !== link && owner.provesGuid && link.provesGuid) return 'guid';
    const host = this.#counted.get(link);
    if (host === undefined) return undefined;
    if ((this.#addresses.get(host) ?? 0) > MAX_LINKS_PER_ADDRESS) return 'address';
    return (this.#networks.get(networkOf(host)) ?? 0) > MAX_LINKS_PER_NETWORK ? 'network' : undefined;
  }

  #count(link: Link): void {
    this.#counted.set(link, link.remoteHost);
    bump(this.#addresses, link.remoteHost, 1);
    bump(this.#networks, networkOf(link.remoteHost), 1);
  }

  #uncount(link: Link): void {
    const host = this.#counted.get(link);
    if (host === undefined) return;
    this.#counted.delete(link);
    bump(this.#addresses, host, -1);
    bump(this.#networks, networkOf(host), -1);
  }
}
