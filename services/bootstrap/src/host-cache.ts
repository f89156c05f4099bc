import type { DatabaseSync } from 'node:sqlite';
import { formatPeerAddress, isUsablePeerAddress, networkOf, parsePeerAddress } from '@filbert/gnutella';
import { HostOutcome } from '@filbert/contracts';

/** Hosts kept; beyond it the half that was seen longest ago is forgotten (docs/protocol/09 §2). */
export const MAX_HOSTS = 10_000;
/** Hosts not seen for this long are forgotten when the cache is loaded. */
const MAX_AGE_MS = 7 * 24 * 3_600_000;
/** A host that was handed out is not handed out again so soon. */
const LEASE_MS = 120_000;
/** How long a host rests after a dial that did not lead to a link. */
const REST_REFUSED_MS = 30 * 60_000;
const REST_UNREACHABLE_MS = 15 * 60_000;
const REST_INCOMPATIBLE_MS = 24 * 3_600_000;
/** A configured host is wanted back soon: its rest grows from the first to the second with its failures in a row. */
const CONFIGURED_REST_MS = 2_000;
const CONFIGURED_LONGEST_REST_MS = 60_000;
/** Dials of one /24 (IPv6: /64) in one answer. */
const MAX_PER_NETWORK = 2;
/** To judge an address apart from its port. */
const ANY_PORT = 6346;

/**
 * `resting`: leased, or left alone after a dial; of the others, `proven` were linked to, `failed` were dialled in vain at
 * last, `untried` neither.
 */
export const HOST_STATES = ['untried', 'proven', 'failed', 'resting'] as const;
export type HostState = (typeof HOST_STATES)[number];

/** Why a host was not taken: its address is no peer's, or the cache is full of hosts that must stay. */
export type HostRefusal = 'unusable' | 'no-room';

/** Why what was known is forgotten: there is no room for all, or it is too old. */
export const FORGET_REASONS = ['full', 'age'] as const;
export type ForgetReason = (typeof FORGET_REASONS)[number];

export type HostSource = 'configured' | 'seed' | 'peer' | 'operator';

export interface Host {
  readonly address: string;
  source: HostSource;
  ultrapeer: boolean;
  lastSeenMs: number;
  lastTriedMs: number;
  lastConnectedMs: number;
  /** Dials in a row that led to no link. */
  failures: number;
  restUntilMs: number;
}

export interface HostCacheOptions {
  readonly database: DatabaseSync;
  readonly allowPrivate: boolean;
  /** ms since 1970 */
  readonly now: () => number;
}

/** Known hosts, in memory and saved from time to time: whom to dial, and whom to name to others. */
export class HostCache {
  readonly refused: Record<HostRefusal, number> = { unusable: 0, 'no-room': 0 };
  readonly forgotten: Record<ForgetReason, number> = { full: 0, age: 0 };
  readonly #options: HostCacheOptions;
  readonly #hosts = new Map<string, Host>();
  #changed = new Set<string>();
  #forgotten = new Set<string>();

  constructor(options: HostCacheOptions) {
    this.#options = options;
    this.#load();
  }

  get size(): number {
    return this.#hosts.size;
  }

  /** Hosts by what is known of them; one that rests is counted as that, whatever it was before. */
  byState(): Record<HostState, number> {
    const now = this.#options.now();
    const count: Record<HostState, number> = { untried: 0, proven: 0, failed: 0, resting: 0 };
    for (const host of this.#hosts.values()) {
      if (host.restUntilMs > now) count.resting++;
      else if (host.failures > 0) count.failed++;
      else if (host.lastConnectedMs > 0) count.proven++;
      else count.untried++;
    }
    return count;
  }

