// Packed lists of hosts and their TLS bitmaps (docs/protocol/03-ggep-huge.md §4, 04-ping-pong-uhc.md §7).
import { hostFromIpv6Bytes, IPV6_BYTES, ipv4Mapped, ipv6FromText } from '../address/ipv6.ts';
import { ipv4At, ipv4FromText, ipv4ToText } from '../address/ipv4.ts';
import type { PeerAddress } from '../address/peer-address.ts';
import { readU16LE, writeU16LE, writeU32BE } from '../encoding/integers.ts';
import { GnutellaError } from '../errors.ts';

/** Hosts read from one list; a longer one is read so far. */
export const MAX_PACKED_HOSTS = 50;

const IPV4_ENTRY_BYTES = 6;
const IPV6_ENTRY_BYTES = 18;

/**
 * The hosts of an IPP, ALT, A or PUSH value: 4 bytes IPv4 and a little-endian port each.
 * @returns undefined for a length that is no multiple of 6, or when an entry has port 0 or the zero address: such a
 *   list is not trusted at all. Otherwise {@link MAX_PACKED_HOSTS} hosts at most, not yet judged one by one.
 */
export function decodePackedHosts(value: Uint8Array): PeerAddress[] | undefined {
  if (value.length % IPV4_ENTRY_BYTES !== 0) return undefined;
  const hosts: PeerAddress[] = [];
  for (let at = 0; at < value.length && hosts.length < MAX_PACKED_HOSTS; at += IPV4_ENTRY_BYTES) {
    const ip = ipv4At(value, at);
    const port = readU16LE(value, at + 4);
    if (ip === 0 || port === 0) return undefined;
    hosts.push({ host: ipv4ToText(ip), port });
  }
  return hosts;
}

/** The hosts of an IPP6, ALT6, A6 or PUSH6 value: 16 bytes and a port each; as {@link decodePackedHosts}. */
export function decodePackedHosts6(value: Uint8Array): PeerAddress[] | undefined {
  if (value.length % IPV6_ENTRY_BYTES !== 0) return undefined;
  const hosts: PeerAddress[] = [];
  for (let at = 0; at < value.length && hosts.length < MAX_PACKED_HOSTS; at += IPV6_ENTRY_BYTES) {
    const host = hostFromIpv6Bytes(value, at);
    const port = readU16LE(value, at + IPV6_BYTES);
    if (host === '::' || port === 0) return undefined;
    hosts.push({ host, port });
  }
  return hosts;
}

/**
 * IPv4 hosts as a packed list.
 * @throws GnutellaError `bad-address` when one is not IPv4
 */
export function encodePackedHosts(hosts: readonly PeerAddress[]): Uint8Array {
  const value = new Uint8Array(hosts.length * IPV4_ENTRY_BYTES);
  hosts.forEach(({ host, port }, i) => {
    const ip = ipv4FromText(host);
    if (ip === undefined) throw new GnutellaError('bad-address', 'not an IPv4 address');
    writeU32BE(value, i * IPV4_ENTRY_BYTES, ip);
    writeU16LE(value, i * IPV4_ENTRY_BYTES + 4, port);
  });
  return value;
}

/**
 * Hosts as a packed list of IPv6 addresses; IPv4 is written IPv4-mapped.
 * @throws GnutellaError `bad-address` when one is no address
 */
export function encodePackedHosts6(hosts: readonly PeerAddress[]): Uint8Array {
  const value = new Uint8Array(hosts.length * IPV6_ENTRY_BYTES);
  hosts.forEach(({ host, port }, i) => {
    const ip = ipv4FromText(host);
    const bytes = ip === undefined ? ipv6FromText(host) : ipv4Mapped(ip);
    if (bytes === undefined) throw new GnutellaError('bad-address', 'not an IPv6 address');
    value.set(bytes, i * IPV6_ENTRY_BYTES);
    writeU16LE(value, i * IPV6_ENTRY_BYTES + IPV6_BYTES, port);
  });
  return value;
}

/** Whether the bitmap says that host `index` takes TLS: bit 7 of byte 0 is host 0; bits that are not there are 0. */
export function tlsBit(bitmap: Uint8Array, index: number): boolean {
  return ((bitmap[index >>> 3] ?? 0) & (0x80 >>> (index & 7))) !== 0;
}

/** The bitmap of a list of hosts, trailing zero bytes left out. */
export function encodeTlsBitmap(takesTls: readonly boolean[]): Uint8Array {
  const lastSet = takesTls.lastIndexOf(true);
  const bitmap = new Uint8Array(lastSet < 0 ? 0 : (lastSet >>> 3) + 1);
  takesTls.forEach((takes, i) => {
    if (takes) bitmap[i >>> 3] = (bitmap[i >>> 3] as number) | (0x80 >>> (i & 7));
  });
  return bitmap;
}
