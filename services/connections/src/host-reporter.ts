import { canonicalHost, formatPeerAddress, isUsablePeerAddress, networkOf, parsePeerAddress } from '@filbert/gnutella';
import { hostsSeen, type AddressVote, type HostOutcome, type HostSeen } from '@filbert/contracts';
import type { Bus } from '@filbert/kit';

/** Hosts told in one message, and kept between two messages; further ones are dropped. */
export const MAX_HOSTS_PER_REPORT = 200;
/** Networks whose word about our address is kept between two messages; further ones are dropped. */
export const MAX_VOTES_PER_REPORT = 64;
/** To judge an address apart from its port. */
const ANY_PORT = 6346;

/** Collects the addresses an edge learns and tells them to bootstrap about once a second. */
export class HostReporter {
  /** Addresses not told: unusable, or too many. */
  refused = 0;
  /** Words about our address not told: unusable, or too many. */
  votesRefused = 0;
  readonly #bus: Bus;
  readonly #edgeId: string;
  readonly #allowPrivate: boolean;
  #pending = new Map<string, HostSeen>();
  #votes = new Map<string, AddressVote>();

  constructor(options: { readonly bus: Bus; readonly edgeId: string; readonly allowPrivate: boolean }) {
    this.#bus = options.bus;
    this.#edgeId = options.edgeId;
    this.#allowPrivate = options.allowPrivate;
  }

  /** Notes what became known of a host; data from the network, so the address is checked here. */
  note(address: string, outcome: HostOutcome, ultrapeer: boolean): void {
    const parsed = parsePeerAddress(address);
    if (parsed === undefined || !isUsablePeerAddress(parsed, { allowPrivate: this.#allowPrivate })) {
      this.refused++;
      return;
    }
    const key = `${formatPeerAddress(parsed)} ${outcome}`;
    if (this.#pending.size >= MAX_HOSTS_PER_REPORT && !this.#pending.has(key)) {
      this.refused++;
      return;
    }
    this.#pending.set(key, { address: formatPeerAddress(parsed), outcome, ultrapeer });
  }

  /**
   * Notes that the peer at `voter` sees us as `address`; bootstrap believes it when peers of several networks agree
   * (docs/protocol/12 §10). What can be nobody's address, such as one of a network behind a NAT, is passed over.
   */
  vote(voter: string, address: string): void {
    const from = canonicalHost(voter);
    const host = canonicalHost(address);
    const usable =
      host !== undefined && isUsablePeerAddress({ host, port: ANY_PORT }, { allowPrivate: this.#allowPrivate });
    if (from === undefined || !usable) {
      this.votesRefused++;
      return;
    }
    const network = networkOf(from);
    if (this.#votes.size >= MAX_VOTES_PER_REPORT && !this.#votes.has(network)) this.votesRefused++;
    else this.#votes.set(network, { voter: from, address: host });
  }

  flush(): void {
    if (this.#pending.size === 0 && this.#votes.size === 0) return;
    this.#bus.publish(hostsSeen, {
      edgeId: this.#edgeId,
      hosts: [...this.#pending.values()],
      votes: [...this.#votes.values()],
    });
    this.#pending = new Map();
    this.#votes = new Map();
  }
}
