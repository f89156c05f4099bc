import { formatMagnet, formatSha1Urn, hostsServingByHash, parseFileTarget, type Sha1 } from '@filbert/gnutella';
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
  const target = parseFileTarget(text);
  if (!target.ok) {
    throw new CommandError(
      ExitCode.usage,
      target.reason === 'no-sha1'
        ? 'the magnet link names no SHA-1 that can be read'
        : 'what to download must be a magnet link, urn:sha1:…, 32 base32 digits or 40 hex digits',
    );
  }
  const { sha1, name } = target.value;
  const urn = formatSha1Urn(sha1);
  const named = { sha1, ...(name !== undefined && { name }), exactSources: [], acceptableSources: [] };
  const query = name === undefined ? urn : formatMagnet(named);
  return { text, sha1, urn, query, name, hasSources: hostsServingByHash(target.value).length > 0 };
}
