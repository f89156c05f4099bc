// What a fresh incoming socket speaks (docs/protocol/01-handshake.md §1).

export type Sniffed = 'need-more' | 'gnutella' | 'http' | 'giv' | 'tls' | 'queue' | 'connect-back' | 'unknown';

const LF = 0x0a;
const CR = 0x0d;
const FIRST_PRINTABLE = 0x20;
const LAST_PRINTABLE = 0x7e;

const PREFIXES: readonly { readonly bytes: Uint8Array; readonly kind: Sniffed }[] = (
  [
    ['GNUTELLA CONNECT/', 'gnutella'],
    ['GET ', 'http'],
    ['HEAD ', 'http'],
    ['GIV ', 'giv'],
    ['QUEUE ', 'queue'],
    // LimeWire answers a TCP-connect-back with "CONNECT BACK", gtk-gnutella with two empty lines.
    ['CONNECT ', 'connect-back'],
  ] as const
).map(([text, kind]) => ({ bytes: Buffer.from(text, 'latin1'), kind }));

/**
 * Tells what the first bytes of an incoming socket speak. Give it everything that arrived so far; `need-more` is only
 * answered while those bytes are the beginning of something known, so never for more than 16 bytes, well within the
 * 1024 bytes of a first line. Any first byte that is not printable is taken for TLS.
 * docs/protocol/01-handshake.md §1.
 */
export function sniff(bytes: Uint8Array): Sniffed {
  const first = bytes[0];
  if (first === undefined) return 'need-more';
  if (first === LF || first === CR) return sniffEmptyLines(bytes);
  if (first < FIRST_PRINTABLE || first > LAST_PRINTABLE) return 'tls';
  for (const prefix of PREFIXES) {
    const common = commonLength(bytes, prefix.bytes);
    if (common === prefix.bytes.length) return prefix.kind;
    if (common === bytes.length) return 'need-more';
  }
  return 'unknown';
}

/** Two empty lines: somebody answered our TCP-connect-back, we can be reached. */
function sniffEmptyLines(bytes: Uint8Array): Sniffed {
  let at = 0;
  for (let line = 0; line < 2; line++) {
    if (bytes[at] === CR) at++;
    if (at >= bytes.length) return 'need-more';
    if (bytes[at] !== LF) return 'unknown';
    at++;
  }
  return 'connect-back';
}

function commonLength(bytes: Uint8Array, prefix: Uint8Array): number {
  let at = 0;
  while (at < prefix.length && at < bytes.length && bytes[at] === prefix[at]) at++;
  return at;
}
