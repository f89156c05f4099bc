import { limitKey } from '@filbert/gnutella';

/** Handshakes that one address may begin within `WINDOW_MS` (docs/protocol/01 §11). */
export const MAX_HANDSHAKES_PER_WINDOW = 2;
const WINDOW_MS = 60_000;
/** First ban, doubled with each further one up to the longest. */
const FIRST_BAN_MS = 300_000;
const LONGEST_BAN_MS = 3_600_000;
/** While banned, one attempt in so many is told; the others are closed in silence. */
const REMIND_EVERY = 15;
/** Addresses remembered; the oldest are forgotten first. */
export const MAX_ADDRESSES = 20_000;

interface Visitor {
  windowStart: number;
  count: number;
  bannedUntil: number;
  banMs: number;
  attempts: number;
}

export type ThrottleVerdict =
  | { readonly kind: 'welcome' }
  /** Say 429 with this reason and close. */
  | { readonly kind: 'told'; readonly reason: string }
  /** Close in silence. */
  | { readonly kind: 'silent' };

const WELCOME: ThrottleVerdict = { kind: 'welcome' };
const SILENT: ThrottleVerdict = { kind: 'silent' };

/** Limits how often one address may begin a handshake, with growing bans for those that go on (docs/protocol/12 §4). */
export class HandshakeThrottle {
  readonly #now: () => number;
  readonly #visitors = new Map<string, Visitor>();

  /** @param now ms, monotonic */
  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#visitors.size;
  }

  /** Counts a handshake that begins and says what to do with it. */
  begin(ip: string): ThrottleVerdict {
    const now = this.#now();
    const key = limitKey(ip);
    const visitor = this.#visitors.get(key) ?? { windowStart: now, count: 0, bannedUntil: 0, banMs: 0, attempts: 0 };
    // Re-inserting keeps the map in order of last use.
    this.#visitors.delete(key);
    this.#visitors.set(key, visitor);
    this.#forgetOldest();
    if (now < visitor.bannedUntil) {
      visitor.attempts++;
      return visitor.attempts % REMIND_EVERY === 0 ? this.#told(visitor, now) : SILENT;
    }
    if (now - visitor.windowStart >= WINDOW_MS) {
      visitor.windowStart = now;
      visitor.count = 0;
    }
    visitor.count++;
    if (visitor.count <= MAX_HANDSHAKES_PER_WINDOW) return WELCOME;
    visitor.banMs = Math.min(LONGEST_BAN_MS, visitor.banMs === 0 ? FIRST_BAN_MS : visitor.banMs * 2);
    visitor.bannedUntil = now + visitor.banMs;
    visitor.attempts = 0;
    return this.#told(visitor, now);
  }

  #told(visitor: Visitor, now: number): ThrottleVerdict {
    return { kind: 'told', reason: `Banned for ${Math.ceil((visitor.bannedUntil - now) / 1000)} s` };
  }

  #forgetOldest(): void {
    if (this.#visitors.size <= MAX_ADDRESSES) return;
    const oldest = this.#visitors.keys().next();
    if (!oldest.done) this.#visitors.delete(oldest.value);
  }
}
