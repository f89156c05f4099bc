// "ip:port" as handshakes write it (docs/protocol/01-handshake.md §4, 11-tls-ipv6-dht-g2-overview.md §2).

import { listMembers } from './text.ts';

const MAX_HOST_CHARS = 64;
const IPV6_GROUPS = 8;

/**
 * Reads an IPv4 or IPv6 address, the latter with or without brackets.
 * @returns the address in lower case without brackets, an IPv4-mapped one as IPv4; undefined when it is none
 */
export function parseIp(text: string): string | undefined {
  const trimmed = text.trim().toLowerCase();
  if (trimmed.length > MAX_HOST_CHARS) return undefined;
  const bare = trimmed.startsWith('[') && trimmed.endsWith(']') ? trimmed.slice(1, -1) : trimmed;
  if (!bare.includes(':')) return parseIpv4(bare);
  const mapped = /^::ffff:([\d.]+)$/.exec(bare)?.[1];
  if (mapped !== undefined) return parseIpv4(mapped);
  return isIpv6(bare) ? bare : undefined;
}

/**
 * Reads `ip:port` or `[ipv6]:port`; the port is 1…65535.
 * @returns the same in plain form; undefined when it is neither
 */
export function parseHostPort(text: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[0-9.]+):(\d{1,5})$/i.exec(text.trim().slice(0, MAX_HOST_CHARS));
  if (!match) return undefined;
  const ip = parseIp(match[1] ?? '');
  const port = Number(match[2]);
  if (ip === undefined || port === 0 || port > 0xffff) return undefined;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** The distinct hosts of a comma-separated list, in order, `most` at the most; what is no host is passed over. */
export function parseHostList(value: string | undefined, most: number): string[] {
  const hosts = new Set<string>();
  // A list of nothing but rubbish is not read to its end either.
  for (const member of listMembers(value, 4 * most)) {
    const host = parseHostPort(member);
    if (host !== undefined) hosts.add(host);
    if (hosts.size === most) break;
  }
  return [...hosts];
}

function parseIpv4(text: string): string | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const octets: number[] = [];
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined;
    octets.push(Number(part));
  }
  return octets.join('.');
}

function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    if (half === '') continue;
    const parts = half.split(':');
    for (const [at, part] of parts.entries()) {
      const isLast = index === halves.length - 1 && at === parts.length - 1;
      if (isLast && part.includes('.')) {
        if (parseIpv4(part) === undefined) return false;
        groups += 2;
      } else {
        if (!/^[0-9a-f]{1,4}$/.test(part)) return false;
        groups += 1;
      }
    }
  }
  return halves.length === 2 ? groups < IPV6_GROUPS : groups === IPV6_GROUPS;
}
