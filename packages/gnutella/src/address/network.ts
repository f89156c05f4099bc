// Which addresses probably belong together (docs/protocol/12-quirks-and-abuse.md §2 and §4).
import { ipv6FromText } from './ipv6.ts';

const IPV6_NETWORK_BYTES = 8;

/** A key for the /24 of an IPv4 address, or the /64 of an IPv6 one, given as numeric text in any form. */
export function networkOf(ip: string): string {
  const ipv6 = ip.includes(':') ? ipv6FromText(ip) : undefined;
  if (ipv6 !== undefined) return Buffer.from(ipv6).toString('hex', 0, IPV6_NETWORK_BYTES);
  return ip.slice(0, ip.lastIndexOf('.'));
}

/** What to count an address under where each has a limit: of IPv6 the /64, since whoever has one address has all of it. */
export function limitKey(ip: string): string {
  return ip.includes(':') ? networkOf(ip) : ip;
}
