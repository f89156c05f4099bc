// HEAD ping and pong, LIME/23 and LIME/24 (docs/protocol/07-vendor-messages.md §3).
import type { PeerAddress } from '../address/peer-address.ts';
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16BE, readU32BE, writeU16BE, writeU32BE } from '../encoding/integers.ts';
import { concatBytes, latin1, latin1Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepField } from '../ggep/encode.ts';
import { decodePackedHosts, decodePackedHosts6, encodePackedHosts, encodePackedHosts6 } from '../ggep/host-vectors.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgepValue, GGEP_MAGIC, parseGgepTail } from '../ggep/parse.ts';
import type { GgepEntry } from '../ggep/parse.ts';
import { asGuid, guidAt } from '../guid/guid.ts';
import type { Guid } from '../guid/guid.ts';
import { GUID_BYTES } from '../header.ts';
import { formatSha1Urn, parseSha1Urn } from '../urn/file-urn.ts';
import type { Sha1 } from '../urn/file-urn.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

/** Bits of a HEAD ping's flags. */
export const HeadFlag = {
  RANGES: 0x01,
  ALTERNATES: 0x02,
  PUSH_ALTERNATES: 0x04,
  FIREWALL_TRANSFER_ALTERNATES: 0x08,
  GGEP: 0x10,
} as const;

/** The queue value that means "busy". */
export const HEAD_QUEUE_BUSY = 0x7f;
/** Alternate locations and ranges kept of one HEAD pong. */
export const MAX_HEAD_RANGES = 64;

const FLAGS_MASK = 0x1f;
const CODE_COMPLETE = 0x01;
const CODE_PARTIAL = 0x02;
const CODE_AVAILABILITY_MASK = 0x03;
const CODE_FIREWALLED = 0x04;
const CODE_DOWNLOADING = 0x08;
const FEATURE_TLS = 0x01;
const RANGE_BYTES = 8;

/** Who has the file? */
export interface HeadPing {
  /** {@link HeadFlag} bits. */
  readonly flags: number;
  readonly sha1: Sha1;
  /** The firewalled servent to forward it to: GGEP PUSH. */
  readonly targetGuid: Guid | undefined;
}

export type HeadPingRefusal = 'short' | 'bad-urn' | 'bad-ggep' | 'bad-target';

/** An inclusive range of bytes. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** What a host says about a file. Everything but the availability is absent where the file was not found. */
export interface HeadPong {
  readonly availability: 'not-found' | 'complete' | 'partial';
  readonly isFirewalled: boolean;
  readonly isDownloading: boolean;
  readonly vendor?: string;
  /** Negative: free slots; 0: full with an empty queue; positive: length of the queue; {@link HEAD_QUEUE_BUSY}. */
  readonly queue?: number;
  readonly takesTls: boolean;
  readonly ranges: readonly ByteRange[];
  readonly alternates: readonly PeerAddress[];
}

export type HeadPongRefusal = 'short' | 'bad-ggep' | 'no-code' | 'bad-code' | 'incomplete' | 'bad-block';

/** A HEAD ping frame, version 2, which asks for a GGEP answer. */
export function encodeHeadPing(guid: Uint8Array, ping: HeadPing): Uint8Array {
  const target = ping.targetGuid;
  const flags = (ping.flags & FLAGS_MASK & ~HeadFlag.GGEP) | (target === undefined ? 0 : HeadFlag.GGEP);
  const ggep = target === undefined ? [] : [{ id: GgepId.PUSH, value: asGuid(target) }];
  const body = concatBytes([Uint8Array.of(flags), latin1Bytes(formatSha1Urn(ping.sha1)), encodeGgep(ggep)]);
  return encodeVendorMessage(VendorMessage.HEAD_PING, body, { guid });
}

/** Reads a HEAD ping body of either version; unknown flags are cleared. */
export function decodeHeadPing(bytes: Uint8Array, start: number, end: number): Decoded<HeadPing, HeadPingRefusal> {
  if (end - start < 1) return refused('short');
  const flags = (bytes[start] as number) & FLAGS_MASK;
  const hasGgep = (flags & HeadFlag.GGEP) !== 0;
  const magic = hasGgep ? bytes.indexOf(GGEP_MAGIC, start + 1) : -1;
  if (hasGgep && (magic < 0 || magic >= end)) return refused('bad-ggep');
  const sha1 = parseSha1Urn(latin1(bytes, start + 1, hasGgep ? magic : end));
  if (sha1 === undefined) return refused('bad-urn');
  if (!hasGgep) return accepted({ flags, sha1, targetGuid: undefined });
  const ggep = parseGgepTail(bytes, magic, end);
  if (!ggep.ok) return refused('bad-ggep');
  const target = findGgepValue(ggep.value, GgepId.PUSH);
  if (target !== undefined && target.length !== GUID_BYTES) return refused('bad-target');
  return accepted({ flags, sha1, targetGuid: target === undefined ? undefined : guidAt(target, 0) });
}

