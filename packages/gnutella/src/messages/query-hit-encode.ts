// Writing a QUERY HIT, 0x81 (docs/protocol/02-messages.md §10).
import { writeU16LE, writeU32BE, writeU32LE } from '../encoding/integers.ts';
import { concatBytes, latin1Bytes, utf8Bytes } from '../encoding/text.ts';
import { vlintEncode } from '../encoding/vlint.ts';
import { GnutellaError } from '../errors.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepPart } from '../ggep/encode.ts';
import { GgepId } from '../ggep/ids.ts';
import { Descriptor, GUID_BYTES } from '../header.ts';
import { formatSha1Urn } from '../urn/file-urn.ts';
import type { Sha1 } from '../urn/file-urn.ts';
import { encodeFrame } from './frame.ts';
import type { Envelope } from './frame.ts';
import { HIT_RECORDS_OFFSET } from './query-hit-summary.ts';
import { encodeHitTrailer } from './query-hit-trailer.ts';
import type { HitTrailerFields } from './query-hit-trailer.ts';

/** Records in a hit of ours; both large vendors build no more. */
export const MAX_RECORDS_PER_HIT = 10;

const MAX_RECORD_COUNT = 255;
const LARGE_FILE_BYTES = 2 ** 31;
const REAL_SIZE_IN_LF = 0xffffffff;
const NUL = Uint8Array.of(0);
const FS = Uint8Array.of(0x1c);

/** A file to list. */
export interface HitRecordFields {
  readonly index: number;
  readonly sizeBytes: number;
  readonly name: string;
  /** Written as HUGE string. */
  readonly sha1?: Sha1;
  /** CT, ALT, TT, … LF is added for files of 2 GiB and more unless it is among them. */
  readonly ggep?: readonly GgepPart[];
}

/** What a QUERY HIT of ours says. */
export interface QueryHitFields {
  readonly port: number;
  /** Unsigned 32 bits. */
  readonly ip: number;
  /** kbit/s */
  readonly speed: number;
  /** 1…255; {@link MAX_RECORDS_PER_HIT} is what others send. */
  readonly records: readonly HitRecordFields[];
  readonly trailer?: HitTrailerFields;
  /** 16 bytes */
  readonly serventGuid: Uint8Array;
}

/**
 * A QUERY HIT frame. Its GUID is that of the QUERY it answers.
 * @throws GnutellaError `bad-payload` for no records, more than 255, a NUL in a name or a size that is no whole number;
 *   `bad-guid` for a servent GUID of another length than 16; `too-large` over 65,535 bytes
 */
export function encodeQueryHit(envelope: Envelope, hit: QueryHitFields): Uint8Array {
  if (hit.records.length === 0 || hit.records.length > MAX_RECORD_COUNT) {
    throw new GnutellaError('bad-payload', 'a hit has 1 to 255 records');
  }
  if (hit.serventGuid.length !== GUID_BYTES) throw new GnutellaError('bad-guid', 'a servent GUID has 16 bytes');
  const fixed = new Uint8Array(HIT_RECORDS_OFFSET);
  fixed[0] = hit.records.length;
  writeU16LE(fixed, 1, hit.port);
  writeU32BE(fixed, 3, hit.ip);
  writeU32LE(fixed, 7, hit.speed);
  const trailer = hit.trailer === undefined ? new Uint8Array(0) : encodeHitTrailer(hit.trailer);
  const payload = concatBytes([fixed, ...hit.records.map(encodeHitRecord), trailer, hit.serventGuid]);
  return encodeFrame(envelope, Descriptor.QUERY_HIT, payload);
}

/** The bytes of one record, both NULs included: what a hit grows by. Errors as for {@link encodeQueryHit}. */
export function encodeHitRecord(record: HitRecordFields): Uint8Array {
  const { sizeBytes } = record;
  if (record.name.includes('\0')) throw new GnutellaError('bad-payload', 'a file name has no NUL');
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new GnutellaError('bad-payload', 'a bad file size');
  const isLarge = sizeBytes >= LARGE_FILE_BYTES;
  const fixed = new Uint8Array(8);
  writeU32LE(fixed, 0, record.index);
  writeU32LE(fixed, 4, isLarge ? REAL_SIZE_IN_LF : sizeBytes);
  const stated = record.ggep ?? [];
  const hasSize = stated.some((part) => part.id === GgepId.LARGE_FILE);
  const parts = isLarge && !hasSize ? [...stated, { id: GgepId.LARGE_FILE, value: vlintEncode(sizeBytes) }] : stated;
  // A NUL would end the record: everything binary is COBS-encoded.
  const block = encodeGgep(parts, { nulFree: true });
  const urn = record.sha1 === undefined ? undefined : latin1Bytes(formatSha1Urn(record.sha1));
  const area = urn === undefined ? [block] : block.length === 0 ? [urn] : [urn, FS, block];
  return concatBytes([fixed, utf8Bytes(record.name), NUL, ...area, NUL]);
}
