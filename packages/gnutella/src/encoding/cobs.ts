// Consistent overhead byte stuffing: a NUL-free form of any bytes (docs/protocol/03-ggep-huge.md §3).

/** A block of 254 data bytes has no NUL behind it. */
const FULL_BLOCK_CODE = 0xff;

/** The NUL-free form of `bytes`: one byte longer, and one more for every 254 bytes without a NUL. */
export function cobsEncode(bytes: Uint8Array): Uint8Array {
  const encoded = new Uint8Array(bytes.length + Math.ceil(bytes.length / 254) + 1);
  let codeAt = 0;
  let to = 1;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] as number;
    if (byte !== 0) {
      encoded[to] = byte;
      to += 1;
    }
    const full = to - codeAt === FULL_BLOCK_CODE;
    // A full block that ends the data is the last one: the decoder also takes a superfluous 01 behind it.
    if (byte === 0 || (full && i + 1 < bytes.length)) {
      encoded[codeAt] = to - codeAt;
      codeAt = to;
      to += 1;
    }
  }
  encoded[codeAt] = to - codeAt;
  return encoded.slice(0, to);
}

/**
 * Bytes of the COBS data in `bytes[start, end)`.
 * @returns undefined when it holds a NUL, or a block runs past the end, or nothing is there
 */
export function cobsDecode(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array | undefined {
  if (end <= start) return undefined;
  const decoded = new Uint8Array(end - start);
  let to = 0;
  let at = start;
  while (at < end) {
    const code = bytes[at] as number;
    const blockEnd = at + code;
    if (code === 0 || blockEnd > end) return undefined;
    for (at += 1; at < blockEnd; at += 1) {
      const byte = bytes[at] as number;
      if (byte === 0) return undefined;
      decoded[to] = byte;
      to += 1;
    }
    // The zero is implied: the array is zero-filled.
    if (code < FULL_BLOCK_CODE && at < end) to += 1;
  }
  return decoded.slice(0, to);
}
