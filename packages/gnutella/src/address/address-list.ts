// Lists of addresses in headers: X-Try-Ultrapeers, X-Try, X-Alt (docs/protocol/01-handshake.md §4).
import { formatPeerAddress, parsePeerAddress } from './peer-address.ts';
import type { PeerAddress } from './peer-address.ts';

/** Hosts taken from one list; gtk-gnutella sends up to 10. */
export const MAX_LISTED_ADDRESSES = 20;

/** Members looked at for each one taken, so that a list of rubbish is not read to its end. */
const MEMBERS_PER_ADDRESS = 4;
const MAX_MEMBER_CHARS = 128;

/** Bounds and defaults of {@link parseAddressList}. */
export interface AddressListOptions {
  readonly max?: number;
  readonly defaultPort?: number;
}

/** The distinct addresses of a comma-separated list, in order; what is no address is passed over. */
export function parseAddressList(text: string, options: AddressListOptions = {}): PeerAddress[] {
  const max = options.max ?? MAX_LISTED_ADDRESSES;
  const found = new Map<string, PeerAddress>();
  let at = 0;
  for (let seen = 0; at <= text.length && seen < max * MEMBERS_PER_ADDRESS && found.size < max; seen += 1) {
    const comma = text.indexOf(',', at);
    const end = comma < 0 ? text.length : comma;
    const address =
      end - at > MAX_MEMBER_CHARS ? undefined : parsePeerAddress(text.slice(at, end), options.defaultPort);
    if (address !== undefined) found.set(formatPeerAddress(address), address);
    at = end + 1;
  }
  return [...found.values()];
}

/** The hosts of an `X-Try-Ultrapeers` value, {@link MAX_LISTED_ADDRESSES} at most; judge each before dialling it. */
export function parseTryUltrapeers(value: string): PeerAddress[] {
  return parseAddressList(value);
}

/** The value of an `X-Try-Ultrapeers` header. */
export function formatAddressList(addresses: readonly PeerAddress[]): string {
  return addresses.map(formatPeerAddress).join(',');
}
