import type { LinkRegistry } from './link/link-registry.ts';
import type { PeerLink } from './link/peer-link.ts';
import { sendAlivePing, sendRefillPing } from './frames/ping.ts';
import type { PongCache } from './pongs/pong-cache.ts';

/** A link silent for this long gets an alive ping (docs/protocol/01 §10). */
export const ULTRAPEER_SILENCE_MS = 20_000;
export const LEAF_SILENCE_MS = 120_000;
/** Alive pings unanswered in a row that end a link. */
const MAX_UNANSWERED_ULTRAPEER = 6;
const MAX_UNANSWERED_LEAF = 4;
/** A link whose socket takes nothing for this long ends. */
export const BLOCKED_LIMIT_MS = 180_000;
/** Share of the ultrapeers asked for pongs when the cache is empty, and the fewest (docs/protocol/04 §6). */
const REFILL_SHARE = 0.2;
const REFILL_LEAST = 3;

/** Finds out which links still live, and keeps the pong cache filled. */
export class KeepAlive {
  readonly #links: LinkRegistry;
  readonly #pongs: PongCache;
  readonly #now: () => number;
  readonly #random: () => number;

  /** @param now ms, monotonic @param random 0 … 1 */
  constructor(options: {
    readonly links: LinkRegistry;
    readonly pongs: PongCache;
    readonly now: () => number;
    readonly random: () => number;
  }) {
    this.#links = options.links;
    this.#pongs = options.pongs;
    this.#now = options.now;
    this.#random = options.random;
  }

  /** Does what is due; call it about once a second. */
  tick(): void {
    const now = this.#now();
    for (const link of this.#links.all()) this.#check(link, now);
    if (this.#pongs.expire()) this.#refill();
  }

  #check(link: PeerLink, now: number): void {
    if (link.ended) return;
    if (link.blockedSince !== undefined && now - link.blockedSince > BLOCKED_LIMIT_MS) {
      link.bye(405, 'Flow-controlled for too long');
      return;
    }
    const silence = link.isUltrapeer ? ULTRAPEER_SILENCE_MS : LEAF_SILENCE_MS;
    if (now - link.lastReceivedAt < silence) {
      link.alivePingsUnanswered = 0;
      return;
    }
    if (now - link.lastAlivePingAt < silence) return;
    if (link.alivePingsUnanswered >= (link.isUltrapeer ? MAX_UNANSWERED_ULTRAPEER : MAX_UNANSWERED_LEAF)) {
      link.bye(406, 'No reply to alive pings');
      return;
    }
    link.alivePingsUnanswered++;
    link.lastAlivePingAt = now;
    sendAlivePing(link);
  }

  #refill(): void {
    const candidates = [...this.#links.ultrapeers].filter((link) => link.blockedSince === undefined);
    const wanted = Math.max(REFILL_LEAST, Math.ceil(candidates.length * REFILL_SHARE));
    for (let i = 0; i < wanted && candidates.length > 0; i++) {
      const [link] = candidates.splice(Math.floor(this.#random() * candidates.length), 1);
      if (link !== undefined) sendRefillPing(link);
    }
  }
}
