// Where a peer listens: "ip:port" and "[ipv6]:port" (docs/protocol/11-tls-ipv6-dht-g2-overview.md §2).
import { GnutellaError } from '../errors.ts';
import { ipv4FromText, ipv4ToText } from './ipv4.ts';
import { hostFromIpv6Bytes, ipv6FromText } from './ipv6.ts';

/** A numeric address in canonical text (IPv4, or IPv6 without brackets) and a port, 1…65535. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

/** The longest text taken for an address, in characters. */
const MAX_ADDRESS_CHARS = 64;
const MAX_PORT = 0xffff;

/** Canonical text of a numeric address, brackets allowed; IPv4-mapped gives IPv4. Undefined for names and rubbish. */
export function canonicalHost(text: string): string | undefined {
  if (text.length > MAX_ADDRESS_CHARS) return undefined;
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (!bare.includes(':')) {
    const ip = bare === text ? ipv4FromText(bare) : undefined;
    return ip === undefined ? undefined : ipv4ToText(ip);
  }
  const bytes = ipv6FromText(bare);
  return bytes === undefined ? undefined : hostFromIpv6Bytes(bytes);
}

/**
 * Reads `ip:port` or `[ipv6]:port`, spaces around it allowed.
 * @param defaultPort taken where the text has no port; without it the port is required
 * @returns undefined for names, port 0, and anything else
 */
export function parsePeerAddress(text: string, defaultPort?: number): PeerAddress | undefined {
  const trimmed = text.length <= 2 * MAX_ADDRESS_CHARS ? text.trim() : text;
  if (trimmed.length > MAX_ADDRESS_CHARS) return undefined;
  const match = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(trimmed);
  const host = canonicalHost(match?.[1] ?? '');
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (host === undefined || port === undefined || port < 1 || port > MAX_PORT) return undefined;
  return { host, port };
}

/** `ip:port` or `[ipv6]:port`; also the key of an address in maps. */
export function formatPeerAddress(address: PeerAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** The address of a number and a port. */
export function peerAddressFromIpv4(ip: number, port: number): PeerAddress {
  return { host: ipv4ToText(ip), port };
}

/**
 * Checks what a caller made itself.
 * @throws GnutellaError `bad-address` when host is not numeric or the port not 1…65535
 */
export function peerAddress(host: string, port: number): PeerAddress {
  const canonical = canonicalHost(host);
  if (canonical === undefined || !Number.isInteger(port) || port < 1 || port > MAX_PORT) {
    throw new GnutellaError('bad-address', 'a peer address is a numeric host and a port from 1 to 65535');
  }
  return { host: canonical, port };
}
