import type { PeerLink } from '../link/peer-link.ts';

/** Hop counts are filed in lines 0 … 4; anything higher goes into the last (docs/protocol/04 §2). */
const LINES = 5;
/** Pongs of one line, and of one link in one line: a link cannot fill the cache by itself. */
export const MAX_PONGS_PER_LINE = 50;
export const MAX_PONGS_PER_LINK_AND_LINE = 10;
/** The whole cache is emptied this often; then it is filled anew by pings, ms. */
export const PONG_LIFETIME_MS = 20_000;
/** Addresses of ultrapeers seen last, for X-Try-Ultrapeers. */
export const MAX_RECENT_ULTRAPEERS = 50;

/** A pong that somebody else sent. */
export interface CachedPong {
  /** "ip:port" */
  readonly address: string;
  readonly hops: number;
  readonly isUltrapeer: boolean;
  readonly from: PeerLink;
  /** Its payload, bounded by the caller. */
  readonly payload: Uint8Array;
}

/** Pongs by the hops they came, so that pings are answered without being relayed (docs/protocol/04 §1 to §3). */
export class PongCache {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #lines: CachedPong[][] = Array.from({ length: LINES }, () => []);
  readonly #recent: string[] = [];
  #emptiedAt: number;

  /** @param now ms, monotonic @param random 0 … 1 */
  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
    this.#emptiedAt = now();
  }

  get size(): number {
    return this.#lines.reduce((sum, line) => sum + line.length, 0);
  }

  /** Ultrapeers heard of lately, the newest first. */
  get recentUltrapeers(): readonly string[] {
    return this.#recent;
  }

  /** @returns whether the address is new to the cache */
  add(pong: CachedPong): boolean {
    if (pong.isUltrapeer) this.#remember(pong.address);
    const line = this.#lines[Math.min(pong.hops, LINES - 1)] as CachedPong[];
    if (line.length >= MAX_PONGS_PER_LINE) return false;
    let ofLink = 0;
    for (const other of line) {
      if (other.address === pong.address) return false;
      if (other.from === pong.from) ofLink++;
    }
    if (ofLink >= MAX_PONGS_PER_LINK_AND_LINE) return false;
    line.push(pong);
    return true;
  }

  /**
   * Up to `wanted` pongs for a peer, from as many hop counts as there are: first one of each line in turn, so that near and
   * far hosts are mixed. Never one that came from the peer itself.
   * @param lines hop counts wanted: 0 … lines-1
   */
  choose(wanted: number, to: PeerLink, lines: number, ultrapeersOnly: boolean): CachedPong[] {
    const pools = this.#lines
      .slice(0, Math.max(1, Math.min(lines, LINES)))
      .map((line) => line.filter((pong) => pong.from !== to && (pong.isUltrapeer || !ultrapeersOnly)));
    const chosen: CachedPong[] = [];
    for (let left = true; left && chosen.length < wanted;) {
      left = false;
      for (const pool of pools) {
        if (pool.length === 0 || chosen.length >= wanted) continue;
        chosen.push(...pool.splice(Math.floor(this.#random() * pool.length), 1));
        left = true;
      }
    }
    return chosen;
  }

  /** Empties the cache when its time has come. @returns whether it did: then it wants to be filled by pings */
  expire(): boolean {
    if (this.#now() - this.#emptiedAt < PONG_LIFETIME_MS) return false;
    for (const line of this.#lines) line.length = 0;
    this.#emptiedAt = this.#now();
    return true;
  }

  /** Forgets what came from a link that is gone. */
  forget(from: PeerLink): void {
    for (let i = 0; i < LINES; i++) {
      const line = this.#lines[i] as CachedPong[];
      this.#lines[i] = line.filter((pong) => pong.from !== from);
    }
  }

  #remember(address: string): void {
    const known = this.#recent.indexOf(address);
    if (known >= 0) this.#recent.splice(known, 1);
    this.#recent.unshift(address);
    if (this.#recent.length > MAX_RECENT_ULTRAPEERS) this.#recent.pop();
  }
}
