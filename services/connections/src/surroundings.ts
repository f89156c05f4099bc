import { ownAddressOf, reachableAddress } from '@filbert/contracts';
import { formatPeerAddress, isUsablePeerAddress, parsePeerAddress, type PeerAddress } from '@filbert/gnutella';
import { formatHostPort } from '@filbert/kit';
import { plainIp } from './acceptor.ts';
import type { LinkRegistry } from './link/link-registry.ts';
import type { LinkRole, PeerLink } from './link/peer-link.ts';
import type { NodeView } from './node-view.ts';
import type { PongCache } from './pongs/pong-cache.ts';

/** Ultrapeers kept dialled, as a share of the slots: the rest is for those that come by themselves. */
const DIAL_SHARE = 0.75;

export interface SurroundingsOptions {
  readonly links: LinkRegistry;
  readonly view: NodeView;
  readonly pongs: PongCache;
  readonly maxLeaves: number;
  readonly maxUltrapeers: number;
  readonly allowPrivate: boolean;
  /** Addresses that the limits per address and network spare; by default private ones where these are allowed. */
  readonly isExempt?: (ip: string) => boolean;
  /** Port in use. */
  readonly port: () => number;
  /** "ip:port" that the edge listens on. */
  readonly listenAddress: () => string;
}

/** What this edge knows of slots and addresses, its own and those of the node's other edges. */
export class Surroundings {
  readonly #options: SurroundingsOptions;
  readonly #links: LinkRegistry;
  readonly #view: NodeView;
  readonly #pongs: PongCache;

  constructor(options: SurroundingsOptions) {
    this.#options = options;
    this.#links = options.links;
    this.#view = options.view;
    this.#pongs = options.pongs;
  }

  /** Links of all edges together, with those on their way into this one. */
  taken(role: LinkRole): number {
    const others = this.#view.otherLinks();
    return this.#links.taken(role) + (role === 'leaf' ? others.leaves : others.ultrapeers);
  }

  /** Links that the node may still take. */
  freeSlots(): { readonly leaves: number; readonly ultrapeers: number } {
    return {
      leaves: Math.max(0, this.#options.maxLeaves - this.taken('leaf')),
      ultrapeers: Math.max(0, this.#options.maxUltrapeers - this.taken('ultrapeer')),
    };
  }

  /** Ultrapeers that are still to be dialled. */
  ultrapeersWanted(): number {
    return Math.ceil(this.#options.maxUltrapeers * DIAL_SHARE) - this.taken('ultrapeer');
  }

  /** Whether rules about addresses and networks apply to this address; private ones are exempt where they are allowed. */
  isLimited(ip: string): boolean {
    const { isExempt } = this.#options;
    if (isExempt !== undefined) return !isExempt(ip);
    return !(this.#options.allowPrivate && !isUsablePeerAddress({ host: ip, port: 6346 }));
  }

  /** Our own servent GUID, hex: whoever shows it is ourselves. */
  ownGuid(): string {
    return Buffer.from(this.#view.facts?.serventGuid ?? []).toString('hex');
  }

  /**
   * The node's address as a peer should know it: the advertised one, else the one that the peer reached, if others can
   * reach it too, else what the node found out.
   */
  ownAddress(localAddress: string): PeerAddress | undefined {
    const facts = this.#view.facts;
    const advertised = reachableAddress(facts?.advertisedAddress ?? '');
    if (advertised !== undefined) return advertised;
    const local = parsePeerAddress(formatHostPort({ host: plainIp(localAddress), port: this.#options.port() }));
    if (local !== undefined && isUsablePeerAddress(local, this.#options)) return local;
    return ownAddressOf(facts) ?? local;
  }

  /** Where a peer that came by itself listens: what it says, if that is its own address; else empty. */
  believedAddress(said: string | undefined, remoteIp: string): string {
    const address = said === undefined ? undefined : parsePeerAddress(said);
    if (address === undefined || !isUsablePeerAddress(address, this.#options)) return '';
    // In a closed network, among containers for one, source addresses may be translated.
    return address.host === remoteIp || !this.isLimited(remoteIp) ? formatPeerAddress(address) : '';
  }

  /** Whether this is an address of the node itself. */
  isOwn(address: string): boolean {
    return this.#ownAddresses().has(address);
  }

  /** Whether a link to this address exists somewhere in the node, or it is our own. */
  isTaken(address: string): boolean {
    return this.#links.hasAddress(address) || this.#view.heldElsewhere(address) || this.isOwn(address);
  }

  /** Where the neighbours of the whole node listen; of leaves that other edges hold a sample. */
  neighbours(role: LinkRole): string[] {
    const addresses = new Set(addressesOf(role === 'leaf' ? this.#links.leaves : this.#links.ultrapeers));
    for (const summary of this.#view.others()) {
      const theirs = role === 'leaf' ? summary.leafAddresses : summary.ultrapeerAddresses;
      for (const address of theirs) addresses.add(address);
    }
    return [...addresses];
  }

  /** Connected ultrapeers first, then those heard of in pongs, then bootstrap's. */
  knownUltrapeers(most: number, except: string): string[] {
    const hosts = new Set<string>();
    for (const link of this.#links.ultrapeers) if (link.listenAddress !== '') hosts.add(link.listenAddress);
    for (const summary of this.#view.others()) for (const address of summary.ultrapeerAddresses) hosts.add(address);
    for (const address of this.#pongs.recentUltrapeers) hosts.add(address);
    for (const address of this.#view.facts?.hosts ?? []) hosts.add(address);
    hosts.delete(except);
    for (const own of this.#ownAddresses()) hosts.delete(own);
    return [...hosts].slice(0, most);
  }

  /** Under whatever name we are known, "ip:port". */
  #ownAddresses(): Set<string> {
    const own = ownAddressOf(this.#view.facts);
    return new Set([this.#options.listenAddress(), ...(own === undefined ? [] : [formatPeerAddress(own)])]);
  }
}

function addressesOf(links: Iterable<PeerLink>): string[] {
  return [...links].flatMap((link) => link.listenAddress || []);
}
