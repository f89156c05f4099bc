// GUIDs that identify nobody (docs/protocol/02-messages.md §8, 12-quirks-and-abuse.md §3 and §8).
import { GUID_BYTES } from '../header.ts';
import { guidEquals, guidFromHex } from './guid.ts';
import type { Guid } from './guid.ts';

/** Why a servent GUID is refused. */
export type ServentGuidVerdict = 'usable' | 'zero' | 'letters-only' | 'banned' | 'equals-message-guid';

/** Servent GUIDs that many servents share in the wild (02 §8); PUSH by them reaches nobody in particular. */
const BANNED: readonly Guid[] = [
  '20d262ff0e6fd6119734004005a207b1',
  '9c51e42153d4c94a858f8e8a8391173d',
  '27630b632f070ca9ffc48eb06a72c700',
  '58'.repeat(GUID_BYTES),
].flatMap((hex) => guidFromHex(hex) ?? []);

/**
 * Judges the servent GUID at `start` of a hit, a PUSH or a handshake without allocating.
 * @param messageBytes, messageStart the GUID of the message that carried it: a hit may not use its own GUID as its
 *   servent's. Leave out where there is none.
 */
export function judgeServentGuid(
  bytes: Uint8Array,
  start = 0,
  messageBytes?: Uint8Array,
  messageStart = 0,
): ServentGuidVerdict {
  if (isOneByteRepeated(bytes, start) && bytes[start] === 0) return 'zero';
  if (hasLettersOnly(bytes, start)) return 'letters-only';
  for (const banned of BANNED) {
    if (guidEquals(bytes, banned, start)) return 'banned';
  }
  if (messageBytes !== undefined && guidEquals(bytes, messageBytes, start, messageStart)) return 'equals-message-guid';
  return 'usable';
}

/** True for a message GUID that a QUERY or QUERY HIT may not have: one byte sixteen times (12 §8). */
export function isNullMessageGuid(bytes: Uint8Array, start = 0): boolean {
  return isOneByteRepeated(bytes, start);
}

function isOneByteRepeated(bytes: Uint8Array, start: number): boolean {
  for (let i = 1; i < GUID_BYTES; i += 1) {
    if (bytes[start + i] !== bytes[start]) return false;
  }
  return true;
}

/** Every byte written with the digits A to F alone (12 §3, "odd GUID"). */
function hasLettersOnly(bytes: Uint8Array, start: number): boolean {
  for (let i = start; i < start + GUID_BYTES; i += 1) {
    const byte = bytes[i] as number;
    if (byte < 0xaa || (byte & 0x0f) < 0x0a) return false;
  }
  return true;
}
