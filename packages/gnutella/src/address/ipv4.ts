// IPv4 addresses as text, as 4 bytes and as unsigned 32-bit numbers.
import { readU32BE } from '../encoding/integers.ts';

/** What stands in the IPv4 field of a message whose sender has IPv6 only (docs/protocol/02-messages.md §6). */
export const NO_IPV4 = 0x7f000000;

/** The number of a dotted quad without leading zeros; undefined for any other text. */
export function ipv4FromText(text: string): number | undefined {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(part)) return undefined;
    const octet = Number(part);
    if (octet > 255) return undefined;
    value = value * 256 + octet;
  }
  return value;
}

/** The dotted quad of an unsigned 32-bit number. */
export function ipv4ToText(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** The number of the 4 big-endian bytes at `start`. */
export function ipv4At(bytes: Uint8Array, start: number): number {
  return readU32BE(bytes, start);
}
