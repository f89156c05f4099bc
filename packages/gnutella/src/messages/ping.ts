// PING, 0x00 (docs/protocol/02-messages.md §5).
import { accepted } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { encodeGgep } from '../ggep/encode.ts';
import type { GgepPart } from '../ggep/encode.ts';
import { parseGgepTail } from '../ggep/parse.ts';
import type { GgepEntry, GgepTailRefusal } from '../ggep/parse.ts';
import { Descriptor } from '../header.ts';
import { encodeFrame } from './frame.ts';
import type { Envelope } from './frame.ts';

/** Bits of the GGEP value SCP in a PING (docs/protocol/03-ggep-huge.md §5). */
export const ScpFlag = { WANTS_ULTRAPEERS: 0x01, HAS_TLS: 0x02, WANTS_IPV6: 0x04, NO_IPV4: 0x08 } as const;

/** What the sender of a PING wants, by its hops and TTL. */
export type PingPurpose = 'alive' | 'crawler' | 'acknowledgement' | 'refill';

/** A PING's payload. */
export interface Ping {
  readonly ggep: readonly GgepEntry[];
}

/** The table of 02 §5. */
export function pingPurpose(hops: number, ttl: number): PingPurpose {
  if (hops > 0 || ttl > 2) return 'refill';
  if (ttl === 2) return 'crawler';
  return ttl === 1 ? 'alive' : 'acknowledgement';
}

/** A PING frame. */
export function encodePing(envelope: Envelope, ggep: readonly GgepPart[] = []): Uint8Array {
  return encodeFrame(envelope, Descriptor.PING, encodeGgep(ggep));
}

/** Decodes the payload `bytes[start, end)`: nothing, or GGEP and nothing else. */
export function decodePing(bytes: Uint8Array, start: number, end: number): Decoded<Ping, GgepTailRefusal> {
  const ggep = parseGgepTail(bytes, start, end);
  return ggep.ok ? accepted({ ggep: ggep.value }) : ggep;
}
