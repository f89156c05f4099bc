// IPv6 addresses as text and as 16 bytes (docs/protocol/11-tls-ipv6-dht-g2-overview.md §2).
import { readU16BE, writeU16BE, writeU32BE } from '../encoding/integers.ts';
import { ipv4At, ipv4FromText, ipv4ToText } from './ipv4.ts';

export const IPV6_BYTES = 16;
const GROUPS = 8;
const MAX_IPV6_CHARS = 45;

/** The 16 bytes of an IPv6 address without brackets or zone; undefined for any other text. */
export function ipv6FromText(text: string): Uint8Array | undefined {
  if (text.length > MAX_IPV6_CHARS || !text.includes(':')) return undefined;
  const halves = text.split('::', 3);
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = GROUPS - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const bytes = new Uint8Array(IPV6_BYTES);
  head.forEach((group, i) => writeU16BE(bytes, 2 * i, group));
  tail.forEach((group, i) => writeU16BE(bytes, 2 * (GROUPS - tail.length + i), group));
  return bytes;
}

/** The canonical text of the 16 bytes at `start`: lower case, longest run of zero groups shortened. */
export function ipv6ToText(bytes: Uint8Array, start = 0): string {
  const groups: number[] = [];
  for (let i = 0; i < GROUPS; i += 1) groups.push(readU16BE(bytes, start + 2 * i));
  const run = longestZeroRun(groups);
  if (run.length < 2) return groups.map(hexGroup).join(':');
  const head = groups.slice(0, run.at).map(hexGroup).join(':');
  const tail = groups
    .slice(run.at + run.length)
    .map(hexGroup)
    .join(':');
  return `${head}::${tail}`;
}

/** The text of the address in the 16 bytes at `start`; an IPv4-mapped one is written as IPv4 (11 §2). */
export function hostFromIpv6Bytes(bytes: Uint8Array, start = 0): string {
  return isIpv4Mapped(bytes, start) ? ipv4ToText(ipv4At(bytes, start + 12)) : ipv6ToText(bytes, start);
}

/** The 16 bytes ::ffff:a.b.c.d. */
export function ipv4Mapped(ip: number): Uint8Array {
  const bytes = new Uint8Array(IPV6_BYTES);
  bytes[10] = 0xff;
  bytes[11] = 0xff;
  writeU32BE(bytes, 12, ip);
  return bytes;
}

/** True for ::ffff:0:0/96. */
export function isIpv4Mapped(bytes: Uint8Array, start = 0): boolean {
  for (let i = 0; i < 10; i += 1) if (bytes[start + i] !== 0) return false;
  return bytes[start + 10] === 0xff && bytes[start + 11] === 0xff;
}

function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':', GROUPS + 1);
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes('.')) {
      const ip = ipv4FromText(part);
      if (ip === undefined) return undefined;
      groups.push(ip >>> 16, ip & 0xffff);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups.length > GROUPS ? undefined : groups;
}

function longestZeroRun(groups: readonly number[]): { at: number; length: number } {
  let best = { at: 0, length: 0 };
  let length = 0;
  groups.forEach((group, i) => {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { at: i - length + 1, length };
  });
  return best;
}

function hexGroup(group: number): string {
  return group.toString(16);
}
