/** Texts remembered of one leaf; the one asked longest ago is forgotten first. */
export const LEAF_TEXTS = 32;
/** Texts remembered of one ultrapeer, in sets of `ULTRAPEER_WAYS`; in each the oldest is forgotten first. */
export const ULTRAPEER_TEXTS = 1_024;
const ULTRAPEER_WAYS = 4;

/** The unit in which times are kept, ms: fits 6 years into 31 bits. */
const TICK_MS = 100;
/** Words of an entry: two hashes of what was asked, one of the GUID, the time in ticks (0 is a free entry). */
const ENTRY = 4;
const SECOND_HASH = 1;
const GUID_HASH = 2;
const ASKED_AT = 3;

/** What one link asked for lately: a few hashes in one typed array, no object a query. */
export class RecentTexts {
  readonly #ways: number;
  readonly #setMask: number;
  readonly #windowTicks: number;
  readonly #entries: Int32Array;

  /**
   * @param windowMs how long a text is remembered, as far as there is room
   */
  constructor(forUltrapeer: boolean, windowMs: number) {
    const texts = forUltrapeer ? ULTRAPEER_TEXTS : LEAF_TEXTS;
    this.#ways = forUltrapeer ? ULTRAPEER_WAYS : LEAF_TEXTS;
    this.#setMask = texts / this.#ways - 1;
    this.#windowTicks = windowMs / TICK_MS;
    this.#entries = new Int32Array(texts * ENTRY);
  }

  /**
   * Whether the same was asked under another GUID and that is not longer ago than the window. If not, it is noted; a
   * refused repetition does not make the window longer.
   * @param first and second: independent 32-bit hashes of what is asked, signed
   * @param guid 32-bit hash of the GUID, signed
   * @param now ms
   */
  isRepeated(first: number, second: number, guid: number, now: number): boolean {
    const entries = this.#entries;
    const ticks = Math.floor(now / TICK_MS) + 1;
    const start = (first & this.#setMask) * this.#ways * ENTRY;
    const end = start + this.#ways * ENTRY;
    let oldest = start;
    let oldestAt = Number.POSITIVE_INFINITY;
    for (let at = start; at < end; at += ENTRY) {
      const askedAt = entries[at + ASKED_AT] as number;
      if (askedAt !== 0 && entries[at] === first && entries[at + SECOND_HASH] === second) {
        if (ticks - askedAt < this.#windowTicks) return entries[at + GUID_HASH] !== guid;
        oldest = at;
        break;
      }
      if (askedAt < oldestAt) {
        oldest = at;
        oldestAt = askedAt;
      }
    }
    entries[oldest] = first;
    entries[oldest + SECOND_HASH] = second;
    entries[oldest + GUID_HASH] = guid;
    entries[oldest + ASKED_AT] = ticks;
    return false;
  }
}
