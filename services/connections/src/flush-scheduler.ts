import type { PeerLink } from './link/peer-link.ts';

/** A deflated link waits for this much, or this long, before it is flushed (docs/protocol/01 §8). */
const DEFLATE_WAIT_BYTES = 4096;
const DEFLATE_WAIT_MS = 200;
/** Flushes to leaves a second from which on they are coalesced, and the longest time a frame then waits. */
const COALESCE_FROM_PER_SECOND = 4_000;
const COALESCE_MS = 20;
const RATE_WINDOW_MS = 250;

/**
 * Decides when the links that have something to send are flushed: at the end of the event-loop turn; under load leaves up
 * to 20 ms later, so that one write carries several frames; deflated links when it pays.
 */
export class FlushScheduler {
  /** Links flushed since the start. */
  flushes = 0;
  #soon: PeerLink[] = [];
  #later: PeerLink[] = [];
  #deflated: PeerLink[] = [];
  #soonScheduled = false;
  #laterTimer: NodeJS.Timeout | undefined;
  #deflatedTimer: NodeJS.Timeout | undefined;
  #windowStart = 0;
  #windowFlushes = 0;
  #coalescing = false;
  readonly #now: () => number;
  readonly #flushSoon = (): void => {
    this.#soonScheduled = false;
    const links = this.#soon;
    this.#soon = [];
    this.#flush(links);
  };
  readonly #flushLater = (): void => {
    this.#laterTimer = undefined;
    const links = this.#later;
    this.#later = [];
    this.#flush(links);
  };
  readonly #flushDeflated = (): void => {
    this.#deflatedTimer = undefined;
    const links = this.#deflated;
    this.#deflated = [];
    this.#flush(links);
  };

  /** @param now ms, monotonic */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The link has something to send; called again while it is `deferred`, for what came may not wait as long. */
  mark(link: PeerLink): void {
    const urgent = link.queue.hasControl;
    if (link.deflatesOut && !urgent && link.queue.bytes < DEFLATE_WAIT_BYTES) {
      if (link.deferred) return;
      link.dirty = true;
      link.deferred = true;
      this.#deflated.push(link);
      this.#deflatedTimer ??= setTimeout(this.#flushDeflated, DEFLATE_WAIT_MS);
      return;
    }
    link.dirty = true;
    link.deferred = false;
    if (this.#coalescing && !link.isUltrapeer && !urgent) {
      this.#later.push(link);
      this.#laterTimer ??= setTimeout(this.#flushLater, COALESCE_MS);
    } else {
      this.#scheduleSoon(link);
    }
  }

  /** Flushes everything now and schedules nothing more. */
  stop(): void {
    clearTimeout(this.#laterTimer);
    clearTimeout(this.#deflatedTimer);
    this.#flushSoon();
    this.#flushLater();
    this.#flushDeflated();
  }

  #scheduleSoon(link: PeerLink): void {
    this.#soon.push(link);
    if (this.#soonScheduled) return;
    this.#soonScheduled = true;
    setImmediate(this.#flushSoon);
  }

  #flush(links: PeerLink[]): void {
    for (const link of links) {
      link.dirty = false;
      link.deferred = false;
      link.flush();
    }
    this.flushes += links.length;
    this.#windowFlushes += links.length;
    const elapsed = this.#now() - this.#windowStart;
    if (elapsed < RATE_WINDOW_MS) return;
    this.#coalescing = this.#windowFlushes * 1000 > COALESCE_FROM_PER_SECOND * elapsed;
    this.#windowStart = this.#now();
    this.#windowFlushes = 0;
  }
}
