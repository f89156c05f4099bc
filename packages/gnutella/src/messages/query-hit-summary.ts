// The little that relaying a QUERY HIT needs to know (docs/protocol/02-messages.md §10), read without an allocation:
// this runs for every hit that passes.
import { readU16LE, readU32BE, readU32LE } from '../encoding/integers.ts';
import { GUID_BYTES } from '../header.ts';

/** Offset of the first record in the payload. */
export const HIT_RECORDS_OFFSET = 11;
/** Index and size in front of a record's name. */
export const HIT_RECORD_FIXED_BYTES = 8;
/** Count, port, address, speed and servent GUID. */
export const MIN_QUERY_HIT_BYTES = HIT_RECORDS_OFFSET + GUID_BYTES;
/** Vendor code and open-data length. */
export const HIT_TRAILER_FIXED_BYTES = 5;

const PUSH_BIT = 0x01;
const BUSY_BIT = 0x04;

/** Made once with {@link newQueryHitSummary} and filled again for each hit. */
export interface QueryHitSummary {
  recordCount: number;
  port: number;
  /** Unsigned 32 bits. */
  ip: number;
  /** Offset of the trailer; equal to serventGuidStart when there is none. */
  trailerStart: number;
  /** Offset of the 16 bytes of the servent GUID. */
  serventGuidStart: number;
  /** The trailer says that the servent is firewalled. */
  needsPush: boolean;
  /** The trailer says that all upload slots are taken. */
  isBusy: boolean;
}

/** Why a hit is refused as a whole. */
export type QueryHitRefusal = 'short' | 'no-records' | 'record-out-of-bounds' | 'index-zero' | 'bad-trailer';

/** A summary to fill. */
export function newQueryHitSummary(): QueryHitSummary {
  return {
    recordCount: 0,
    port: 0,
    ip: 0,
    trailerStart: 0,
    serventGuidStart: 0,
    needsPush: false,
    isBusy: false,
  };
}

/**
 * Validates the structure of the hit in the payload `bytes[start, end)` and fills `summary`. Extensions are not looked
 * into: only {@link decodeQueryHit} knows whether a file of index 0 has a hash; here an empty area settles it.
 * @returns 'ok', or why the hit is to be dropped; then the summary means nothing
 */
export function summarizeQueryHit(
  bytes: Uint8Array,
  start: number,
  end: number,
  summary: QueryHitSummary,
): 'ok' | QueryHitRefusal {
  if (end - start < MIN_QUERY_HIT_BYTES || end > bytes.length) return 'short';
  const recordCount = bytes[start] as number;
  if (recordCount === 0) return 'no-records';
  const guidStart = end - GUID_BYTES;
  let at = start + HIT_RECORDS_OFFSET;
  for (let i = 0; i < recordCount; i += 1) {
    const recordStart = at;
    at += HIT_RECORD_FIXED_BYTES;
    while (at < guidStart && bytes[at] !== 0) at += 1;
    if (at >= guidStart) return 'record-out-of-bounds';
    const areaStart = at + 1;
    at = areaStart;
    while (at < guidStart && bytes[at] !== 0) at += 1;
    if (at >= guidStart) return 'record-out-of-bounds';
    if (at === areaStart && readU32LE(bytes, recordStart) === 0) return 'index-zero';
    at += 1;
  }
  const trailerBytes = guidStart - at;
  let needsPush = false;
  let isBusy = false;
  if (trailerBytes > 0) {
    if (trailerBytes < HIT_TRAILER_FIXED_BYTES) return 'bad-trailer';
    const openBytes = bytes[at + 4] as number;
    if (HIT_TRAILER_FIXED_BYTES + openBytes > trailerBytes) return 'bad-trailer';
    if (openBytes >= 2) {
      const a = bytes[at + 5] as number;
      const b = bytes[at + 6] as number;
      // For PUSH the second byte says "meaningful" and the first the value; for the others it is the other way round,
      // and either way a set feature has its bit in both.
      needsPush = (a & b & PUSH_BIT) !== 0;
      isBusy = (a & b & BUSY_BIT) !== 0;
    }
  }
  summary.recordCount = recordCount;
  summary.port = readU16LE(bytes, start + 1);
  summary.ip = readU32BE(bytes, start + 3);
  summary.trailerStart = at;
  summary.serventGuidStart = guidStart;
  summary.needsPush = needsPush;
  summary.isBusy = isBusy;
  return 'ok';
}
