// Writes our own blocks (docs/protocol/01-handshake.md §2).

import { GnutellaError } from '../errors.ts';
import { MAX_LINE_BYTES, MAX_OWN_BLOCK_BYTES, MAX_OWN_HEADERS, MAX_REASON_CHARS } from './limits.ts';
import { sanitizeForLine } from './text.ts';

const HEADER_NAME = /^[A-Za-z][A-Za-z0-9-]*$/;
const FOLD = ',\r\n ';

/**
 * Encodes a block: start line, headers in the order given, blank line, all with CRLF. Values lose whatever could start
 * a line of its own. A value too long for a line of 1024 bytes is folded at its commas, and cut where it has none.
 * @param maxBytes the largest block that may come out
 * @throws GnutellaError `bad-handshake` for a header name that cannot stand in a block, `too-large` for a block with
 * more than 29 headers or more than `maxBytes`
 */
export function encodeBlock(
  startLine: string,
  headers: readonly (readonly [name: string, value: string])[],
  maxBytes: number = MAX_OWN_BLOCK_BYTES,
): Uint8Array {
  if (headers.length > MAX_OWN_HEADERS) throw new GnutellaError('too-large', `${headers.length} headers in a block`);
  let text = `${sanitizeForLine(startLine).slice(0, MAX_LINE_BYTES)}\r\n`;
  for (const [name, value] of headers) {
    if (!HEADER_NAME.test(name)) throw new GnutellaError('bad-handshake', 'header name is not a token');
    text += `${foldLine(`${name}: ${sanitizeForLine(value)}`)}\r\n`;
  }
  text += '\r\n';
  if (text.length > maxBytes) throw new GnutellaError('too-large', `block of ${text.length} bytes`);
  return Buffer.from(text, 'latin1');
}

/** `GNUTELLA/0.6 <code> <reason>`, the reason cut to a sane length. */
export function statusLine(code: number, reason: string): string {
  return `GNUTELLA/0.6 ${code} ${reason.slice(0, MAX_REASON_CHARS)}`;
}

function foldLine(line: string): string {
  let folded = '';
  let rest = line;
  let room = MAX_LINE_BYTES;
  while (rest.length > room) {
    const comma = rest.lastIndexOf(',', room - 1);
    if (comma <= 0) return folded + rest.slice(0, room);
    folded += rest.slice(0, comma) + FOLD;
    rest = rest.slice(comma + 1).trimStart();
    // The space that begins a continuation line is part of it.
    room = MAX_LINE_BYTES - 1;
  }
  return folded + rest;
}
