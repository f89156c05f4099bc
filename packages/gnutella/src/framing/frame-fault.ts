// Why a stream of frames cannot go on (docs/protocol/02-messages.md §1 and §4).

import { Descriptor } from '../header.ts';

export type FrameFaultReason =
  /** The payload is over the limit of its type. */
  | 'too-large'
  /** The length is over 65535 without bit 31: no length at all. */
  | 'bad-length'
  /** Bit 31 of the length is set, though the link has no `sflag`. */
  | 'unexpected-flags';

/** A length that ends the link; nothing after it can be framed. */
export interface FrameFault {
  readonly reason: FrameFaultReason;
  readonly byeCode: 400;
  /** False for a BYE that is too long: it is never answered with a BYE, the link just closes. */
  readonly mayBye: boolean;
  readonly descriptor: number;
  /** The raw 32-bit length field. */
  readonly length: number;
}

const NAMES = new Map<number, string>(
  Object.entries(Descriptor).map(([name, code]) => [code, name.toLowerCase().replace('_', ' ')]),
);

/** The text of the BYE that tells a peer: `Too large query (2000 bytes)`. */
export function describeFrameFault(fault: FrameFault): string {
  const name = NAMES.get(fault.descriptor) ?? `0x${fault.descriptor.toString(16).padStart(2, '0')}`;
  return `Too large ${name} message (${fault.length} bytes)`;
}
