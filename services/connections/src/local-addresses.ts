import { classifyHost, isUsablePeerAddress, type AddressClass } from '@filbert/gnutella';
import { OwnAddressSource } from '@filbert/contracts';
import { formatHostPort, type HostPort } from '@filbert/kit';
import { plainIp } from './acceptor.ts';

/** A peer that came by itself proves for this long that others can, too. */
export const REACHED_MS = 3_600_000;

/** What an edge can tell of the node's own address. */
export interface KnownAddress {
  /** "ip:port"; empty while nothing is known. */
  readonly address: string;
  readonly source: OwnAddressSource;
}

const UNKNOWN: KnownAddress = { address: '', source: OwnAddressSource.OWN_ADDRESS_SOURCE_UNSPECIFIED };
const CLASSES: readonly AddressClass[] = ['public', 'private', 'loopback', 'bogon'];

export interface LocalAddressesOptions {
  readonly allowPrivate: boolean;
  /** ms, monotonic */
  readonly now: () => number;
}

/**
 * Our own ends of the links that live: behind a wildcard they tell which of the machine's addresses peers reach. Holds an
 * entry for each address of this machine that a link uses.
 */
export class LocalAddresses {
  readonly #options: LocalAddressesOptions;
  readonly #incoming = new Map<string, number>();
  readonly #outgoing = new Map<string, number>();
  #cameAt = Number.NEGATIVE_INFINITY;
  #strangers = 0;

  constructor(options: LocalAddressesOptions) {
    this.#options = options;
  }

  /**
   * A link began or ended.
   * @param link its ends; a peer on this very machine proves nothing, unless the network is a closed one
   */
  count(link: { readonly localIp: string; readonly remoteIp: string; readonly outgoing: boolean }, by: 1 | -1): void {
    const ip = plainIp(link.localIp);
    const counts = link.outgoing ? this.#outgoing : this.#incoming;
    const count = (counts.get(ip) ?? 0) + by;
    if (count > 0) counts.set(ip, count);
    else counts.delete(ip);
    if (link.outgoing || (link.remoteIp === ip && !this.#options.allowPrivate)) return;
    this.#strangers += by;
    this.#cameAt = this.#options.now();
  }

  /** Whether a peer came by itself not long ago: the port is open to others. */
  get reached(): boolean {
    return this.#strangers > 0 || this.#options.now() - this.#cameAt < REACHED_MS;
  }

  /**
   * Where peers reach this edge: the address that it was told to listen on, else that of our ends which a peer could dial:
   * public ones first, IPv4 first, those that peers came to first, then the one that most links use.
   */
  best(listen: HostPort): KnownAddress {
    if (classifyHost(listen.host) !== 'bogon') {
      return { address: formatHostPort(listen), source: OwnAddressSource.OWN_ADDRESS_SOURCE_LISTEN };
    }
    const known = [
      ...Array.from(this.#incoming, ([ip, links]) => ({ ip, links, came: true })),
      ...Array.from(this.#outgoing, ([ip, links]) => ({ ip, links, came: false })),
    ].filter(({ ip }) => isUsablePeerAddress({ host: ip, port: listen.port }, this.#options));
    const [first] = known.sort(
      (a, b) =>
        CLASSES.indexOf(classifyHost(a.ip)) - CLASSES.indexOf(classifyHost(b.ip)) ||
        Number(a.ip.includes(':')) - Number(b.ip.includes(':')) ||
        Number(b.came) - Number(a.came) ||
        b.links - a.links,
    );
    if (first === undefined) return UNKNOWN;
    return {
      address: formatHostPort({ host: first.ip, port: listen.port }),
      source: first.came ? OwnAddressSource.OWN_ADDRESS_SOURCE_REACHED : OwnAddressSource.OWN_ADDRESS_SOURCE_DIALLED,
    };
  }
}
