// BYE, 0x02 (docs/protocol/02-messages.md §7).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU16LE, writeU16LE } from '../encoding/integers.ts';
import { indexOfNul, lenientUtf8, utf8Bytes } from '../encoding/text.ts';
import { GnutellaError } from '../errors.ts';
import { Descriptor, HEADER_BYTES } from '../header.ts';
import { newFrame } from './frame.ts';
import type { Envelope } from './frame.ts';

/** The codes in use (02 §7). 2xx: the peer did nothing wrong; 4xx: the peer's fault; 5xx: ours. */
export const ByeCode = {
  SHUTTING_DOWN: 200,
  USER_REMOVED: 201,
  LOCAL_NODE_PREFERRED: 202,
  CHANGING_PEER_MODE: 203,
  MESSAGE_TOO_LARGE: 400,
  TOO_MANY_DUPLICATES: 401,
  TOO_MANY_HIGH_TTL: 403,
  ACTIVITY_TIMEOUT: 405,
  NO_ALIVE_REPLY: 406,
  TTL_ZERO: 408,
  TOO_MANY_ERRORS: 409,
  SECURITY_VIOLATION: 412,
  BAD_QRP: 413,
  LEAF_RELAYED: 414,
  HOSTILE_PEER: 415,
  INTERNAL_ERROR: 500,
  DESYNCHRONISED: 501,
  SEND_QUEUE_FULL: 502,
  NO_SLOT: 503,
  ROLE_SWITCHED: 504,
  PROTOCOL_NOT_SUPPORTED: 505,
} as const;

/** A code of {@link ByeCode}. */
export type ByeCodeValue = (typeof ByeCode)[keyof typeof ByeCode];

/** A longer payload closes the link at once (02 §4). */
export const MAX_BYE_BYTES = 4096;
const MIN_BYE_BYTES = 2;
const MAX_BYE_HEADERS = 16;
const MAX_BYE_TTL = 1;

/** Why a peer leaves. */
export interface Bye {
  readonly code: number;
  readonly message: string;
  /** gtk-gnutella adds headers such as Server; names in lower case, the first of a name wins. */
  readonly headers: ReadonlyMap<string, string>;
}

export type ByeRefusal = 'short' | 'too-large' | 'bad-hops-or-ttl';

/** Whose fault a BYE says it is; `unknown` for codes outside 2xx, 4xx and 5xx. */
export function byeFault(code: number): 'nobody' | 'receiver' | 'sender' | 'unknown' {
  if (code >= 200 && code < 300) return 'nobody';
  if (code >= 400 && code < 500) return 'receiver';
  return code >= 500 && code < 600 ? 'sender' : 'unknown';
}

/**
 * A BYE frame, TTL 1, hops 0. With headers the text is `message CRLF Name: value CRLF … CRLF`.
 * @throws GnutellaError `too-large` over 4096 bytes, `bad-payload` for a line break or NUL inside message or headers
 */
export function encodeBye(
  guid: Envelope['guid'],
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Uint8Array {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  for (const line of [message, ...lines]) {
    if (/[\r\n\0]/.test(line)) throw new GnutellaError('bad-payload', 'a line of a BYE has no line break or NUL');
  }
  const text = utf8Bytes(lines.length === 0 ? message : [message, ...lines, '', ''].join('\r\n'));
  const payloadBytes = MIN_BYE_BYTES + text.length + 1;
  if (payloadBytes > MAX_BYE_BYTES) throw new GnutellaError('too-large', 'a BYE has at most 4096 bytes');
  const frame = newFrame({ guid, ttl: 1 }, Descriptor.BYE, payloadBytes);
  writeU16LE(frame, HEADER_BYTES, code);
  frame.set(text, HEADER_BYTES + MIN_BYE_BYTES);
  return frame;
}

/** Decodes the payload `bytes[start, end)`; a missing NUL and text that is not UTF-8 are tolerated. */
export function decodeBye(bytes: Uint8Array, start: number, end: number, hops = 0, ttl = 1): Decoded<Bye, ByeRefusal> {
  if (hops !== 0 || ttl > MAX_BYE_TTL) return refused('bad-hops-or-ttl');
  if (end - start < MIN_BYE_BYTES) return refused('short');
  if (end - start > MAX_BYE_BYTES) return refused('too-large');
  const textStart = start + MIN_BYE_BYTES;
  const nul = indexOfNul(bytes, textStart, end);
  const text = lenientUtf8(bytes, textStart, nul < 0 ? end : nul);
  const [message = '', ...lines] = text.split(/\r?\n/, MAX_BYE_HEADERS + 1);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    if (colon > 0 && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim());
  }
  return accepted({ code: readU16LE(bytes, start), message, headers });
}
