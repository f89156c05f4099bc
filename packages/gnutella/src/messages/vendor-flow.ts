// Hops Flow, Query Status and OOB Proxy Veto (docs/protocol/07-vendor-messages.md §2, 06-query-routing-dq.md §5, §7).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE } from '../encoding/integers.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

/** A Hops Flow value from which on all queries are wanted. */
export const HOPS_FLOW_UNLIMITED = 5;
/** The count of a Query Status Response that means "stop". */
export const QUERY_STATUS_STOP = 0xffff;

/** A Hops Flow frame: "send me only queries with hops below `maxHops`"; 0 is none. */
export function encodeHopsFlow(maxHops: number): Uint8Array {
  return encodeVendorMessage(VendorMessage.HOPS_FLOW, Uint8Array.of(Math.min(maxHops, 255)));
}

/** The hops below which queries are wanted, {@link HOPS_FLOW_UNLIMITED} for that and everything above. */
export function decodeHopsFlow(bytes: Uint8Array, start: number, end: number): Decoded<number, 'short'> {
  if (end - start < 1) return refused('short');
  return accepted(Math.min(bytes[start] as number, HOPS_FLOW_UNLIMITED));
}

/** A Query Status Request frame; the GUID is the leaf's query's. */
export function encodeQueryStatusRequest(queryGuid: Uint8Array): Uint8Array {
  return encodeVendorMessage(VendorMessage.QUERY_STATUS_REQUEST, new Uint8Array(0), { guid: queryGuid });
}

/** A Query Status Response frame: how many hits the leaf has kept, or {@link QUERY_STATUS_STOP}. */
export function encodeQueryStatusResponse(queryGuid: Uint8Array, kept: number): Uint8Array {
  const count = Math.min(kept, QUERY_STATUS_STOP);
  const body = Uint8Array.of(count & 0xff, count >>> 8);
  return encodeVendorMessage(VendorMessage.QUERY_STATUS_RESPONSE, body, { guid: queryGuid });
}

/** The hits that a leaf has kept, or {@link QUERY_STATUS_STOP}. */
export function decodeQueryStatusResponse(bytes: Uint8Array, start: number, end: number): Decoded<number, 'short'> {
  return end - start < 2 ? refused('short') : accepted(readU16LE(bytes, start));
}

/** The version that vetoes proxying altogether: an empty body. */
export const VETO_ALL_VERSIONS = 255;

/** An OOB Proxy Veto frame: no proxying with OOB versions up to `version`; without it none at all. */
export function encodeOobProxyVeto(version?: number): Uint8Array {
  const body = version === undefined ? new Uint8Array(0) : Uint8Array.of(version);
  return encodeVendorMessage(VendorMessage.OOB_PROXY_VETO, body);
}

/** The highest OOB version that must not be used for proxying: {@link VETO_ALL_VERSIONS} for an empty body. */
export function decodeOobProxyVeto(bytes: Uint8Array, start: number, end: number): Decoded<number, never> {
  return accepted(end > start ? (bytes[start] as number) : VETO_ALL_VERSIONS);
}
