import {
  asSha1,
  formatMagnet,
  formatSha1Urn,
  hexDecode,
  parseMagnet,
  parseSha1Urn,
  sha1FromBase32,
  type Sha1,
} from '@filbert/gnutella';
import { CommandError, ExitCode } from '../exit-codes.ts';

/** What a person wants fetched. */
export interface DownloadTarget {
  /** As it was typed. */
  readonly text: string;
  readonly sha1: Sha1;
  /** `urn:sha1:…` */
  readonly urn: string;
  /** What the network is searched for: a magnet's name leads to sources that its hash alone does not reach. */
  readonly query: string;
  /** A magnet's own name for it. */
  readonly name: string | undefined;
  /** It names a host that serves by hash. */
  readonly hasSources: boolean;
}

/**
 * Reads a magnet link, `urn:sha1:…`, 32 base32 digits or 40 hex digits.
 * @throws CommandError where it is none of these
 */
export function readTarget(typed: string): DownloadTarget {
  const text = typed.trim();
  if (/^magnet:/i.test(text)) {
    const magnet = parseMagnet(text);
    if (!magnet.ok || magnet.value.sha1 === undefined) {
      throw new CommandError(ExitCode.usage, 'the magnet link names no SHA-1 that can be read');
    }
    const { sha1, name, exactSources, acceptableSources } = magnet.value;
    const hasSources = [...exactSources, ...acceptableSources].some(servesByHash);
    const urn = formatSha1Urn(sha1);
    const query = formatMagnet({ sha1, ...(name !== undefined && { name }), exactSources: [], acceptableSources: [] });
    return { text, sha1, urn, query, name, hasSources };
  }
  const hex = text.length === 40 ? hexDecode(text) : undefined;
  const sha1 = hex === undefined ? (sha1FromBase32(text) ?? parseSha1Urn(text)) : asSha1(hex);
  if (sha1 === undefined) {
    throw new CommandError(
      ExitCode.usage,
      'what to download must be a magnet link, urn:sha1:…, 32 base32 digits or 40 hex digits',
    );
  }
  const urn = formatSha1Urn(sha1);
  return { text, sha1, urn, query: urn, name: undefined, hasSources: false };
}

/** Other web addresses in a magnet are not fetched from. */
function servesByHash(address: string): boolean {
  const url = URL.parse(address);
  return url?.protocol === 'http:' && /^\/uri-res\/n2r$/i.test(url.pathname);
}
