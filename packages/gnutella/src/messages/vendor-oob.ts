// Out-of-band indication (LIME/12) and claim (LIME/11) (docs/protocol/06-query-routing-dq.md §6).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { encodeGgep } from '../ggep/encode.ts';
import { GgepId } from '../ggep/ids.ts';
import { findGgepValue, parseGgepTail } from '../ggep/parse.ts';
import { concatBytes } from '../encoding/text.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

/** Hits in an indication, and wanted in a claim: this many or more, all. */
export const OOB_ALL_HITS = 255;
/** The TTL bit by which a claim says that deflated hits are welcome. */
export const TTL_CAN_INFLATE = 0x08;
const FLAG_UNSOLICITED = 0x01;
const MIN_TOKEN_BYTES = 1;
const MAX_TOKEN_BYTES = 16;

/** "I have that many hits for your query." */
export interface OobIndication {
  readonly hits: number;
  /** The responder can receive unsolicited UDP; undefined in version 1, which has no flags. */
  readonly canReceiveUnsolicited: boolean | undefined;
}

/** "Send me that many." */
export interface OobClaim {
  readonly wanted: number;
  /** 1 to 16 bytes that the hits must carry, in version 3. */
  readonly token: Uint8Array | undefined;
}

/** An indication frame, version 2 or 3; the GUID is the query's. */
export function encodeOobIndication(queryGuid: Uint8Array, indication: OobIndication, version: 2 | 3 = 3): Uint8Array {
  const kind = version === 2 ? VendorMessage.OOB_INDICATION_2 : VendorMessage.OOB_INDICATION;
  const flags = indication.canReceiveUnsolicited === true ? FLAG_UNSOLICITED : 0;
  const body = Uint8Array.of(Math.min(indication.hits, OOB_ALL_HITS), flags);
  return encodeVendorMessage(kind, body, { guid: queryGuid });
}

/**
 * Reads an indication body.
 * @param version of the envelope: 1 has no flags
 */
export function decodeOobIndication(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
): Decoded<OobIndication, 'short' | 'no-hits'> {
  const hasFlags = version > 1;
  if (end - start < (hasFlags ? 2 : 1)) return refused('short');
  const hits = bytes[start] as number;
  if (hits === 0) return refused('no-hits');
  const flags = hasFlags ? (bytes[start + 1] as number) : 0;
  return accepted({ hits, canReceiveUnsolicited: hasFlags ? (flags & FLAG_UNSOLICITED) !== 0 : undefined });
}

/** A claim frame: with a token version 3, without one version 2; the GUID is the query's. */
export function encodeOobClaim(queryGuid: Uint8Array, claim: OobClaim, canInflate = false): Uint8Array {
  const envelope = { guid: queryGuid, ttl: canInflate ? 1 | TTL_CAN_INFLATE : 1 };
  const wanted = Uint8Array.of(Math.min(claim.wanted, OOB_ALL_HITS));
  if (claim.token === undefined) return encodeVendorMessage(VendorMessage.OOB_CLAIM_2, wanted, envelope);
  const token = encodeGgep([{ id: GgepId.SECURE_OOB, value: claim.token }]);
  return encodeVendorMessage(VendorMessage.OOB_CLAIM, concatBytes([wanted, token]), envelope);
}

/**
 * Reads a claim body.
 * @param version of the envelope: 3 requires the token, 2 has none
 */
export function decodeOobClaim(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
): Decoded<OobClaim, 'short' | 'no-token'> {
  if (end - start < 1) return refused('short');
  const wanted = bytes[start] as number;
  if (version < 3) return accepted({ wanted, token: undefined });
  const ggep = parseGgepTail(bytes, start + 1, end);
  const token = ggep.ok ? findGgepValue(ggep.value, GgepId.SECURE_OOB) : undefined;
  if (token === undefined || token.length < MIN_TOKEN_BYTES || token.length > MAX_TOKEN_BYTES) {
    return refused('no-token');
  }
  return accepted({ wanted, token });
}
