// Reading a QUERY HIT, 0x81, in full (docs/protocol/02-messages.md §10). Relaying needs query-hit-summary.ts only.
import type { PeerAddress } from '../address/peer-address.ts';
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU32LE } from '../encoding/integers.ts';
import { indexOfNul, lenientUtf8, strictUtf8 } from '../encoding/text.ts';
import { vlintDecode } from '../encoding/vlint.ts';
import { decodePackedHosts } from '../ggep/host-vectors.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgepValue } from '../ggep/parse.ts';
import type { GgepEntry } from '../ggep/parse.ts';
import { guidAt } from '../guid/guid.ts';
import type { Guid } from '../guid/guid.ts';
import { areaGgep, splitExtensions } from '../urn/extension-area.ts';
import type { ExtensionArea } from '../urn/extension-area.ts';
import { areaHashes } from '../urn/extension-hashes.ts';
import type { Sha1, Tth } from '../urn/file-urn.ts';
import { statedAddress } from './pong.ts';
import {
  HIT_RECORDS_OFFSET,
  HIT_RECORD_FIXED_BYTES,
  newQueryHitSummary,
  summarizeQueryHit,
} from './query-hit-summary.ts';
import type { QueryHitRefusal } from './query-hit-summary.ts';
import { readHitTrailer } from './query-hit-trailer.ts';
import type { QueryHitTrailer } from './query-hit-trailer.ts';

/** Push proxies taken from one hit. */
export const MAX_PUSH_PROXIES = 10;

const REAL_SIZE_IN_LF = 0xffffffff;

/** One file of a hit. Area and entries are views of the decoded bytes. */
export interface HitRecord {
  readonly index: number;
  /** Bytes; GGEP LF where the field says so. */
  readonly sizeBytes: number;
  readonly name: string;
  /** False: {@link name} has replacement characters. */
  readonly nameIsUtf8: boolean;
  readonly sha1: Sha1 | undefined;
  readonly tth: Tth | undefined;
  readonly area: ExtensionArea;
  readonly ggep: readonly GgepEntry[];
  /** The record as it came, both NULs included. */
  readonly raw: Uint8Array;
}

/** A QUERY HIT's payload. */
export interface QueryHit {
  readonly port: number;
  /** Unsigned 32 bits; NO_IPV4 when the servent has IPv6 only. */
  readonly ip: number;
  /** kbit/s */
  readonly speed: number;
  readonly records: readonly HitRecord[];
  readonly trailer: QueryHitTrailer | undefined;
  readonly serventGuid: Guid;
}

/** Decodes the payload `bytes[start, end)`; a hit with one broken record is refused whole. */
export function decodeQueryHit(bytes: Uint8Array, start: number, end: number): Decoded<QueryHit, QueryHitRefusal> {
  const summary = newQueryHitSummary();
  const verdict = summarizeQueryHit(bytes, start, end, summary);
  if (verdict !== 'ok') return refused(verdict);
  const records: HitRecord[] = [];
  let at = start + HIT_RECORDS_OFFSET;
  for (let i = 0; i < summary.recordCount; i += 1) {
    const nameStart = at + HIT_RECORD_FIXED_BYTES;
    const nameEnd = indexOfNul(bytes, nameStart, summary.trailerStart);
    const areaEnd = indexOfNul(bytes, nameEnd + 1, summary.trailerStart);
    const record = readRecord(bytes, at, nameEnd, areaEnd);
    // Index 0 is no index: such a file can only be asked for by its hash.
    if (record.index === 0 && record.sha1 === undefined) return refused('index-zero');
    records.push(record);
    at = areaEnd + 1;
  }
  return accepted({
    port: summary.port,
    ip: summary.ip,
    speed: readU32LE(bytes, start + 7),
    records,
    trailer: readHitTrailer(bytes, summary.trailerStart, summary.serventGuidStart),
    serventGuid: guidAt(bytes, summary.serventGuidStart),
  });
}

/** Where the servent listens: IPv4, else the IPv6 address of GGEP 6; undefined for port 0 or neither. */
export function hitAddress(hit: QueryHit): PeerAddress | undefined {
  return statedAddress(hit.ip, hit.port, hit.trailer?.ggep ?? []);
}

/** The push proxies of GGEP PUSH, {@link MAX_PUSH_PROXIES} at most; none for a list that is broken. */
export function hitPushProxies(hit: QueryHit): readonly PeerAddress[] {
  const value = findGgepValue(hit.trailer?.ggep ?? [], GgepId.PUSH);
  const hosts = value === undefined ? undefined : decodePackedHosts(value);
  return (hosts ?? []).slice(0, MAX_PUSH_PROXIES);
}

/** Text of a vendor code, upper case, or undefined when it is not 4 letters or digits (12 §3). */
export function plausibleVendor(trailer: QueryHitTrailer): string | undefined {
  const vendor = trailer.vendor.toUpperCase();
  return /^[A-Z0-9]{4}$/.test(vendor) ? vendor : undefined;
}

function readRecord(bytes: Uint8Array, start: number, nameEnd: number, areaEnd: number): HitRecord {
  const nameStart = start + HIT_RECORD_FIXED_BYTES;
  const strictName = strictUtf8(bytes, nameStart, nameEnd);
  const area = splitExtensions(bytes, nameEnd + 1, areaEnd);
  const ggep = areaGgep(area);
  const hashes = areaHashes(area);
  return {
    index: readU32LE(bytes, start),
    sizeBytes: readSize(readU32LE(bytes, start + 4), ggep),
    name: strictName ?? lenientUtf8(bytes, nameStart, nameEnd),
    nameIsUtf8: strictName !== undefined,
    // A malformed hash makes the others of its record untrustworthy too.
    sha1: hashes.malformed ? undefined : hashes.sha1s[0],
    tth: hashes.malformed ? undefined : hashes.tth,
    area,
    ggep,
    raw: bytes.subarray(start, areaEnd + 1),
  };
}

function readSize(field: number, ggep: readonly GgepEntry[]): number {
  const value = findGgepValue(ggep, GgepId.LARGE_FILE);
  // LF forbids 0 and a trailing zero byte (03 §4).
  const isMinimal = value !== undefined && value.length > 0 && value.at(-1) !== 0;
  const size = isMinimal ? vlintDecode(value) : undefined;
  return size !== undefined && (field === REAL_SIZE_IN_LF || size > field) ? size : field;
}
