// Bytes to text and back. Both decoders are total: bytes of a peer never make them throw.

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LENIENT_UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });
const UTF8_ENCODER = new TextEncoder();

/** UTF-8 bytes of `text`. */
export function utf8Bytes(text: string): Uint8Array {
  return UTF8_ENCODER.encode(text);
}

/** Text of `bytes[start, end)`, or undefined when it is not valid UTF-8. A byte order mark is kept. */
export function strictUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  try {
    return STRICT_UTF8.decode(bytes.subarray(start, end));
  } catch {
    return undefined;
  }
}

/** Text of `bytes[start, end)` with U+FFFD where it is not valid UTF-8. */
export function lenientUtf8(bytes: Uint8Array, start: number, end: number): string {
  return LENIENT_UTF8.decode(bytes.subarray(start, end));
}

/** One character per byte of `bytes[start, end)`: for ASCII fields such as vendor codes, total for all others. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, Math.max(0, end - start)).toString('latin1');
}

/** The low byte of each character. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i) & 0xff;
  return bytes;
}

/** Index of the first NUL in `bytes[start, end)`, or -1. */
export function indexOfNul(bytes: Uint8Array, start: number, end: number): number {
  const at = bytes.indexOf(0, start);
  return at >= 0 && at < end ? at : -1;
}

/** The parts one after another. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
