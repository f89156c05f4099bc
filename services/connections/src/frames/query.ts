import {
  HEADER_BYTES,
  HOPS_OFFSET,
  isNullMessageGuid,
  isUsableIpv4,
  oobIp,
  oobPort,
  TTL_OFFSET,
} from '@filbert/gnutella';
import { drawTrace } from '@filbert/kit';
import { nextDue } from '../cell-rate.ts';
import type { PeerLink } from '../link/peer-link.ts';
import { routeDrawnQuery } from '../traces.ts';
import { dropBad, type EdgeContext } from './edge-context.ts';

/** Hops plus TTL beyond this is refused (docs/protocol/02 §3). */
const HARD_TTL_LIMIT = 15;
/** More such queries than this from near by end the link. */
const MAX_HIGH_TTL = 10;
const HIGH_TTL_RADIUS = 2;
/** Queries with TTL 0 that end the link. */
const MAX_TTL_ZERO = 5;
/** A leaf's own queries: so many at once, then one a second (docs/protocol/12 §5). */
export const LEAF_QUERY_BURST = 20;
export const LEAF_QUERY_INTERVAL_MS = 1_000;

/** Bits of a query's flag byte: its flags are valid; in the wrong byte order these three tell (docs/protocol/02 §9). */
const FLAGS_MARK = 0x80;
const SWAPPED_FLAGS = 0x98;
const OUT_OF_BAND_BIT = 0x04;

/** The rules about a query that need only its own link; what is left goes to the shard of its GUID. */
export function handleQuery(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number, end: number): void {
  const ttl = bytes[start + TTL_OFFSET] as number;
  const hops = bytes[start + HOPS_OFFSET] as number;
  if (ttl === 0) {
    dropBad(context, link, 'ttl-zero');
    if (++link.counters.ttlZero >= MAX_TTL_ZERO) link.bye(408, 'Sent message with TTL=0');
    return;
  }
  if (hops + ttl > HARD_TTL_LIMIT) {
    dropBad(context, link, 'ttl-beyond-limit');
    if (++link.counters.highTtl > MAX_HIGH_TTL && hops <= HIGH_TTL_RADIUS) link.bye(403, 'Too many high TTL messages');
    return;
  }
  if (isNullMessageGuid(bytes, start)) return dropBad(context, link, 'null-guid');
  if (!link.isUltrapeer) {
    const due = nextDue(link.nextQueryAt, context.now(), LEAF_QUERY_BURST, LEAF_QUERY_INTERVAL_MS);
    if (due === undefined) {
      context.counters.framesDropped['leaf-query-rate']++;
      return;
    }
    link.nextQueryAt = due;
  }
  const refusal = context.queryFilter.refusal(link, bytes, start, end, context.now());
  if (refusal !== undefined) {
    context.counters.framesDropped[refusal]++;
    return;
  }
  const flags = outOfBandByte(bytes, start + HEADER_BYTES, end);
  if (flags >= 0 && !mayAnswerTo(context, link, bytes, start)) {
    bytes[flags] = (bytes[flags] as number) & ~OUT_OF_BAND_BIT;
  }
  if (drawTrace()) routeDrawnQuery(context, link, bytes, start, end);
  else context.ingress.add(bytes, start, end, link.number);
}

/**
 * Where the out-of-band bit of a query is set, or -1: in the first flag byte, or in the second one where the flags are in the
 * wrong byte order and read so all the same (docs/protocol/02 §9).
 */
function outOfBandByte(bytes: Buffer, flags: number, end: number): number {
  if (flags + 1 >= end) return -1;
  const isSwapped = ((bytes[flags] as number) & FLAGS_MARK) === 0;
  const evidence = isSwapped ? SWAPPED_FLAGS : FLAGS_MARK;
  const at = isSwapped ? flags + 1 : flags;
  const both = evidence | OUT_OF_BAND_BIT;
  return ((bytes[at] as number) & both) === both ? at : -1;
}

/**
 * Whether the return address in an out-of-band query's GUID may stand: a leaf may only name its own, nobody one that is
 * no peer's (docs/protocol/06 §6).
 */
function mayAnswerTo(context: EdgeContext, link: PeerLink, bytes: Buffer, start: number): boolean {
  const ip = oobIp(bytes, start);
  if (!isUsableIpv4(ip, oobPort(bytes, start), context)) return false;
  return link.isUltrapeer || ip === link.remoteIpv4;
}
