// The envelope of vendor messages, 0x31 and 0x32 (docs/protocol/07-vendor-messages.md §1, §2).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, writeU16LE } from '../encoding/integers.ts';
import { latin1, latin1Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { ZERO_GUID } from '../guid/guid.ts';
import { Descriptor, HEADER_BYTES } from '../header.ts';
import { newFrame } from './frame.ts';
import type { Envelope } from './frame.ts';

/** Vendor code, selector and version. */
export const VENDOR_SELECTOR_BYTES = 8;
const NULL_VENDOR = '\0\0\0\0';

/** What kind of vendor message it is. */
export interface VendorSelector {
  /** 4 characters, one per byte. */
  readonly vendor: string;
  readonly selector: number;
  readonly version: number;
}

/** The messages that we read or write (07 §2), by the highest version where there are several. */
export const VendorMessage = {
  MESSAGES_SUPPORTED: { vendor: NULL_VENDOR, selector: 0, version: 0 },
  FEATURES_SUPPORTED: { vendor: NULL_VENDOR, selector: 10, version: 0 },
  HOPS_FLOW: { vendor: 'BEAR', selector: 4, version: 1 },
  TCP_CONNECT_BACK: { vendor: 'BEAR', selector: 7, version: 1 },
  QUERY_STATUS_REQUEST: { vendor: 'BEAR', selector: 11, version: 1 },
  QUERY_STATUS_RESPONSE: { vendor: 'BEAR', selector: 12, version: 1 },
  UDP_CONNECT_BACK_1: { vendor: 'GTKG', selector: 7, version: 1 },
  UDP_CONNECT_BACK: { vendor: 'GTKG', selector: 7, version: 2 },
  TIME_SYNC_REQUEST: { vendor: 'GTKG', selector: 9, version: 1 },
  TIME_SYNC_REPLY: { vendor: 'GTKG', selector: 10, version: 1 },
  PUSH_PROXY_CANCEL: { vendor: 'GTKG', selector: 21, version: 1 },
  CRAWLER_PING: { vendor: 'LIME', selector: 5, version: 1 },
  CRAWLER_PONG: { vendor: 'LIME', selector: 6, version: 1 },
  OOB_CLAIM_2: { vendor: 'LIME', selector: 11, version: 2 },
  OOB_CLAIM: { vendor: 'LIME', selector: 11, version: 3 },
  OOB_INDICATION_1: { vendor: 'LIME', selector: 12, version: 1 },
  OOB_INDICATION_2: { vendor: 'LIME', selector: 12, version: 2 },
  OOB_INDICATION: { vendor: 'LIME', selector: 12, version: 3 },
  OOB_PROXY_VETO: { vendor: 'LIME', selector: 13, version: 1 },
  PUSH_PROXY_REQUEST_1: { vendor: 'LIME', selector: 21, version: 1 },
  PUSH_PROXY_REQUEST: { vendor: 'LIME', selector: 21, version: 2 },
  PUSH_PROXY_ACK_1: { vendor: 'LIME', selector: 22, version: 1 },
  PUSH_PROXY_ACK: { vendor: 'LIME', selector: 22, version: 2 },
  HEAD_PING_1: { vendor: 'LIME', selector: 23, version: 1 },
  HEAD_PING: { vendor: 'LIME', selector: 23, version: 2 },
  HEAD_PONG_1: { vendor: 'LIME', selector: 24, version: 1 },
  HEAD_PONG: { vendor: 'LIME', selector: 24, version: 2 },
} as const satisfies Record<string, VendorSelector>;

/** A key of {@link VendorMessage}. */
export type VendorMessageName = keyof typeof VendorMessage;

/** A selector and where its body lies in the bytes that were decoded. */
export interface VendorEnvelope extends VendorSelector {
  /** Which message it is; undefined when we do not know it, and it is to be dropped. */
  readonly name: VendorMessageName | undefined;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

const NAMES: ReadonlyMap<string, VendorMessageName> = new Map(
  Object.entries(VendorMessage).map(([name, selector]) => [selectorKey(selector), name as VendorMessageName]),
);

/** One key per vendor, selector and version: `LIME/23v2`, with `null` for the null vendor. */
export function selectorKey({ vendor, selector, version }: VendorSelector): string {
  return `${vendor === NULL_VENDOR ? 'null' : vendor}/${selector}v${version}`;
}

/** Reads the envelope of the payload `bytes[start, end)`. Vendor, selector and version are matched exactly. */
export function decodeVendorEnvelope(bytes: Uint8Array, start: number, end: number): Decoded<VendorEnvelope, 'short'> {
  if (end - start < VENDOR_SELECTOR_BYTES) return refused('short');
  const selector = {
    vendor: latin1(bytes, start, start + 4),
    selector: readU16LE(bytes, start + 4),
    version: readU16LE(bytes, start + 6),
  };
  const name = NAMES.get(selectorKey(selector));
  return accepted({ ...selector, name, bodyStart: start + VENDOR_SELECTOR_BYTES, bodyEnd: end });
}

/**
 * A vendor message frame: TTL 1 and the zero GUID unless the envelope says otherwise.
 * @throws GnutellaError `bad-payload` for a vendor that is not 4 characters, `too-large` over 65,535 bytes
 */
export function encodeVendorMessage(
  kind: VendorSelector,
  body: Uint8Array,
  envelope: Partial<Envelope> = {},
): Uint8Array {
  if (kind.vendor.length !== 4) throw new GnutellaError('bad-payload', 'a vendor code has 4 characters');
  const header = { guid: envelope.guid ?? ZERO_GUID, ttl: envelope.ttl ?? 1, hops: envelope.hops ?? 0 };
  const frame = newFrame(header, Descriptor.VENDOR, VENDOR_SELECTOR_BYTES + body.length);
  frame.set(latin1Bytes(kind.vendor), HEADER_BYTES);
  writeU16LE(frame, HEADER_BYTES + 4, kind.selector);
  writeU16LE(frame, HEADER_BYTES + 6, kind.version);
  frame.set(body, HEADER_BYTES + VENDOR_SELECTOR_BYTES);
  return frame;
}
