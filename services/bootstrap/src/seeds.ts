import { formatPeerAddress, parsePeerAddress } from '@filbert/gnutella';

/** Ultrapeers built in for `--seeds default`: none until the node can ask host caches. */
export const DEFAULT_SEEDS: readonly string[] = [];
/** Seeds of one list. */
export const MAX_SEEDS = 100;

export type Seeds =
  { readonly ok: true; readonly addresses: readonly string[] } | { readonly ok: false; readonly problem: string };

/** Reads `default`, `none` or `IP:PORT,…`. */
export function parseSeeds(text: string): Seeds {
  if (text === 'none') return { ok: true, addresses: [] };
  if (text === 'default') return { ok: true, addresses: DEFAULT_SEEDS };
  const addresses: string[] = [];
  for (const entry of text.split(',')) {
    const address = parsePeerAddress(entry);
    if (address === undefined) {
      return { ok: false, problem: `--seeds: "${entry.slice(0, 60)}" is not default, none or an address IP:PORT` };
    }
    addresses.push(formatPeerAddress(address));
  }
  if (addresses.length > MAX_SEEDS) return { ok: false, problem: `--seeds takes at most ${MAX_SEEDS} addresses` };
  return { ok: true, addresses };
}
