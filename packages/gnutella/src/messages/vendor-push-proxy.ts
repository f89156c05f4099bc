// Push proxy request and acknowledgement (docs/protocol/07-vendor-messages.md §2, 08-push-and-transfers.md §3).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, readU32BE, writeU16LE, writeU32BE } from '../encoding/integers.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

/** Where the proxy listens; version 1 leaves out the address, which then is the link's. */
export interface PushProxyAck {
  readonly ip: number | undefined;
  readonly port: number;
}

/** A Push Proxy Request frame of a firewalled servent; the GUID is its servent GUID. */
export function encodePushProxyRequest(serventGuid: Uint8Array, version: 1 | 2 = 2): Uint8Array {
  const kind = version === 1 ? VendorMessage.PUSH_PROXY_REQUEST_1 : VendorMessage.PUSH_PROXY_REQUEST;
  return encodeVendorMessage(kind, new Uint8Array(0), { guid: serventGuid });
}

/** A Push Proxy Cancel frame. */
export function encodePushProxyCancel(): Uint8Array {
  return encodeVendorMessage(VendorMessage.PUSH_PROXY_CANCEL, new Uint8Array(0));
}

/** A Push Proxy Acknowledgement frame; the GUID is that of the request. Without an address it is version 1. */
export function encodePushProxyAck(serventGuid: Uint8Array, ack: PushProxyAck): Uint8Array {
  const envelope = { guid: serventGuid };
  if (ack.ip === undefined) {
    const body = new Uint8Array(2);
    writeU16LE(body, 0, ack.port);
    return encodeVendorMessage(VendorMessage.PUSH_PROXY_ACK_1, body, envelope);
  }
  const body = new Uint8Array(6);
  writeU32BE(body, 0, ack.ip);
  writeU16LE(body, 4, ack.port);
  return encodeVendorMessage(VendorMessage.PUSH_PROXY_ACK, body, envelope);
}

/**
 * Reads a Push Proxy Acknowledgement body.
 * @param version of the envelope
 */
export function decodePushProxyAck(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
): Decoded<PushProxyAck, 'short' | 'port-zero'> {
  const ipBytes = version === 1 ? 0 : 4;
  if (end - start < ipBytes + 2) return refused('short');
  const port = readU16LE(bytes, start + ipBytes);
  if (port === 0) return refused('port-zero');
  return accepted({ ip: version === 1 ? undefined : readU32BE(bytes, start), port });
}
