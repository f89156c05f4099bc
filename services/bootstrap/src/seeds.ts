import { parsePeerAddress } from '@filbert/gnutella';
import { formatHostPort, parseHostPort, type HostPort } from '@filbert/kit';

/** Ultrapeers built in for `--seeds default`: none until the node can ask host caches. */
const DEFAULT_SEEDS: readonly string[] = [];
/** Seeds of one list. */
export const MAX_SEEDS = 100;

/** What `--seeds` may be, as the end of a sentence. */
export const SEEDS_ALLOWED = `default, none, or at most ${MAX_SEEDS} addresses HOST:PORT separated by commas`;

/** First ultrapeers to try. */
export interface Seeds {
  readonly kind: 'default' | 'none' | 'listed';
  /** "host:port", the host an address or a name */
  readonly addresses: readonly string[];
}

/** Writes what `parseSeeds` reads. */
export function formatSeeds({ kind, addresses }: Seeds): string {
  return kind === 'listed' ? addresses.join(',') : kind;
}

/** Reads `default`, `none` or `HOST:PORT,…`; undefined for anything else. */
export function parseSeeds(text: string): Seeds | undefined {
  if (text === 'none') return { kind: 'none', addresses: [] };
  if (text === 'default') return { kind: 'default', addresses: DEFAULT_SEEDS };
  const addresses: string[] = [];
  for (const entry of text.split(',')) {
    const address = parseSeed(entry);
    if (address === undefined) return undefined;
    addresses.push(formatHostPort(address));
  }
  return addresses.length > MAX_SEEDS ? undefined : { kind: 'listed', addresses };
}

/** Reads one seed: a numeric address in any of its forms, or a name, with a port. */
function parseSeed(text: string): HostPort | undefined {
  const numeric = parsePeerAddress(text);
  if (numeric !== undefined) return numeric;
  const named = parseHostPort(text.trim());
  return named !== undefined && named.port > 0 ? named : undefined;
}
