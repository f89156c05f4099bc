import {
  encodeHitRecord,
  encodeQueryHit,
  GgepId,
  ipv4FromText,
  ipv6FromText,
  MAX_RECORDS_PER_HIT,
  NO_IPV4,
  vlintEncode,
  type GgepPart,
  type HitRecordFields,
} from '@filbert/gnutella';
import type { SharedFile } from '../catalogue/shared-file.ts';
import type { HitSource } from './node-address.ts';

/** A hit is sent off before its records take more than this (docs/protocol/02-messages.md §10). */
export const MAX_HIT_RECORD_BYTES = 2_016;
/** Links that a hit of ours may cross beyond those of its query, and in all (02 §3). */
const SPARE_HOPS = 5;
const MAX_HIT_TTL = 15;
/** Our vendor code. */
const VENDOR = 'FLBT';
/** kbit/s. What a transfer gets depends on the moment; nobody sorts by this any more. */
const STATED_SPEED = 1_000;

/** TTL of a hit that answers a query which came over so many links. */
export function hitTtl(queryHops: number): number {
  return Math.min(queryHops + SPARE_HOPS, MAX_HIT_TTL);
}

export interface HitEnvelope {
  /** GUID of the query, 16 bytes. */
  readonly guid: Uint8Array;
  readonly ttl: number;
}

/**
 * QUERY HIT frames for these files: at most 10 records and about 2 KiB each, no hash twice in one (12 §3 takes that for
 * spam), with HUGE URN, CT, LF where needed, and BH in the trailer.
 */
export function* hitFrames(
  files: Iterable<SharedFile>,
  source: HitSource,
  envelope: HitEnvelope,
): Generator<Uint8Array> {
  let records: HitRecordFields[] = [];
  let bytes = 0;
  const hashes = new Set<string>();
  for (const file of files) {
    const record = hitRecord(file);
    const recordBytes = encodeHitRecord(record).length;
    const hash = Buffer.from(file.sha1).toString('latin1');
    const isFull = records.length >= MAX_RECORDS_PER_HIT || bytes + recordBytes > MAX_HIT_RECORD_BYTES;
    if (records.length > 0 && (isFull || hashes.has(hash))) {
      yield hitFrame(records, source, envelope);
      records = [];
      bytes = 0;
      hashes.clear();
    }
    records.push(record);
    bytes += recordBytes;
    hashes.add(hash);
  }
  if (records.length > 0) yield hitFrame(records, source, envelope);
}

function hitRecord(file: SharedFile): HitRecordFields {
  return {
    index: file.index,
    sizeBytes: file.sizeBytes,
    name: file.name,
    sha1: file.sha1,
    ggep: [{ id: GgepId.CREATION_TIME, value: vlintEncode(Math.floor(file.addedMs / 1000)) }],
  };
}

function hitFrame(records: readonly HitRecordFields[], source: HitSource, envelope: HitEnvelope): Uint8Array {
  // Without an address of ours the hit stands for PUSH alone (02 §10).
  const { host, port } = source.address ?? { host: '', port: 0 };
  const ipv6 = host.includes(':') ? ipv6FromText(host) : undefined;
  const ggep: GgepPart[] = [{ id: GgepId.BROWSE_HOST, value: new Uint8Array(0) }];
  if (ipv6 !== undefined) ggep.push({ id: GgepId.IPV6, value: ipv6 });
  return encodeQueryHit(envelope, {
    port,
    ip: ipv4FromText(host) ?? NO_IPV4,
    speed: STATED_SPEED,
    records,
    trailer: {
      vendor: VENDOR,
      needsPush: source.isFirewalled,
      isBusy: source.isBusy,
      hasUploaded: source.hasUploaded,
      ggep,
    },
    serventGuid: source.serventGuid,
  });
}
