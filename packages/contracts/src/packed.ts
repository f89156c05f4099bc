// Packed little-endian arrays inside bus messages.
import { endianness } from 'node:os';

if (endianness() !== 'LE')
  throw new Error('Filbert packs its bus messages in native order and needs a little-endian machine.');

/**
 * The u32 values packed in `bytes`. A view where the alignment allows it, else a copy; a tail of fewer than four bytes is
 * ignored.
 */
export function unpackUint32(bytes: Uint8Array): Uint32Array {
  const count = bytes.length >>> 2;
  if ((bytes.byteOffset & 3) === 0) return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
  return new Uint32Array(copied(bytes, count << 2));
}

/** The u16 values packed in `bytes`, as `unpackUint32`. */
export function unpackUint16(bytes: Uint8Array): Uint16Array {
  const count = bytes.length >>> 1;
  if ((bytes.byteOffset & 1) === 0) return new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  return new Uint16Array(copied(bytes, count << 1));
}

/** The first bytes in memory of their own: `slice` would not do, because that of a Buffer is a view. */
function copied(bytes: Uint8Array, length: number): ArrayBuffer {
  return new Uint8Array(bytes.subarray(0, length)).buffer;
}

/** The bytes of a typed array, without a copy. */
export function packed(values: Uint32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
