// Payload sizes beyond which a link is given up (docs/protocol/02-messages.md §4).

import { Descriptor, MAX_PAYLOAD_BYTES } from '../header.ts';

/** Largest payloads taken, in bytes. What is longer ends the link: it cannot be skipped sensibly. */
export interface FrameLimits {
  readonly query: number;
  readonly queryHit: number;
  readonly bye: number;
  readonly other: number;
}

export const FRAME_LIMITS: FrameLimits = { query: 1024, queryHit: MAX_PAYLOAD_BYTES, bye: 4096, other: 40_960 };

/** The payload limit of a descriptor, in bytes. */
export function frameLimit(limits: FrameLimits, descriptor: number): number {
  switch (descriptor) {
    case Descriptor.QUERY:
      return limits.query;
    case Descriptor.QUERY_HIT:
      return limits.queryHit;
    case Descriptor.BYE:
      return limits.bye;
    default:
      return limits.other;
  }
}
