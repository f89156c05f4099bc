// What services agree on about a link.
import type { LinkRecord } from './gen/filbert/bus/v1/bus.ts';

/** Bits of `LinkRecord.capabilities`. */
export const LinkCapability = {
  /** The peer takes a TTL 1 probe and the same GUID with a higher TTL after it (X-Ext-Probes). */
  probes: 1,
  /** The ultrapeer does dynamic querying. */
  dynamicQuery: 2,
  /** The ultrapeer keeps last-hop tables (X-Ultrapeer-Query-Routing). */
  lastHopTables: 4,
  /** The peer announced the WHAT feature. */
  whatsNew: 8,
  /** The servent GUID stood in the handshake. */
  handshakeGuid: 16,
} as const;

/** `LinkRecord.hops_flow` of a link that never limited it: every query may be sent. */
export const UNLIMITED_HOPS_FLOW = 255;

/** Links from one address, and from one /24 (IPv6: /64), to the whole node (docs/protocol/12 §4). */
export const MAX_LINKS_PER_ADDRESS = 2;
export const MAX_LINKS_PER_NETWORK = 3;

/** A record that says no more than that `link` exists, to be filled in by the caller. */
export function emptyLinkRecord(link: number): LinkRecord {
  return {
    link,
    gone: false,
    kind: 0,
    address: '',
    serventGuid: new Uint8Array(0),
    capabilities: 0,
    hopsFlow: UNLIMITED_HOPS_FLOW,
    maxTtl: 0,
    degree: 0,
    table: undefined,
    remoteHost: '',
  };
}
