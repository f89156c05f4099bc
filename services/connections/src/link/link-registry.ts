import { networkOf } from '@filbert/gnutella';
import { bump } from '@filbert/kit';
import type { LinkRole, PeerLink } from './peer-link.ts';

/** All links of the edge, and the counts and keys that admission asks for. */
export class LinkRegistry {
  readonly #byNumber = new Map<number, PeerLink>();
  readonly #ultrapeers = new Set<PeerLink>();
  readonly #leaves = new Set<PeerLink>();
  /** Listening address → links that gave it. */
  readonly #byAddress = new Map<string, number>();
  readonly #byGuid = new Map<string, number>();
  readonly #byIp = new Map<string, number>();
  readonly #byNetwork = new Map<string, number>();
  /** Peers that were let in and have not finished their handshake. */
  readonly #reserved = { leaf: 0, ultrapeer: 0 };
  /** Links that were told to go and whose sockets are still open. */
  readonly #ending = new Set<PeerLink>();
  #nextNumber = 1;

  get size(): number {
    return this.#byNumber.size;
  }

  get ultrapeers(): ReadonlySet<PeerLink> {
    return this.#ultrapeers;
  }

  get leaves(): ReadonlySet<PeerLink> {
    return this.#leaves;
  }

  /** Leaves or ultrapeers with those on their way in, without those on their way out. */
  taken(role: LinkRole): number {
    let taken = this.#reserved[role] + (role === 'leaf' ? this.#leaves.size : this.#ultrapeers.size);
    for (const link of this.#ending) if (link.role === role) taken--;
    return taken;
  }

  /** The link was told to go: its slot is free, though its socket may live on for seconds. */
  ending(link: PeerLink): void {
    if (this.#byNumber.has(link.number)) this.#ending.add(link);
  }

  /** A number for a new link, never used before in this run. */
  nextNumber(): number {
    return this.#nextNumber++;
  }

  /** Keeps a slot for a peer that is in its handshake. @returns how to give it back */
  reserve(role: LinkRole): () => void {
    this.#reserved[role]++;
    let held = true;
    return () => {
      if (held) this.#reserved[role]--;
      held = false;
    };
  }

  get(number: number): PeerLink | undefined {
    return this.#byNumber.get(number);
  }

  all(): Iterable<PeerLink> {
    return this.#byNumber.values();
  }

  hasAddress(address: string): boolean {
    return this.#byAddress.has(address);
  }

  hasGuid(hex: string): boolean {
    return this.#byGuid.has(hex);
  }

  fromAddress(ip: string): number {
    return this.#byIp.get(ip) ?? 0;
  }

  fromNetwork(ip: string): number {
    return this.#byNetwork.get(networkOf(ip)) ?? 0;
  }

  add(link: PeerLink): void {
    this.#byNumber.set(link.number, link);
    (link.isUltrapeer ? this.#ultrapeers : this.#leaves).add(link);
    this.#count(link, 1);
  }

  remove(link: PeerLink): void {
    if (!this.#byNumber.delete(link.number)) return;
    this.#ending.delete(link);
    (link.isUltrapeer ? this.#ultrapeers : this.#leaves).delete(link);
    this.#count(link, -1);
  }

  #count(link: PeerLink, by: 1 | -1): void {
    if (link.listenAddress !== '') bump(this.#byAddress, link.listenAddress, by);
    if (link.peer.guid !== undefined) bump(this.#byGuid, Buffer.from(link.peer.guid).toString('hex'), by);
    bump(this.#byIp, link.remoteIp, by);
    bump(this.#byNetwork, networkOf(link.remoteIp), by);
  }
}
