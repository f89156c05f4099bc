import { canonicalHost, isUsablePeerAddress, networkOf } from '@filbert/gnutella';

/** Networks (/24, IPv6: /64) that must agree before what peers say of our address is believed (docs/protocol/12 §10). */
export const MIN_VOTES = 3;
/** Networks whose last word is kept; the one that spoke longest ago is forgotten first. */
export const MAX_VOTERS = 64;
/** A word counts for this long. */
export const VOTE_LIFETIME_MS = 24 * 3_600_000;
/** To judge an address apart from its port. */
const ANY_PORT = 6346;

export interface AddressVotesOptions {
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
}

/** What peers say that they see us as (Remote-IP, docs/protocol/01 §4): one vote a network, so that none decides alone. */
export class AddressVotes {
  readonly #options: AddressVotesOptions;
  readonly #votes = new Map<string, { readonly host: string; readonly at: number }>();

  constructor(options: AddressVotesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#votes.size;
  }

  /** Takes the word of the peer at `voter` that we are seen as `address`, both numeric; anything else is passed over. */
  add(voter: string, address: string): void {
    const from = canonicalHost(voter);
    const host = canonicalHost(address);
    if (from === undefined || host === undefined) return;
    if (!this.#isUsable(from) || !this.#isUsable(host)) return;
    const network = networkOf(from);
    this.#votes.delete(network);
    this.#votes.set(network, { host, at: this.#options.now() });
    if (this.#votes.size <= MAX_VOTERS) return;
    const oldest = this.#votes.keys().next();
    if (!oldest.done) this.#votes.delete(oldest.value);
  }

  /** What enough networks say, and more than half of those that speak of this kind of address; IPv4 before IPv6. */
  winner(): string | undefined {
    const oldest = this.#options.now() - VOTE_LIFETIME_MS;
    for (const [network, { at }] of this.#votes) if (at < oldest) this.#votes.delete(network);
    return this.#winnerOf(false) ?? this.#winnerOf(true);
  }

  #winnerOf(ipv6: boolean): string | undefined {
    const counts = new Map<string, number>();
    let all = 0;
    for (const { host } of this.#votes.values()) {
      if (host.includes(':') !== ipv6) continue;
      all++;
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    for (const [host, votes] of counts) if (votes >= MIN_VOTES && votes * 2 > all) return host;
    return undefined;
  }

  #isUsable(host: string): boolean {
    return isUsablePeerAddress({ host, port: ANY_PORT }, this.#options);
  }
}
