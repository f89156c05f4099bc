import {
  findGgepValue,
  GgepId,
  hitAddress,
  hitPushProxies,
  isEvilFileName,
  isUsablePeerAddress,
  judgeServentGuid,
  plausibleVendor,
  vlintDecode,
  type HitRecord,
  type PeerAddress,
  type QueryHit,
} from '@filbert/gnutella';

/** Alternate locations that an honest record has at most, and those of LimeWire's kind. */
const MAX_ALTERNATES = 16;
const MAX_LIMEWIRE_ALTERNATES = 10;
const HOST_BYTES = 6;
const NO_INDEX = 0xffffffff;
/** Creation times that a spammer writes who calls itself LimeWire. */
const EVIL_TIMESTAMPS: ReadonlySet<number> = new Set([0x45185160, 0x45186d80, 0x34ac60de]);

/** Why a hit is not shown; labels of a metric. */
export const HIT_VERDICTS = [
  'good',
  'malformed',
  'own',
  'bad-servent',
  'bad-address',
  'bad-vendor',
  'fake-vendor',
  'bad-index',
  'duplicate-record',
  'too-many-alternates',
  'evil-timestamp',
  'bad-name',
  'not-asked-for',
] as const;
export type HitVerdict = (typeof HIT_VERDICTS)[number];

/** Where the files of a hit can be had. */
export interface HitOrigin {
  readonly address: PeerAddress | undefined;
  readonly pushProxies: readonly PeerAddress[];
  /** Only by PUSH. */
  readonly firewalled: boolean;
  /** Four letters or digits; empty where it tells none. */
  readonly vendor: string;
}

export type JudgedHit =
  { readonly verdict: 'good'; readonly origin: HitOrigin } | { readonly verdict: Exclude<HitVerdict, 'good'> };

export interface HitPolicy {
  readonly allowPrivate: boolean;
}

/**
 * Looks for what tells a spammer's hit from an honest one by its structure alone (docs/protocol/12-quirks-and-abuse.md §3).
 * @param message, messageStart the GUID of the hit: no servent has it as its own
 */
export function judgeHit(hit: QueryHit, message: Uint8Array, messageStart: number, policy: HitPolicy): JudgedHit {
  if (judgeServentGuid(hit.serventGuid, 0, message, messageStart) !== 'usable') return { verdict: 'bad-servent' };
  const vendor = hit.trailer === undefined ? '' : plausibleVendor(hit.trailer);
  if (vendor === undefined) return { verdict: 'bad-vendor' };
  if (vendor === 'GTKG' && findGgepValue(hit.trailer?.ggep ?? [], GgepId.GTKG_VERSION) === undefined) {
    return { verdict: 'fake-vendor' };
  }
  const verdict = judgeRecords(hit.records, vendor);
  if (verdict !== 'good') return { verdict };

  const stated = hitAddress(hit);
  const address = stated !== undefined && isUsablePeerAddress(stated, policy) ? stated : undefined;
  const firewalled = hit.trailer?.needsPush === true;
  if (address === undefined && !firewalled) return { verdict: 'bad-address' };
  const pushProxies = hitPushProxies(hit).filter((proxy) => isUsablePeerAddress(proxy, policy));
  return { verdict: 'good', origin: { address, pushProxies, firewalled, vendor } };
}

function judgeRecords(records: readonly HitRecord[], vendor: string): HitVerdict {
  const indices = new Set<number>();
  const hashes = new Set<string>();
  for (const record of records) {
    const hash = record.sha1 === undefined ? undefined : Buffer.from(record.sha1).toString('latin1');
    if (record.index === NO_INDEX || (record.index === 0 && vendor === 'GTKG')) return 'bad-index';
    if ((record.index !== 0 && indices.has(record.index)) || (hash !== undefined && hashes.has(hash))) {
      return 'duplicate-record';
    }
    indices.add(record.index);
    if (hash !== undefined) hashes.add(hash);
    const alternates = (findGgepValue(record.ggep, GgepId.ALT)?.length ?? 0) / HOST_BYTES;
    const isLimeWire = vendor === 'LIME';
    if (alternates > (isLimeWire ? MAX_LIMEWIRE_ALTERNATES : MAX_ALTERNATES)) return 'too-many-alternates';
    if (isLimeWire && isEvilTimestamp(findGgepValue(record.ggep, GgepId.CREATION_TIME))) return 'evil-timestamp';
    if (isEvilFileName(urlDecoded(record.name)) || isEvilFileName(record.name)) return 'bad-name';
    if (isLimeWire && !record.nameIsUtf8) return 'bad-name';
  }
  return 'good';
}

function isEvilTimestamp(value: Uint8Array | undefined): boolean {
  const time = value === undefined ? undefined : vlintDecode(value);
  return time !== undefined && EVIL_TIMESTAMPS.has(time);
}

function urlDecoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
