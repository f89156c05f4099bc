// What every encoder shares: a frame is the 23-byte header and the payload (docs/protocol/02-messages.md §1).
import { GnutellaError } from '../errors.ts';
import { GUID_BYTES, HEADER_BYTES, MAX_PAYLOAD_BYTES, writeHeader } from '../header.ts';

/** The fields of a header that the sender of a message chooses. */
export interface Envelope {
  /** 16 bytes */
  readonly guid: Uint8Array;
  readonly ttl: number;
  /** Links crossed so far; 0 for a message of our own. */
  readonly hops?: number;
}

/**
 * A complete frame with that payload.
 * @throws GnutellaError `bad-guid` for a GUID of another length than 16, `too-large` for a payload over 65,535 bytes
 */
export function encodeFrame(envelope: Envelope, descriptor: number, payload: Uint8Array): Uint8Array {
  const frame = newFrame(envelope, descriptor, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** As {@link encodeFrame}, with the payload left to the caller to fill in behind {@link HEADER_BYTES}. */
export function newFrame(envelope: Envelope, descriptor: number, payloadBytes: number): Uint8Array {
  if (envelope.guid.length !== GUID_BYTES) throw new GnutellaError('bad-guid', 'a message GUID has 16 bytes');
  if (payloadBytes > MAX_PAYLOAD_BYTES) {
    throw new GnutellaError('too-large', `a payload of ${payloadBytes} bytes does not fit a message`);
  }
  const frame = new Uint8Array(HEADER_BYTES + payloadBytes);
  writeHeader(frame, 0, envelope.guid, descriptor, envelope.ttl, envelope.hops ?? 0, payloadBytes);
  return frame;
}
