/** Share of the newest second in the rate that is shown. */
const NEWEST_SHARE = 0.3;

/** A rate for people to look at, smoothed over some seconds. */
export class RateMeter {
  #bytes = 0;
  #perSecond = 0;

  /** Bytes a second. */
  get perSecond(): number {
    return this.#perSecond;
  }

  count(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Told once a second. @param moves whether anything may move at all @returns whether the rate changed */
  tick(moves: boolean): boolean {
    const rate = this.#perSecond * (1 - NEWEST_SHARE) + this.#bytes * NEWEST_SHARE;
    this.#bytes = 0;
    const shown = !moves || rate < 1 ? 0 : rate;
    if (shown === this.#perSecond) return false;
    this.#perSecond = shown;
    return true;
  }

  /** Nothing moves any more, or not yet: no rate is left over from before. */
  reset(): void {
    this.#perSecond = 0;
  }
}
