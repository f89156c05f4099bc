// Frames and batches for the tests of the batch codecs.
import { HEADER_BYTES, writeHeader } from '@filbert/gnutella';
import { forEachDelivery, forEachFrame, type EgressBatch, type IngressBatch } from '@filbert/contracts';
import fc from 'fast-check';

/** A frame of `payloadBytes` bytes of payload, filled with `fill`. */
export function frameOf(payloadBytes: number, fill = 0, ttl = 1, hops = 0): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + payloadBytes, fill);
  writeHeader(frame, 0, new Uint8Array(16).fill(fill), 0x80, ttl, hops, payloadBytes);
  return frame;
}

export const anyFrame: fc.Arbitrary<Buffer> = fc
  .tuple(fc.oneof({ weight: 9, arbitrary: fc.nat(300) }, { weight: 1, arbitrary: fc.nat(9_000) }), fc.nat(255))
  .map(([payloadBytes, fill]) => frameOf(payloadBytes, fill));

export const anyLink: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffffffff });

export interface ReadFrame {
  readonly bytes: string;
  readonly link: number;
}

export function framesOf(batch: IngressBatch): ReadFrame[] {
  const read: ReadFrame[] = [];
  forEachFrame(batch, (bytes, start, end, link) => {
    read.push({ bytes: Buffer.from(bytes.subarray(start, end)).toString('hex'), link });
  });
  return read;
}

export interface ReadDelivery extends ReadFrame {
  readonly ttl: number;
  readonly hops: number;
}

export function deliveriesOf(batch: EgressBatch): ReadDelivery[] {
  const read: ReadDelivery[] = [];
  forEachDelivery(batch, {
    deliver(bytes, start, end, ttl, hops, link) {
      read.push({ bytes: Buffer.from(bytes.subarray(start, end)).toString('hex'), link, ttl, hops });
    },
  });
  return read;
}

/** The same bytes at an odd offset of a larger Buffer, as a codec may hand them over. */
export function misaligned(bytes: Uint8Array): Buffer {
  const room = Buffer.alloc(bytes.length + 9, 0xee);
  room.set(bytes, 3);
  return room.subarray(3, 3 + bytes.length);
}
