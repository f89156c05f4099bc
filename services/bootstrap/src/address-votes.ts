import { canonicalHost, ipv6FromText, isUsablePeerAddress, networkOf } from '@filbert/gnutella';
import type { ForgetReason } from './host-cache.ts';

/** Networks (/24, IPv6: /48) that must agree before what peers say of our address is believed (docs/protocol/12 §10). */
export const MIN_VOTES = 3;
/** Networks whose last word is kept, of each kind of address; the one that spoke longest ago is forgotten first. */
export const MAX_VOTERS = 64;
/** A word counts for this long. */
export const VOTE_LIFETIME_MS = 24 * 3_600_000;
/** What an ordinary customer gets of IPv6, in bytes: 65,536 networks that must not have a vote each. */
const IPV6_VOTER_BYTES = 6;
/** To judge an address apart from its port. */
const ANY_PORT = 6346;

export interface AddressVotesOptions {
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
}

type Votes = Map<string, { readonly host: string; readonly at: number }>;

/**
 * What peers say that they see us as (Remote-IP, docs/protocol/01 §4): one vote a network, so that none decides alone. A peer
 * sees an address of the kind that it has itself; IPv4 and IPv6 are voted on apart, and neither crowds the other out.
 */
export class AddressVotes {
  /** Words passed over: not of a peer, not of an address of ours, or of one of another kind than the peer's own. */
  refused = 0;
  readonly forgotten: Record<ForgetReason, number> = { full: 0, age: 0 };
  readonly #options: AddressVotesOptions;
  readonly #ipv4: Votes = new Map();
  readonly #ipv6: Votes = new Map();

  constructor(options: AddressVotesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#ipv4.size + this.#ipv6.size;
  }

  /** Takes the word of the peer at `voter` that we are seen as `address`, both numeric; anything else is passed over. */
  add(voter: string, address: string): void {
    const from = canonicalHost(voter);
    const host = canonicalHost(address);
    if (from === undefined || host === undefined || !this.#mayVote(from, host)) {
      this.refused++;
      return;
    }
    const votes = host.includes(':') ? this.#ipv6 : this.#ipv4;
    const network = voterOf(from);
    votes.delete(network);
    votes.set(network, { host, at: this.#options.now() });
    if (votes.size <= MAX_VOTERS) return;
    const oldest = votes.keys().next();
    if (oldest.done) return;
    votes.delete(oldest.value);
    this.forgotten.full++;
  }

  /** What enough networks say, and more than half of those that speak of this kind of address; IPv4 before IPv6. */
  winner(): string | undefined {
    return this.#winnerOf(this.#ipv4) ?? this.#winnerOf(this.#ipv6);
  }

  #winnerOf(votes: Votes): string | undefined {
    const oldest = this.#options.now() - VOTE_LIFETIME_MS;
    const counts = new Map<string, number>();
    for (const [network, { host, at }] of votes) {
      if (at >= oldest) counts.set(host, (counts.get(host) ?? 0) + 1);
      else if (votes.delete(network)) this.forgotten.age++;
    }
    for (const [host, count] of counts) if (count >= MIN_VOTES && count * 2 > votes.size) return host;
    return undefined;
  }

  /** Both must be addresses of peers, and of one kind. */
  #mayVote(from: string, host: string): boolean {
    return this.#isUsable(from) && this.#isUsable(host) && from.includes(':') === host.includes(':');
  }

  #isUsable(host: string): boolean {
    return isUsablePeerAddress({ host, port: ANY_PORT }, this.#options);
  }
}

/** Whose vote it is: of a /24, or of a /48 of IPv6. */
function voterOf(host: string): string {
  const ipv6 = host.includes(':') ? ipv6FromText(host) : undefined;
  return ipv6 === undefined ? networkOf(host) : Buffer.from(ipv6).toString('hex', 0, IPV6_VOTER_BYTES);
}
