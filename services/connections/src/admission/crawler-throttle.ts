import { LRUCache } from 'lru-cache';

/** A crawler may come this often from one address (docs/protocol/01 §7). */
const CRAWL_INTERVAL_MS = 300_000;
/** Addresses remembered. */
const MAX_CRAWLERS = 1_000;

/** Limits how often one address may crawl. */
export class CrawlerThrottle {
  readonly #now: () => number;
  readonly #last = new LRUCache<string, number>({ max: MAX_CRAWLERS });

  /** @param now ms, monotonic */
  constructor(now: () => number) {
    this.#now = now;
  }

  mayCrawl(ip: string): boolean {
    const last = this.#last.get(ip);
    if (last !== undefined && this.#now() - last < CRAWL_INTERVAL_MS) return false;
    this.#last.set(ip, this.#now());
    return true;
  }
}
