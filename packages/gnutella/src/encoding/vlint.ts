// Little-endian integers without trailing zero bytes; 0 is empty (docs/protocol/03-ggep-huge.md §4).
import { GnutellaError } from '../errors.ts';

const MAX_VLINT_BYTES = 8;

/**
 * The minimal form of a whole number from 0 to 2^53 - 1.
 * @throws GnutellaError `bad-payload` for any other number
 */
export function vlintEncode(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new GnutellaError('bad-payload', `no vlint for ${value}`);
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.push(rest % 256);
  return Uint8Array.from(bytes);
}

/** The number in up to 8 bytes, trailing zero bytes allowed; undefined when longer or over 2^53 - 1. */
export function vlintDecode(bytes: Uint8Array): number | undefined {
  if (bytes.length > MAX_VLINT_BYTES) return undefined;
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i -= 1) value = value * 256 + (bytes[i] as number);
  return Number.isSafeInteger(value) ? value : undefined;
}
