import { formatPeerAddress, parsePeerAddress } from '@filbert/gnutella';

/** Ultrapeers built in for `--seeds default`: none until the node can ask host caches. */
const DEFAULT_SEEDS: readonly string[] = [];
/** Seeds of one list. */
export const MAX_SEEDS = 100;

/** What `--seeds` may be, as the end of a sentence. */
export const SEEDS_ALLOWED = `default, none, or at most ${MAX_SEEDS} addresses IP:PORT separated by commas`;

/** First ultrapeers to try. */
export interface Seeds {
  readonly kind: 'default' | 'none' | 'listed';
  /** "ip:port" */
  readonly addresses: readonly string[];
}

/** Writes what `parseSeeds` reads. */
export function formatSeeds({ kind, addresses }: Seeds): string {
  return kind === 'listed' ? addresses.join(',') : kind;
}

/** Reads `default`, `none` or `IP:PORT,…`; undefined for anything else. */
export function parseSeeds(text: string): Seeds | undefined {
  if (text === 'none') return { kind: 'none', addresses: [] };
  if (text === 'default') return { kind: 'default', addresses: DEFAULT_SEEDS };
  const addresses: string[] = [];
  for (const entry of text.split(',')) {
    const address = parsePeerAddress(entry);
    if (address === undefined) return undefined;
    addresses.push(formatPeerAddress(address));
  }
  return addresses.length > MAX_SEEDS ? undefined : { kind: 'listed', addresses };
}