  /** Hosts that were linked to since they were last given up. */
  get proven(): number {
    let count = 0;
    for (const host of this.#hosts.values()) if (host.lastConnectedMs > 0 && host.failures === 0) count++;
    return count;
  }

  all(): Iterable<Host> {
    return this.#hosts.values();
  }

  /** Adds or refreshes a host. @returns false where the address is no peer's, or there is no room for it */
  add(address: string, source: HostSource, ultrapeer: boolean): boolean {
    const parsed = parsePeerAddress(address);
    if (parsed === undefined || !isUsablePeerAddress(parsed, this.#options)) {
      this.refused.unusable++;
      return false;
    }
    const key = formatPeerAddress(parsed);
    const now = this.#options.now();
    const host = this.#hosts.get(key);
    if (host === undefined) {
      if (!this.#makeRoom()) {
        this.refused['no-room']++;
        return false;
      }
      this.#hosts.set(key, {
        address: key,
        source,
        ultrapeer,
        lastSeenMs: now,
        lastTriedMs: 0,
        lastConnectedMs: 0,
        failures: 0,
        restUntilMs: 0,
      });
    } else {
      host.lastSeenMs = now;
      host.ultrapeer ||= ultrapeer;
      if (source === 'configured' || source === 'operator') {
        host.source = source;
        host.restUntilMs = 0;
        host.failures = 0;
      }
    }
    this.#changed.add(key);
    return true;
  }

  /** A configured host is one no more: its name has another address now. */
  release(address: string): void {
    const host = this.#hosts.get(address);
    if (host?.source === 'configured') host.source = 'peer';
  }

