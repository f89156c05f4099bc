import type { Ingress, NodeFacts } from '@filbert/contracts';
import type { PeerAddress } from '@filbert/gnutella';
import type { EdgeCounters, FrameDropReason } from '../counters.ts';
import type { HostReporter } from '../host-reporter.ts';
import type { HalfPatches } from './half-patches.ts';
import type { QueryFilter } from './query-filter.ts';
import type { LinkReporter } from '../link/link-reporter.ts';
import type { LinkRegistry } from '../link/link-registry.ts';
import type { PeerLink } from '../link/peer-link.ts';
import type { OwnPong } from '../pongs/own-pong.ts';
import type { PongCache } from '../pongs/pong-cache.ts';
import type { MergedFollower } from '../tables/merged-follower.ts';

/** What the handlers of frames work with. */
export interface EdgeContext {
  readonly edgeId: string;
  readonly links: LinkRegistry;
  readonly reporter: LinkReporter;
  readonly ingress: Ingress;
  readonly pongs: PongCache;
  readonly ownPong: OwnPong;
  readonly hosts: HostReporter;
  readonly merged: MergedFollower;
  readonly halfPatches: HalfPatches;
  readonly queryFilter: QueryFilter;
  readonly counters: EdgeCounters;
  readonly allowPrivate: boolean;
  readonly facts: () => NodeFacts;
  /** The node's own address as this peer should know it; undefined where it is not known. */
  readonly ownAddress: (link: PeerLink) => PeerAddress | undefined;
  /** Ultrapeers to hand to a peer, "ip:port", without the one it is itself. */
  readonly knownUltrapeers: (most: number, except: string) => string[];
  /** Where the ultrapeers listen that the node, this edge or another, is linked to, "ip:port". */
  readonly linkedUltrapeers: () => string[];
  readonly freeSlots: () => { readonly leaves: number; readonly ultrapeers: number };
  /** ms, monotonic */
  readonly now: () => number;
  /** 0 … 1 */
  readonly random: () => number;
}

/** Drops a frame that breaks a rule: counted, and held against the link. */
export function dropBad(context: EdgeContext, link: PeerLink, reason: FrameDropReason): void {
  link.counters.bad++;
  context.counters.framesDropped[reason]++;
}
