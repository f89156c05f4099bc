// What a request asks for (docs/protocol/08-push-and-transfers.md §4).
import { parseSha1Urn, type Sha1 } from '@filbert/gnutella';
import type { MessageHead } from '../network/message-head.ts';

/** What a request line names. */
export type Target =
  | { readonly kind: 'browse' }
  | { readonly kind: 'index'; readonly index: number; readonly name: string }
  | { readonly kind: 'urn'; readonly sha1: Sha1 }
  | { readonly kind: 'robots' }
  | { readonly kind: 'push-proxy'; readonly parameters: string }
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'bad'; readonly reason: 'Bad Path' | 'Bad URI' };

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD';
  readonly target: Target;
  /** HTTP/1.1 or later; else 1.0. */
  readonly isHttp11: boolean;
  readonly keepAlive: boolean;
  readonly headers: ReadonlyMap<string, string>;
}

export type RequestRefusal = { readonly status: 400 | 501; readonly reason: string };

/** Reads a request. Only GET and HEAD exist, and neither has a body. */
export function parseRequest({ startLine, headers }: MessageHead): HttpRequest | RequestRefusal {
  const match = /^([A-Za-z]{1,32})[ \t]+(\S+)[ \t]+http\/(\d)\.(\d)[ \t]*$/i.exec(startLine);
  if (match === null) return { status: 400, reason: 'Bad Request' };
  const [, method = '', target = '', major, minor] = match;
  if (major !== '1') return { status: 400, reason: 'Unsupported HTTP Version' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 501, reason: 'Not Implemented' };
  const isHttp11 = minor !== '0';
  if (isHttp11 && !headers.has('host')) return { status: 400, reason: 'Missing Host Header' };
  if (headers.has('transfer-encoding') || !/^0*$/.test(headers.get('content-length') ?? '')) {
    return { status: 400, reason: 'Unexpected Body' };
  }
  const connection = (headers.get('connection') ?? '').toLowerCase();
  const keepAlive = isHttp11 ? !connection.includes('close') : connection.includes('keep-alive');
  return { method, target: parseTarget(target), isHttp11, keepAlive, headers };
}

/** Reads the target of a request line, in origin form or with `http://host` in front. */
export function parseTarget(target: string): Target {
  const path = target.replace(/^http:\/\/[^/]*/i, '');
  if (!path.startsWith('/')) return { kind: 'bad', reason: 'Bad URI' };
  const resolver = /^\/uri-res\/([^?]*)(?:\?(.*))?$/i.exec(path);
  if (resolver !== null) return resolverTarget((resolver[1] ?? '').toLowerCase(), resolver[2] ?? '');
  const query = path.indexOf('?');
  const bare = query < 0 ? path : path.slice(0, query);
  if (bare === '/') return { kind: 'browse' };
  const get = /^\/get\/([^/]*)\/(.*)$/i.exec(path);
  if (get !== null) return indexTarget(get[1] ?? '', get[2] ?? '');
  if (/^\/(gnutella\/push-?proxy|gnet\/push-proxy)$/i.test(bare)) {
    return { kind: 'push-proxy', parameters: query < 0 ? '' : path.slice(query + 1) };
  }
  const decoded = decodePercent(bare);
  if (decoded === undefined) return { kind: 'bad', reason: 'Bad URI' };
  if (isBadPath(decoded.slice(1))) return { kind: 'bad', reason: 'Bad Path' };
  return bare === '/robots.txt' ? { kind: 'robots' } : { kind: 'unknown' };
}

function resolverTarget(service: string, query: string): Target {
  if (service === 'n2l' || service === 'n2ls' || service === 'n2ns' || service === 'n2c') {
    return { kind: 'unsupported' };
  }
  if (service !== 'n2r') return { kind: 'unknown' };
  const urn = decodePercent(query);
  const sha1 = urn === undefined ? undefined : parseSha1Urn(urn);
  return sha1 === undefined ? { kind: 'unknown' } : { kind: 'urn', sha1 };
}

function indexTarget(digits: string, encodedName: string): Target {
  const name = decodePercent(encodedName);
  if (name === undefined) return { kind: 'bad', reason: 'Bad URI' };
  if (isBadPath(name)) return { kind: 'bad', reason: 'Bad Path' };
  const index = /^\d{1,10}$/.test(digits) ? Number(digits) : Number.NaN;
  // Beyond 31 bits no index of ours exists, and 0x7FFFFFFF is nobody's (§4).
  return index < 0x7fffffff ? { kind: 'index', index, name } : { kind: 'unknown' };
}

/** `..`, NUL and empty components have no place in a name (§4). */
function isBadPath(path: string): boolean {
  if (path.includes('\0')) return true;
  const components = path.split(/[/\\]/);
  return components.some((component) => component === '..' || component === '.' || component === '');
}

/** Percent escapes to bytes, then UTF-8, or Latin-1 where it is none. Undefined for a broken escape. */
export function decodePercent(text: string): string | undefined {
  if (/%(?![0-9a-f]{2})/i.test(text)) return undefined;
  const bytes = Buffer.from(
    text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  );
  const utf8 = bytes.toString('utf8');
  return utf8.includes('\ufffd') ? bytes.toString('latin1') : utf8;
}
