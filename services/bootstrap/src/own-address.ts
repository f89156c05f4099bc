import { classifyHost, formatPeerAddress, isUsablePeerAddress, parsePeerAddress } from '@filbert/gnutella';
import { OwnAddressSource, type AddressVote, type EdgeSummary } from '@filbert/contracts';
import { AddressVotes } from './address-votes.ts';

/** A better address that nobody confirms any more stays in use for this long before a worse one takes its place. */
export const KEEP_ADDRESS_MS = 3_600_000;

/** What the node knows of its own address. */
export interface LearnedAddress {
  /** "ip:port"; empty while unknown. */
  readonly address: string;
  readonly from: OwnAddressSource;
  /** Nobody is known to be able to connect to it. */
  readonly firewalled: boolean;
}

interface Candidate {
  readonly address: string;
  readonly from: OwnAddressSource;
  /** The lower, the better. */
  readonly rank: number;
}

export interface OwnAddressOptions {
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
}

/**
 * Finds out where peers reach the node: from what the edges see of their own sockets, and from what peers say of us
 * (docs/architecture.md, "The node's own address").
 */
export class OwnAddress {
  readonly #options: OwnAddressOptions;
  readonly #votes: AddressVotes;
  #inUse: Candidate | undefined;
  #confirmedAt = 0;
  #firewalled = true;

  constructor(options: OwnAddressOptions) {
    this.#options = options;
    this.#votes = new AddressVotes(options);
  }

  /** What peers said of our address. */
  get votes(): Pick<AddressVotes, 'refused' | 'forgotten'> {
    return this.#votes;
  }

  vote({ voter, address }: AddressVote): void {
    this.#votes.add(voter, address);
  }

  /**
   * Decides anew.
   * @param summaries the last of each edge that lives; without any the decision before stands
   */
  decide(summaries: readonly EdgeSummary[]): LearnedAddress {
    const now = this.#options.now();
    const candidates = this.#candidates(summaries);
    const [first] = candidates;
    const confirmed = candidates.find(({ address }) => address === this.#inUse?.address);
    if (confirmed?.rank === first?.rank && confirmed !== undefined) {
      this.#inUse = confirmed;
      this.#confirmedAt = now;
    } else if (first !== undefined && this.#mayReplace(first, now)) {
      this.#inUse = first;
      this.#confirmedAt = now;
    }
    const from = this.#inUse?.from ?? OwnAddressSource.OWN_ADDRESS_SOURCE_UNSPECIFIED;
    if (summaries.length > 0) {
      this.#firewalled =
        from !== OwnAddressSource.OWN_ADDRESS_SOURCE_LISTEN && !summaries.some(({ reached }) => reached);
    }
    return { address: this.#inUse?.address ?? '', from, firewalled: this.#firewalled };
  }

  #mayReplace(candidate: Candidate, now: number): boolean {
    if (this.#inUse === undefined || candidate.rank <= this.#inUse.rank) return true;
    return now - this.#confirmedAt > KEEP_ADDRESS_MS;
  }

  /** The best first; among equals in the order of the edges' names, so that a decision stands. */
  #candidates(summaries: readonly EdgeSummary[]): Candidate[] {
    const candidates: Candidate[] = [];
    const add = (text: string, from: OwnAddressSource): void => {
      const address = parsePeerAddress(text);
      if (address === undefined || !isUsablePeerAddress(address, this.#options)) return;
      candidates.push({ address: formatPeerAddress(address), from, rank: rankOf(address.host, from) });
    };
    const inOrder = [...summaries].sort((a, b) => (a.edgeId < b.edgeId ? -1 : 1));
    for (const { ownAddress, ownAddressSource } of inOrder) add(ownAddress, ownAddressSource);
    const seenAs = this.#votes.winner();
    const port = inOrder[0]?.listenPort ?? 0;
    if (seenAs !== undefined && port > 0) {
      add(formatPeerAddress({ host: seenAs, port }), OwnAddressSource.OWN_ADDRESS_SOURCE_PEERS);
    }
    return candidates.sort((a, b) => a.rank - b.rank);
  }
}

/** Public addresses first, then IPv4, then by how sure the source is. */
function rankOf(host: string, from: OwnAddressSource): number {
  const kind = ['public', 'private', 'loopback'].indexOf(classifyHost(host));
  return kind * 100 + (host.includes(':') ? 10 : 0) + from;
}