  /** Notes what an edge told of a host. */
  note(address: string, outcome: HostOutcome, ultrapeer: boolean): void {
    if (outcome === HostOutcome.HOST_OUTCOME_LEARNED) {
      this.add(address, 'peer', ultrapeer);
      return;
    }
    // Dialled at an operator's word: worth remembering once it is linked.
    if (outcome === HostOutcome.HOST_OUTCOME_CONNECTED && !this.#hosts.has(address))
      this.add(address, 'peer', ultrapeer);
    const host = this.#hosts.get(address);
    if (host === undefined) return;
    const now = this.#options.now();
    this.#changed.add(address);
    if (outcome === HostOutcome.HOST_OUTCOME_CONNECTED) {
      host.lastConnectedMs = now;
      host.lastSeenMs = now;
      host.failures = 0;
      // A link that is lost again may be dialled again soon.
      host.restUntilMs = host.source === 'configured' ? 0 : now + LEASE_MS;
      return;
    }
    host.failures++;
    host.restUntilMs = now + restAfter(host, outcome);
  }

  /**
   * Up to `wanted` hosts worth dialling, each leased for a while: configured ones first, then proven ones, then others.
   * @param configuredOnly no others
   */
  lease(wanted: number, isConnected: (address: string) => boolean, configuredOnly = false): string[] {
    const now = this.#options.now();
    const ready: Host[] = [];
    for (const host of this.#hosts.values()) {
      if (configuredOnly && host.source !== 'configured') continue;
      if (host.restUntilMs <= now && (host.ultrapeer || host.source !== 'peer') && !isConnected(host.address)) {
        ready.push(host);
      }
    }
    ready.sort((a, b) => rank(a) - rank(b) || b.lastSeenMs - a.lastSeenMs);
    const chosen = new Set<Host>();
    const perNetwork = new Map<string, number>();
    // A second host of a network only once no other network is left (conformance row 116).
    for (let most = 1; most <= MAX_PER_NETWORK; most++) {
      for (const host of ready) {
        if (chosen.size >= wanted) break;
        if (chosen.has(host)) continue;
        const network = this.#networkOf(host);
        if (network !== undefined) {
          const used = perNetwork.get(network) ?? 0;
          if (used >= most) continue;
          perNetwork.set(network, used + 1);
        }
        host.lastTriedMs = now;
        host.restUntilMs = now + (host.source === 'configured' ? CONFIGURED_REST_MS * 5 : LEASE_MS);
        this.#changed.add(host.address);
        chosen.add(host);
      }
    }
    return [...chosen].map(({ address }) => address);
  }

  /** Hosts that were linked to lately, the latest first. */
  best(most: number): string[] {
    return [...this.#hosts.values()]
      .filter((host) => host.lastConnectedMs > 0 && host.failures === 0)
      .sort((a, b) => b.lastConnectedMs - a.lastConnectedMs)
      .slice(0, most)
      .map((host) => host.address);
  }

  /** Writes what changed. @throws where the disk refuses; what was not written stays due */
  save(): void {
    if (this.#changed.size === 0 && this.#forgotten.size === 0) return;
    const { database } = this.#options;
    const put = database.prepare('INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    const drop = database.prepare('DELETE FROM hosts WHERE address = ?');
    database.exec('BEGIN');
    try {
      for (const address of this.#forgotten) drop.run(address);
      for (const address of this.#changed) {
        const host = this.#hosts.get(address);
        if (host === undefined) continue;
        put.run(
          address,
          host.ultrapeer ? 1 : 0,
          host.source,
          Math.round(host.lastSeenMs),
          Math.round(host.lastTriedMs),
          Math.round(host.lastConnectedMs),
          host.failures,
          Math.round(host.restUntilMs),
        );
      }
      database.exec('COMMIT');
    } catch (error) {
      // A full disk may have ended the transaction already.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
    this.#changed = new Set();
    this.#forgotten = new Set();
  }

  #load(): void {
    const now = this.#options.now();
    const rows = this.#options.database
      .prepare('SELECT * FROM hosts WHERE last_seen_ms > ? ORDER BY last_seen_ms DESC LIMIT ?')
      .all(now - MAX_AGE_MS, MAX_HOSTS);
    for (const row of rows) {
      const address = parsePeerAddress(String(row['address']));
      if (address === undefined || !isUsablePeerAddress(address, this.#options)) continue;
      const key = formatPeerAddress(address);
      this.#hosts.set(key, {
        address: key,
        // Who is configured is told anew at each start.
        source: row['source'] === 'seed' ? 'seed' : 'peer',
        ultrapeer: Number(row['ultrapeer']) === 1,
        // A clock that was wrong must not make a host immortal or unreachable.
        lastSeenMs: Math.min(now, Number(row['last_seen_ms'])),
        lastTriedMs: Math.min(now, Number(row['last_tried_ms'])),
        lastConnectedMs: Math.min(now, Number(row['last_connected_ms'])),
        failures: Number(row['failures']),
        restUntilMs: Math.min(now + REST_REFUSED_MS, Number(row['rest_until_ms'])),
      });
    }
    const tooOld = this.#options.database.prepare('DELETE FROM hosts WHERE last_seen_ms <= ?');
    this.forgotten.age += Number(tooOld.run(Math.round(now - MAX_AGE_MS)).changes);
  }

  /** @returns false where nobody can be forgotten */
  #makeRoom(): boolean {
    if (this.#hosts.size < MAX_HOSTS) return true;
    const forgettable = [...this.#hosts.values()].filter((host) => host.source !== 'configured');
    const peers = forgettable.filter((host) => host.source === 'peer');
    const oldest = (peers.length > 0 ? peers : forgettable)
      // Anybody can tell of addresses by the thousand: those that took a connection are kept before those.
      .sort((a, b) => Math.sign(a.lastConnectedMs) - Math.sign(b.lastConnectedMs) || a.lastSeenMs - b.lastSeenMs)
      .slice(0, MAX_HOSTS / 2);
    for (const { address } of oldest) {
      this.#hosts.delete(address);
      this.#changed.delete(address);
      this.#forgotten.add(address);
    }
    this.forgotten.full += oldest.length;
    return oldest.length > 0;
  }

  /** What a host shares its turn with; undefined where such limits do not apply. */
  #networkOf(host: Host): string | undefined {
    const ip = parsePeerAddress(host.address)?.host;
    if (ip === undefined || host.source === 'configured') return undefined;
    const isPrivate = !isUsablePeerAddress({ host: ip, port: ANY_PORT });
    return isPrivate && this.#options.allowPrivate ? undefined : networkOf(ip);
  }
}

function rank(host: Host): number {
  if (host.source === 'configured' || host.source === 'operator') return 0;
  if (host.lastConnectedMs > 0 && host.failures === 0) return 1;
  return host.source === 'seed' ? 2 + host.failures : 3 + host.failures;
}

function restAfter(host: Host, outcome: HostOutcome): number {
  if (host.source === 'configured' || host.source === 'operator') {
    return Math.min(CONFIGURED_LONGEST_REST_MS, CONFIGURED_REST_MS * 2 ** Math.min(host.failures - 1, 10));
  }
  switch (outcome) {
    case HostOutcome.HOST_OUTCOME_REFUSED:
      return REST_REFUSED_MS;
    case HostOutcome.HOST_OUTCOME_INCOMPATIBLE:
      return REST_INCOMPATIBLE_MS;
    default:
      return REST_UNREACHABLE_MS;
  }
}
