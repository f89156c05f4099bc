/** Addresses counted at one time; beyond it the one that began longest ago is forgotten. */
export const MAX_COUNTED_ADDRESSES = 10_000;

/** Counts what each address does within a window of time. */
export class AddressWindow {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  readonly #counts = new Map<string, { count: number; readonly untilMs: number }>();

  /** @param now ms, never goes back */
  constructor(limit: number, windowMs: number, now: () => number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** Whether the address has used up its window; counts nothing. */
  isFull(address: string): boolean {
    const known = this.#counts.get(address);
    return known !== undefined && known.untilMs > this.#now() && known.count >= this.#limit;
  }

  /** Counts one more. False where the address has used up its window. */
  admit(address: string): boolean {
    const now = this.#now();
    const known = this.#counts.get(address);
    if (known !== undefined && known.untilMs > now) {
      if (known.count >= this.#limit) return false;
      known.count++;
      return true;
    }
    this.#counts.delete(address);
    if (this.#counts.size >= MAX_COUNTED_ADDRESSES) {
      for (const oldest of this.#counts.keys()) {
        this.#counts.delete(oldest);
        break;
      }
    }
    this.#counts.set(address, { count: 1, untilMs: now + this.#windowMs });
    return true;
  }
}