/**
 * A HEAD pong frame, version 2 (GGEP); the GUID is the ping's.
 * @throws GnutellaError `bad-payload` for a file that is found, but comes without vendor or queue
 */
export function encodeHeadPong(guid: Uint8Array, pong: HeadPong): Uint8Array {
  const fields: GgepField[] = [{ id: GgepId.CODE, value: Uint8Array.of(codeOf(pong)) }];
  if (pong.availability !== 'not-found') {
    if (pong.queue === undefined || pong.vendor?.length !== 4) {
      throw new GnutellaError('bad-payload', 'a HEAD pong for a file has a vendor and a queue');
    }
    fields.push({ id: GgepId.QUEUE, value: Uint8Array.of(pong.queue & 0xff) });
    fields.push({ id: GgepId.VENDOR, value: latin1Bytes(pong.vendor) });
    if (pong.takesTls) fields.push({ id: GgepId.FEATURES, value: Uint8Array.of(FEATURE_TLS) });
    if (pong.ranges.length > 0) fields.push({ id: GgepId.RANGES, value: encodeRanges(pong.ranges) });
    const ipv4 = pong.alternates.filter(({ host }) => !host.includes(':'));
    const ipv6 = pong.alternates.filter(({ host }) => host.includes(':'));
    if (ipv4.length > 0) fields.push({ id: GgepId.ALTERNATES, value: encodePackedHosts(ipv4) });
    if (ipv6.length > 0) fields.push({ id: GgepId.ALTERNATES_IPV6, value: encodePackedHosts6(ipv6) });
  }
  return encodeVendorMessage(VendorMessage.HEAD_PONG, encodeGgep(fields), { guid });
}

/**
 * A HEAD pong frame, version 1 (fixed fields); the GUID is the ping's.
 * @param flags what the ping asked for: ranges and alternates are written where it did
 * @throws GnutellaError `bad-payload` as for {@link encodeHeadPong}
 */
export function encodeHeadPong1(guid: Uint8Array, pong: HeadPong, flags: number): Uint8Array {
  const ipv4 = pong.alternates.filter(({ host }) => !host.includes(':'));
  const answered =
    (pong.ranges.length > 0 ? flags & HeadFlag.RANGES : 0) | (ipv4.length > 0 ? flags & HeadFlag.ALTERNATES : 0);
  const found = pong.availability !== 'not-found';
  const pieces: Uint8Array[] = [Uint8Array.of(found ? answered : 0, codeOf(pong))];
  if (found) {
    if (pong.queue === undefined || pong.vendor?.length !== 4) {
      throw new GnutellaError('bad-payload', 'a HEAD pong for a file has a vendor and a queue');
    }
    pieces.push(latin1Bytes(pong.vendor), Uint8Array.of(pong.queue & 0xff));
    if ((answered & HeadFlag.RANGES) !== 0) pieces.push(...sized(encodeRanges(pong.ranges)));
    if ((answered & HeadFlag.ALTERNATES) !== 0) pieces.push(...sized(encodePackedHosts(ipv4)));
  }
  return encodeVendorMessage(VendorMessage.HEAD_PONG_1, concatBytes(pieces), { guid });
}

/**
 * Reads a HEAD pong body.
 * @param version of the envelope: 1 has fixed fields, 2 GGEP alone
 */
export function decodeHeadPong(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
): Decoded<HeadPong, HeadPongRefusal> {
  return version === 1 ? decodeFixedPong(bytes, start, end) : decodeGgepPong(bytes, start, end);
}

