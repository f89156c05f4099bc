import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { canonicalHost, isUsablePeerAddress, type PeerAddress } from '@filbert/gnutella';
import { formatHostPort, type HostPort, type Logger, errorCode } from '@filbert/kit';

/** A look-up that took longer has failed. */
export const LOOKUP_TIMEOUT_MS = 5_000;
/** Addresses of one name that are used; further ones are passed over. */
export const MAX_ADDRESSES_PER_NAME = 4;
/** A name that could not be looked up is tried again after this time, one that could be is looked up anew. */
export const RETRY_LOOKUP_MS = 30_000;
export const REFRESH_LOOKUP_MS = 300_000;
/** Look-ups under way at one time: each takes one of the few threads that the process has for such work. */
export const MAX_LOOKUPS = 2;

/** All addresses of a name. @throws where there are none */
export type LookUp = (name: string) => Promise<readonly LookupAddress[]>;

export interface NamedHostsOptions {
  readonly logger: Logger;
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
  /** By default the system's. */
  readonly lookUp?: LookUp;
}

/** What a look-up came to. */
interface Answer {
  readonly found: readonly LookupAddress[];
  /** Why nothing was found; else empty. */
  readonly problem: string;
}

interface Entry {
  readonly address: HostPort;
  /** Of `--connect`, for example. */
  readonly setting: string;
  readonly onAddresses: (addresses: readonly PeerAddress[]) => void;
  dueAt: number;
  busy: boolean;
  /** What is known: addresses found, or that it failed, so that each is told once. */
  told: string;
}

/**
 * The hosts of the settings, which may be names: finds their addresses, again and again, for a name may get another
 * address, and one that cannot be looked up now can be later.
 */
export class NamedHosts {
  readonly #options: NamedHostsOptions;
  readonly #entries: Entry[] = [];
  #lookUps = 0;
  #stopped = false;

  constructor(options: NamedHostsOptions) {
    this.#options = options;
  }

  /**
   * Follows a host of the settings. One that is an address already is told at once and never again.
   * @param onAddresses told of up to `MAX_ADDRESSES_PER_NAME` addresses that may be a peer's, IPv4 first, whenever they
   *   were looked up
   */
  add(address: HostPort, setting: string, onAddresses: (addresses: readonly PeerAddress[]) => void): void {
    const host = canonicalHost(address.host);
    if (host !== undefined) onAddresses([{ host, port: address.port }]);
    else this.#entries.push({ address, setting, onAddresses, dueAt: 0, busy: false, told: '' });
  }

  /** Looks up what is due; call it every few seconds. */
  tick(): void {
    const now = this.#options.now();
    for (const entry of this.#entries) {
      if (this.#stopped || this.#lookUps >= MAX_LOOKUPS) return;
      if (!entry.busy && entry.dueAt <= now) void this.#lookUp(entry);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async #lookUp(entry: Entry): Promise<void> {
    const { allowPrivate, now, lookUp = systemLookUp } = this.#options;
    entry.busy = true;
    entry.dueAt = now() + RETRY_LOOKUP_MS;
    this.#lookUps++;
    const asked = lookUp(entry.address.host).then<Answer, Answer>(
      (found) => ({ found, problem: '' }),
      (error: unknown) => ({ found: [], problem: reasonOf(error) }),
    );
    // A look-up cannot be taken back: the name is not asked for again before it ended.
    void asked.then(() => {
      entry.busy = false;
      this.#lookUps--;
      this.tick();
    });
    const { found, problem } = await inTime(asked);
    if (this.#stopped) return;
    const usable: PeerAddress[] = [];
    for (const { address } of found) {
      const host = canonicalHost(address);
      if (host === undefined || usable.length >= MAX_ADDRESSES_PER_NAME) continue;
      const peer = { host, port: entry.address.port };
      if (isUsablePeerAddress(peer, { allowPrivate })) usable.push(peer);
    }
    usable.sort((a, b) => Number(a.host.includes(':')) - Number(b.host.includes(':')));
    if (usable.length > 0) entry.dueAt = now() + REFRESH_LOOKUP_MS;
    this.#tell(entry, usable, found.length, problem);
    if (usable.length > 0) entry.onAddresses(usable);
  }

  #tell(entry: Entry, usable: readonly PeerAddress[], found: number, problem: string): void {
    const addresses = usable.map(formatHostPort);
    const told = addresses.join() || problem || 'unusable';
    if (told === entry.told) return;
    entry.told = told;
    const about = { address: formatHostPort(entry.address), setting: entry.setting };
    const { logger } = this.#options;
    if (usable.length > 0) {
      logger.info({ ...about, addresses }, 'name looked up');
    } else if (found > 0) {
      logger.warn(
        about,
        'not used: none of the addresses of this name is one of a peer; loopback and private ones need --allow-private; looked up again every 30 s',
      );
    } else {
      logger.warn({ ...about, problem }, 'the name cannot be looked up: tried again every 30 s');
    }
  }
}

function systemLookUp(name: string): Promise<LookupAddress[]> {
  return lookup(name, { all: true, order: 'ipv4first' });
}

async function inTime(asked: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve({ found: [], problem: 'no answer in time' }), LOOKUP_TIMEOUT_MS);
    timer.unref();
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(error: unknown): string {
  return errorCode(error) ?? (error instanceof Error ? error.message : String(error));
}
