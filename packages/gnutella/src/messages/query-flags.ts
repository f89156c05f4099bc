// The flags of a QUERY, big-endian, once its "minimum speed" (docs/protocol/02-messages.md §9).
import { readU16BE, writeU16BE } from '../encoding/integers.ts';

/** The bits; they mean something where IS_FLAGS is set. */
export const QueryFlag = {
  IS_FLAGS: 0x8000,
  FIREWALLED: 0x4000,
  WANTS_XML: 0x2000,
  LEAF_GUIDED: 0x1000,
  GGEP_HASH: 0x0800,
  OUT_OF_BAND: 0x0400,
  FIREWALL_TRANSFER: 0x0200,
  RELIABLE_UDP: 0x0100,
  MAX_HITS_MASK: 0x00ff,
} as const;

/** What a field in the wrong byte order has at least (an old Shareaza bug). */
const SWAPPED_EVIDENCE = 0x9800;

/**
 * The flags of the QUERY payload at `start` as they are meant: 0 for an ancient query, which is dropped; a field in the
 * wrong byte order put right; any other speed without the flags bit as no flags at all.
 */
export function readQueryFlags(bytes: Uint8Array, start: number): number {
  const raw = readU16BE(bytes, start);
  if (raw === 0 || (raw & QueryFlag.IS_FLAGS) !== 0) return raw;
  const swapped = ((raw & 0xff) << 8) | (raw >>> 8);
  return (swapped & SWAPPED_EVIDENCE) === SWAPPED_EVIDENCE ? swapped : QueryFlag.IS_FLAGS;
}

/** Sets and clears bits of the QUERY payload at `start` in place, as for the out-of-band bit of 06 §6. */
export function patchQueryFlags(bytes: Uint8Array, start: number, set: number, clear: number): void {
  writeU16BE(bytes, start, (readQueryFlags(bytes, start) | set) & ~clear & 0xffff);
}
