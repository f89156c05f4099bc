// TCP and UDP connect back (docs/protocol/07-vendor-messages.md §2).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE } from '../encoding/integers.ts';
import { concatBytes } from '../encoding/text.ts';
import { asGuid, guidAt } from '../guid/guid.ts';
import type { Guid } from '../guid/guid.ts';
import { GUID_BYTES } from '../header.ts';
import { encodeVendorMessage, VendorMessage } from './vendor.ts';

const PORT_BYTES = 2;

/** Whom to send a PING by UDP, and with which GUID; the address is the link's. */
export interface UdpConnectBack {
  readonly port: number;
  readonly pingGuid: Guid;
}

export type ConnectBackRefusal = 'short' | 'port-zero';

/** A TCP Connect Back frame. */
export function encodeTcpConnectBack(port: number): Uint8Array {
  return encodeVendorMessage(VendorMessage.TCP_CONNECT_BACK, portBytes(port));
}

/** The port to connect to. */
export function decodeTcpConnectBack(
  bytes: Uint8Array,
  start: number,
  end: number,
): Decoded<number, ConnectBackRefusal> {
  if (end - start < PORT_BYTES) return refused('short');
  const port = readU16LE(bytes, start);
  return port === 0 ? refused('port-zero') : accepted(port);
}

/** A UDP Connect Back frame: version 1 has the GUID of the wanted PING in its body, version 2 in the header. */
export function encodeUdpConnectBack(port: number, pingGuid: Uint8Array, version: 1 | 2): Uint8Array {
  if (version === 2) return encodeVendorMessage(VendorMessage.UDP_CONNECT_BACK, portBytes(port), { guid: pingGuid });
  return encodeVendorMessage(VendorMessage.UDP_CONNECT_BACK_1, concatBytes([portBytes(port), asGuid(pingGuid)]));
}

/**
 * Reads a UDP Connect Back body.
 * @param version of the envelope
 * @param headerGuidStart offset of the message's GUID in `bytes`, which version 2 asks to echo
 */
export function decodeUdpConnectBack(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: number,
  headerGuidStart: number,
): Decoded<UdpConnectBack, ConnectBackRefusal> {
  const needed = version === 1 ? PORT_BYTES + GUID_BYTES : PORT_BYTES;
  if (end - start < needed || headerGuidStart < 0 || headerGuidStart + GUID_BYTES > bytes.length)
    return refused('short');
  const port = readU16LE(bytes, start);
  if (port === 0) return refused('port-zero');
  return accepted({ port, pingGuid: guidAt(bytes, version === 1 ? start + PORT_BYTES : headerGuidStart) });
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port & 0xff, (port >>> 8) & 0xff);
}
