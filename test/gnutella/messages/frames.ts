// Helpers of the message tests: frames of the vectors, and the places of their parts.
import assert from 'node:assert/strict';
import {
  decodeVendorEnvelope,
  Descriptor,
  FUNCTION_OFFSET,
  HEADER_BYTES,
  HOPS_OFFSET,
  rawLength,
  TTL_OFFSET,
} from '@filbert/gnutella';
import type { Decoded, Envelope, VendorEnvelope } from '@filbert/gnutella';
import { hexBytes, vectorNamed } from '../vectors.ts';

export const SERVENT = hexBytes('a1b2c3d4e5f60718ff2a3b4c5d6e7f00');
export const MESSAGE = hexBytes('0011223344556677ff99aabbccddee00');
export const OOB_QUERY = hexBytes('cb007107445566778899aabbccca1800');

/** The frame of a message vector; its header's length has been checked. */
export function frameOf(name: string): Uint8Array {
  const frame = hexBytes(vectorNamed(name).hex ?? '');
  assert.equal(frame.length, HEADER_BYTES + rawLength(frame, 0), name);
  return frame;
}

/** The header fields of a frame. */
export function envelopeOf(frame: Uint8Array): Envelope & { readonly descriptor: number } {
  return {
    guid: frame.slice(0, 16),
    descriptor: frame[FUNCTION_OFFSET] ?? -1,
    ttl: frame[TTL_OFFSET] ?? -1,
    hops: frame[HOPS_OFFSET] ?? -1,
  };
}

/** The value of an accepted decoding. */
export function valueOf<T>(decoded: Decoded<T>): T {
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.value;
}

/** The reason of a refused decoding, or 'accepted'. */
export function reasonOf(decoded: Decoded<unknown>): string {
  return decoded.ok ? 'accepted' : decoded.reason;
}

/** The envelope of a vendor frame. */
export function vendorOf(frame: Uint8Array): VendorEnvelope {
  assert.equal(envelopeOf(frame).descriptor, Descriptor.VENDOR);
  return valueOf(decodeVendorEnvelope(frame, HEADER_BYTES, frame.length));
}
