// The 23-byte descriptor header (docs/protocol/02-messages.md §1): GUID, function, TTL, hops, payload length.

export const HEADER_BYTES = 23;
export const GUID_BYTES = 16;
export const FUNCTION_OFFSET = 16;
export const TTL_OFFSET = 17;
export const HOPS_OFFSET = 18;
export const LENGTH_OFFSET = 19;

/** Function codes, docs/protocol/02-messages.md §2. */
export const Descriptor = {
  PING: 0x00,
  PONG: 0x01,
  BYE: 0x02,
  QRP: 0x30,
  VENDOR: 0x31,
  STANDARD_VENDOR: 0x32,
  PUSH: 0x40,
  RUDP: 0x41,
  DHT: 0x44,
  QUERY: 0x80,
  QUERY_HIT: 0x81,
  HSEP: 0xcd,
} as const;

/** The architectural limit of a payload; the upper 16 bits of the length field are flags (§1). */
export const MAX_PAYLOAD_BYTES = 0xffff;

/** Reads the raw 32-bit length field of the header that starts at `start`. */
export function rawLength(bytes: Uint8Array, start: number): number {
  const at = start + LENGTH_OFFSET;
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

/** Payload length in bytes of the header that starts at `start`, size flags stripped. */
export function payloadLength(bytes: Uint8Array, start: number): number {
  const at = start + LENGTH_OFFSET;
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

/**
 * Writes a header into `target` at `start`.
 * @param guid 16 bytes
 * @param payloadBytes 0…65535
 */
export function writeHeader(
  target: Uint8Array,
  start: number,
  guid: Uint8Array,
  descriptor: number,
  ttl: number,
  hops: number,
  payloadBytes: number,
): void {
  target.set(guid.length === GUID_BYTES ? guid : guid.subarray(0, GUID_BYTES), start);
  target[start + FUNCTION_OFFSET] = descriptor;
  target[start + TTL_OFFSET] = ttl;
  target[start + HOPS_OFFSET] = hops;
  target[start + LENGTH_OFFSET] = payloadBytes & 0xff;
  target[start + LENGTH_OFFSET + 1] = payloadBytes >>> 8;
  target[start + LENGTH_OFFSET + 2] = 0;
  target[start + LENGTH_OFFSET + 3] = 0;
}
