// Which addresses may be a peer's (docs/protocol/12-quirks-and-abuse.md §1, 09-bootstrap.md §8).
import { ipv4At, ipv4FromText, NO_IPV4 } from './ipv4.ts';
import { ipv6FromText, isIpv4Mapped } from './ipv6.ts';
import type { PeerAddress } from './peer-address.ts';

/** `bogon` is nobody's, in any network; `private` and `loopback` are somebody's in a closed one. */
export type AddressClass = 'public' | 'private' | 'loopback' | 'bogon';

/** What a closed network, such as a test, allows. */
export interface AddressPolicy {
  /** Takes private and loopback addresses as peers. */
  readonly allowPrivate?: boolean;
}

const IPV4_CLASSES: readonly (readonly [base: number, bits: number, kind: AddressClass])[] = [
  [0x00000000, 8, 'bogon'],
  [0x0a000000, 8, 'private'],
  [0x64400000, 10, 'private'],
  [0x7f000000, 8, 'loopback'],
  [0xa9fe0000, 16, 'private'],
  [0xac100000, 12, 'private'],
  [0xc0000000, 24, 'bogon'],
  [0xc0000200, 24, 'bogon'],
  [0xc0a80000, 16, 'private'],
  [0xc6120000, 15, 'bogon'],
  [0xc6336400, 24, 'bogon'],
  [0xcb007100, 24, 'bogon'],
  [0xe0000000, 4, 'bogon'],
  [0xf0000000, 4, 'bogon'],
];

/** Ports of well-known services that a poisoned list would turn us against (09 §8). */
const FOREIGN_SERVICE_PORTS: ReadonlySet<number> = new Set([
  0, 7, 9, 19, 21, 22, 23, 25, 53, 110, 119, 143, 194, 389, 465, 587, 993, 995, 3306, 6667,
]);

/** Classifies an IPv4 address given as unsigned 32-bit number. 127.0.0.0 means "no IPv4" and is nobody's. */
export function classifyIpv4(ip: number): AddressClass {
  if (ip === NO_IPV4) return 'bogon';
  for (const range of IPV4_CLASSES) {
    if ((ip ^ range[0]) >>> (32 - range[1]) === 0) return range[2];
  }
  return 'public';
}

/** Classifies the IPv6 address in the 16 bytes at `start`; an IPv4-mapped one by its IPv4 address. */
export function classifyIpv6(bytes: Uint8Array, start = 0): AddressClass {
  if (isIpv4Mapped(bytes, start)) return classifyIpv4(ipv4At(bytes, start + 12));
  if (isZero(bytes, start, start + 12)) return classifyLowIpv6(ipv4At(bytes, start + 12));
  const first = bytes[start] as number;
  const second = bytes[start + 1] as number;
  if (first === 0xff) return 'bogon';
  if (first === 0xfe && (second & 0xc0) === 0x80) return 'private';
  if ((first & 0xfe) === 0xfc) return 'private';
  if (first === 0x20 && second === 0x02) {
    return classifyIpv4(ipv4At(bytes, start + 2)) === 'public' ? 'public' : 'bogon';
  }
  const prefix = ipv4At(bytes, start);
  const isTeredo = prefix === 0x20010000;
  const isDocumentation = prefix === 0x20010db8;
  return isTeredo || isDocumentation ? 'bogon' : 'public';
}

/** Classifies a numeric address in text; what is no address is nobody's. */
export function classifyHost(host: string): AddressClass {
  const bytes = host.includes(':') ? ipv6FromText(host) : undefined;
  if (bytes !== undefined) return classifyIpv6(bytes);
  const ip = ipv4FromText(host);
  return ip === undefined ? 'bogon' : classifyIpv4(ip);
}

/** {@link isUsablePeerAddress} for an IPv4 address as a number; allocates nothing. */
export function isUsableIpv4(ip: number, port: number, policy: AddressPolicy = {}): boolean {
  return isUsablePort(port) && isAllowed(classifyIpv4(ip), policy);
}

/**
 * Whether an address that a peer named may be dialled, cached, handed on or answered: neither private nor bogon, and
 * not a port of a well-known other service.
 */
export function isUsablePeerAddress(address: PeerAddress, policy: AddressPolicy = {}): boolean {
  return isUsablePort(address.port) && isAllowed(classifyHost(address.host), policy);
}

function isAllowed(kind: AddressClass, policy: AddressPolicy): boolean {
  if (kind === 'public') return true;
  return policy.allowPrivate === true && kind !== 'bogon';
}

function isUsablePort(port: number): boolean {
  return port > 0 && port <= 0xffff && !FOREIGN_SERVICE_PORTS.has(port);
}

/** ::1, :: and the IPv4-compatible addresses, which nobody uses. */
function classifyLowIpv6(low: number): AddressClass {
  return low === 1 ? 'loopback' : 'bogon';
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) if (bytes[i] !== 0) return false;
  return true;
}
