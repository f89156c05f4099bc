// GUIDs: message ids and servent ids (docs/protocol/02-messages.md §1).
import { base32Decode, base32Encode } from '../encoding/base32.ts';
import { hexDecode, hexEncode } from '../encoding/hex.ts';
import { latin1 } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { GUID_BYTES } from '../header.ts';

declare const guidBrand: unique symbol;

/** 16 opaque bytes. */
export type Guid = Uint8Array & { readonly [guidBrand]: 'Guid' };

/** A source of random bytes, such as `randomBytes` of node:crypto. */
export type RandomBytes = (size: number) => Uint8Array;

/** The GUID of messages that belong to nothing, such as vendor messages. */
export const ZERO_GUID: Guid = new Uint8Array(GUID_BYTES) as Guid;

const MARK_OFFSET = 8;
const VERSION_OFFSET = 15;
const MODERN_MARK = 0xff;
const REQUERY_BIT = 0x01;
const BASE32_CHARS = 26;

/**
 * Takes 16 bytes as a GUID, without a copy.
 * @throws GnutellaError `bad-guid` for another length
 */
export function asGuid(bytes: Uint8Array): Guid {
  if (bytes.length !== GUID_BYTES) throw new GnutellaError('bad-guid', `a GUID has 16 bytes, not ${bytes.length}`);
  return bytes as Guid;
}

/**
 * A copy of the GUID at `start`, which the caller may keep.
 * @throws GnutellaError `bad-guid` when fewer than 16 bytes are there
 */
export function guidAt(bytes: Uint8Array, start: number): Guid {
  return asGuid(new Uint8Array(bytes.subarray(start, start + GUID_BYTES)));
}

/** A random servent GUID with the LimeWire marks: byte 8 = 0xFF, byte 15 = 0x00 (§1). */
export function randomServentGuid(random: RandomBytes): Guid {
  const guid = asGuid(new Uint8Array(random(GUID_BYTES)));
  guid[MARK_OFFSET] = MODERN_MARK;
  guid[VERSION_OFFSET] = 0;
  return guid;
}

/**
 * A random message GUID with the marks of a modern servent.
 * @param requery sets the mark of an automatic repetition (§1)
 */
export function randomMessageGuid(random: RandomBytes, requery = false): Guid {
  const guid = randomServentGuid(random);
  if (requery) guid[VERSION_OFFSET] = REQUERY_BIT;
  return guid;
}

/** True when the GUID at `start` carries the mark of an automatic requery: bit 0 of byte 15 (§1). */
export function isRequeryGuid(bytes: Uint8Array, start = 0): boolean {
  return ((bytes[start + VERSION_OFFSET] as number) & REQUERY_BIT) !== 0;
}

/** 32 lower-case hexadecimal digits. */
export function guidToHex(guid: Uint8Array, start = 0): string {
  return hexEncode(guid, start, start + GUID_BYTES);
}

/** Reads 32 hexadecimal digits in either case; undefined for anything else. */
export function guidFromHex(text: string): Guid | undefined {
  if (text.length !== 2 * GUID_BYTES) return undefined;
  return hexDecode(text) as Guid | undefined;
}

/** The 26 base32 digits of `ServerId=` (docs/protocol/08-push-and-transfers.md). */
export function guidToBase32(guid: Guid): string {
  return base32Encode(guid);
}

/** Reads 26 base32 digits in either case; undefined for anything else. */
export function guidFromBase32(text: string): Guid | undefined {
  if (text.length !== BASE32_CHARS) return undefined;
  return base32Decode(text) as Guid | undefined;
}

/** Compares the GUIDs at two places without allocating. */
export function guidEquals(a: Uint8Array, b: Uint8Array, aStart = 0, bStart = 0): boolean {
  for (let i = 0; i < GUID_BYTES; i += 1) {
    if (a[aStart + i] !== b[bStart + i]) return false;
  }
  return true;
}

/** A key for maps: 16 characters, one per byte. Allocates a string: not for the path of every frame. */
export function guidKey(bytes: Uint8Array, start = 0): string {
  return latin1(bytes, start, start + GUID_BYTES);
}
