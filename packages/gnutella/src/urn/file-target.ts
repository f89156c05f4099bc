// What a person names a file by, to have it fetched.
import { hexDecode } from '../encoding/hex.ts';
import { accepted, refused, type Decoded } from '../encoding/decoded.ts';
import { asSha1, parseSha1Urn, sha1FromBase32, type Sha1 } from './file-urn.ts';
import { parseMagnet, type Magnet } from './magnet.ts';

const SHA1_HEX_DIGITS = 40;

/** A file by its hash, with what a link said of it besides. */
export interface FileTarget extends Magnet {
  readonly sha1: Sha1;
}

/** Why nothing can be fetched by a text: a link without a SHA-1, or no target at all. */
export type FileTargetRefusal = 'no-sha1' | 'not-a-target';

/** Reads a magnet link, `urn:sha1:…`, 32 base32 digits or 40 hex digits, each in any case. */
export function parseFileTarget(text: string): Decoded<FileTarget, FileTargetRefusal> {
  const trimmed = text.trim();
  if (/^magnet:/i.test(trimmed)) {
    const magnet = parseMagnet(trimmed);
    const sha1 = magnet.ok ? magnet.value.sha1 : undefined;
    return magnet.ok && sha1 !== undefined ? accepted({ ...magnet.value, sha1 }) : refused('no-sha1');
  }
  const hex = trimmed.length === SHA1_HEX_DIGITS ? hexDecode(trimmed) : undefined;
  const sha1 = hex === undefined ? (sha1FromBase32(trimmed) ?? parseSha1Urn(trimmed)) : asSha1(hex);
  return sha1 === undefined ? refused('not-a-target') : accepted({ sha1, exactSources: [], acceptableSources: [] });
}

/**
 * Hosts that a link names and that serve by hash: of `http://host:port/uri-res/N2R?…` the `host:port`, without the port where
 * the link has none. Other web addresses are no servents.
 */
export function hostsServingByHash({ exactSources, acceptableSources }: Magnet): string[] {
  return [...exactSources, ...acceptableSources].flatMap((text) => {
    const url = URL.parse(text);
    return url?.protocol === 'http:' && /^\/uri-res\/n2r$/i.test(url.pathname) ? [url.host] : [];
  });
}
