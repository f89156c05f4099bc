/** Handshake blocks as the raw peers write and read them (protocol page 01 §2 to §4). */

/** The role that a raw peer takes. */
export type RawRole = 'leaf' | 'ultrapeer';

/** Header changes: a value replaces or adds, null removes. Names are compared without case. */
export type HeaderChanges = Readonly<Record<string, string | null>>;

/** One block that the node sent. */
export interface HandshakeBlock {
  /** The first line. */
  readonly line: string;
  /** The status code, or 0 for a request line. */
  readonly code: number;
  readonly reason: string;
  /** Header values by lower-case name; repeated ones joined with ", ". */
  readonly headers: ReadonlyMap<string, string>;
}

const COMMON_HEADERS = {
  'User-Agent': 'RawPeer/1.0',
  'Pong-Caching': '0.1',
  'Bye-Packet': '0.1',
  GGEP: '0.5',
  'Vendor-Message': '0.2',
  'X-Query-Routing': '0.2',
  'X-Requeries': 'False',
  'X-Dynamic-Querying': '0.1',
  'X-Ultrapeer-Query-Routing': '0.1',
  'X-Degree': '32',
  'X-Max-TTL': '4',
};

/** The headers that a raw peer of this role says, before changes (protocol page 01 §12). */
export function roleHeaders(role: RawRole, serventGuid: string, remoteIp: string, deflate: boolean): HeaderChanges {
  return {
    ...COMMON_HEADERS,
    GUID: serventGuid,
    'Remote-IP': remoteIp,
    'X-Ultrapeer': role === 'ultrapeer' ? 'True' : 'False',
    'X-Ext-Probes': role === 'ultrapeer' ? '0.1' : null,
    'Accept-Encoding': deflate ? 'deflate' : null,
  };
}

/** A block of a first line and headers, with the empty line that ends it. */
export function formatBlock(line: string, headers: HeaderChanges, changes: HeaderChanges = {}): string {
  const changed = new Set(Object.keys(changes).map((name) => name.toLowerCase()));
  const kept = Object.entries(headers).filter(([name]) => !changed.has(name.toLowerCase()));
  const lines = [...kept, ...Object.entries(changes)]
    .filter((entry): entry is [string, string] => entry[1] !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line}\r\n${lines.join('')}\r\n`;
}

/** Parses a block; continuation lines and bare LF are understood. */
export function parseBlock(text: string): HandshakeBlock {
  const [line = '', ...rest] = text.replaceAll(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const headers = new Map<string, string>();
  for (const header of rest) {
    const colon = header.indexOf(':');
    if (colon < 1) continue;
    const name = header.slice(0, colon).trim().toLowerCase();
    const value = header.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const status = /^GNUTELLA\/\d+\.\d+ (\d{3}) ?(.*)$/.exec(line);
  return { line, code: Number(status?.[1] ?? 0), reason: status?.[2] ?? '', headers };
}

/** Whether a header's comma-separated value holds the token. */
export function hasToken(block: HandshakeBlock, header: string, token: string): boolean {
  const value = block.headers.get(header.toLowerCase()) ?? '';
  return value.split(',').some((part) => part.trim().toLowerCase() === token);
}
