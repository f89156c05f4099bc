// Fixed-width integers. The caller has checked that the bytes are there: these run for every frame.

/** Unsigned 16 bits, little-endian. */
export function readU16LE(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

/** Unsigned 16 bits, big-endian. */
export function readU16BE(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** Unsigned 32 bits, little-endian. */
export function readU32LE(bytes: Uint8Array, at: number): number {
  return (readU16LE(bytes, at) | (readU16LE(bytes, at + 2) << 16)) >>> 0;
}

/** Unsigned 32 bits, big-endian. */
export function readU32BE(bytes: Uint8Array, at: number): number {
  return ((readU16BE(bytes, at) << 16) | readU16BE(bytes, at + 2)) >>> 0;
}

/** Writes 16 bits, little-endian. */
export function writeU16LE(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >>> 8) & 0xff;
}

/** Writes 16 bits, big-endian. */
export function writeU16BE(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >>> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}

/** Writes 32 bits, little-endian. */
export function writeU32LE(bytes: Uint8Array, at: number, value: number): void {
  writeU16LE(bytes, at, value & 0xffff);
  writeU16LE(bytes, at + 2, value >>> 16);
}

/** Writes 32 bits, big-endian. */
export function writeU32BE(bytes: Uint8Array, at: number, value: number): void {
  writeU16BE(bytes, at, value >>> 16);
  writeU16BE(bytes, at + 2, value & 0xffff);
}