function decodeFixedPong(bytes: Uint8Array, start: number, end: number): Decoded<HeadPong, HeadPongRefusal> {
  if (end - start < 2) return refused('short');
  const flags = bytes[start] as number;
  const status = readCode(bytes[start + 1] as number);
  if (status === undefined) return refused('bad-code');
  const rest = { takesTls: false, ranges: [], alternates: [] };
  if (status.availability === 'not-found') return accepted({ ...status, ...rest });
  if (end - start < 7) return refused('incomplete');
  const vendor = latin1(bytes, start + 2, start + 6);
  const queue = signed(bytes[start + 6] as number);
  let ranges: readonly ByteRange[] = [];
  let alternates: readonly PeerAddress[] = [];
  let at = start + 7;
  for (const bit of [
    HeadFlag.RANGES,
    HeadFlag.PUSH_ALTERNATES | HeadFlag.FIREWALL_TRANSFER_ALTERNATES,
    HeadFlag.ALTERNATES,
  ]) {
    if ((flags & bit) === 0) continue;
    const blockStart = at + 2;
    if (blockStart > end) return refused('bad-block');
    at = blockStart + readU16BE(bytes, at);
    if (at > end) return refused('bad-block');
    const block = bytes.subarray(blockStart, at);
    if (bit === HeadFlag.RANGES) ranges = readRanges(block);
    if (bit === HeadFlag.ALTERNATES) alternates = decodePackedHosts(block) ?? [];
  }
  return accepted({ ...status, vendor, queue, takesTls: false, ranges, alternates });
}

function decodeGgepPong(bytes: Uint8Array, start: number, end: number): Decoded<HeadPong, HeadPongRefusal> {
  const parsed = parseGgepTail(bytes, start, end);
  if (!parsed.ok) return refused('bad-ggep');
  const ggep = parsed.value;
  const code = findGgepValue(ggep, GgepId.CODE)?.[0];
  if (code === undefined) return refused('no-code');
  const status = readCode(code);
  if (status === undefined) return refused('bad-code');
  if (status.availability === 'not-found') return accepted({ ...status, takesTls: false, ranges: [], alternates: [] });
  const vendor = findGgepValue(ggep, GgepId.VENDOR);
  const queue = findGgepValue(ggep, GgepId.QUEUE)?.[0];
  if (vendor?.length !== 4 || queue === undefined) return refused('incomplete');
  const features = findGgepValue(ggep, GgepId.FEATURES)?.[0] ?? 0;
  return accepted({
    ...status,
    vendor: latin1(vendor, 0, 4),
    queue: signed(queue),
    takesTls: (features & FEATURE_TLS) !== 0,
    ranges: readRanges(findGgepValue(ggep, GgepId.RANGES) ?? new Uint8Array(0)),
    alternates: readAlternates(ggep),
  });
}

function readAlternates(ggep: readonly GgepEntry[]): PeerAddress[] {
  const ipv4 = findGgepValue(ggep, GgepId.ALTERNATES);
  const ipv6 = findGgepValue(ggep, GgepId.ALTERNATES_IPV6);
  return [...((ipv4 && decodePackedHosts(ipv4)) ?? []), ...((ipv6 && decodePackedHosts6(ipv6)) ?? [])];
}

function readCode(code: number): Pick<HeadPong, 'availability' | 'isFirewalled' | 'isDownloading'> | undefined {
  const availability = (['not-found', 'complete', 'partial'] as const)[code & CODE_AVAILABILITY_MASK];
  if (availability === undefined) return undefined;
  return {
    availability,
    isFirewalled: (code & CODE_FIREWALLED) !== 0,
    isDownloading: (code & CODE_DOWNLOADING) !== 0,
  };
}

function codeOf(pong: HeadPong): number {
  const availability = { 'not-found': 0, complete: CODE_COMPLETE, partial: CODE_PARTIAL }[pong.availability];
  return availability | (pong.isFirewalled ? CODE_FIREWALLED : 0) | (pong.isDownloading ? CODE_DOWNLOADING : 0);
}

function signed(byte: number): number {
  return byte > 127 ? byte - 256 : byte;
}

function encodeRanges(ranges: readonly ByteRange[]): Uint8Array {
  const block = new Uint8Array(ranges.length * RANGE_BYTES);
  ranges.forEach(({ first, last }, i) => {
    writeU32BE(block, i * RANGE_BYTES, first);
    writeU32BE(block, i * RANGE_BYTES + 4, last);
  });
  return block;
}

/** Ranges that run backwards, and a rest that is no whole range, are passed over. */
function readRanges(block: Uint8Array): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let at = 0; at + RANGE_BYTES <= block.length && ranges.length < MAX_HEAD_RANGES; at += RANGE_BYTES) {
    const first = readU32BE(block, at);
    const last = readU32BE(block, at + 4);
    if (first <= last) ranges.push({ first, last });
  }
  return ranges;
}

function sized(block: Uint8Array): Uint8Array[] {
  const size = new Uint8Array(2);
  writeU16BE(size, 0, block.length);
  return [size, block];
}
