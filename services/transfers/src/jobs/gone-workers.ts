/** Looks in a row without a lease after which a worker counts as gone. */
export const LOOKS_WITHOUT_LEASE = 2;

export interface GoneWorkersOptions {
  /** How long a lease lasts, in ms: after a loss of the connection everybody gets that long to renew theirs. */
  readonly leaseMs: number;
  /** Between two looks, in ms. */
  readonly lookMs: number;
}

/**
 * Judges which workers are gone, from looks at the leases that there are. Only looks in a row count between which we were
 * connected and did not stand still ourselves: otherwise the others may have been just as unable to renew theirs.
 */
export class GoneWorkers {
  readonly #options: GoneWorkersOptions;
  readonly #missing = new Map<string, number>();
  #steadySinceMs: number;
  #lastLookMs: number | undefined;

  /** @param nowMs monotonic, when we were connected */
  constructor(options: GoneWorkersOptions, nowMs: number) {
    this.#options = options;
    this.#steadySinceMs = nowMs;
  }

  /** The connection was lost, or is back: nothing seen before counts. */
  unsettle(nowMs: number): void {
    this.#missing.clear();
    this.#steadySinceMs = nowMs;
    this.#lastLookMs = undefined;
  }

  /**
   * @param known workers that had a lease or downloads once
   * @param leased those with a lease now
   * @returns those of `known` that are gone
   */
  look(known: Iterable<string>, leased: ReadonlySet<string>, nowMs: number): ReadonlySet<string> {
    const { leaseMs, lookMs } = this.#options;
    // A look that comes late tells that this process, or the machine, stood still.
    if (this.#lastLookMs !== undefined && nowMs - this.#lastLookMs > 2 * lookMs) this.unsettle(nowMs);
    this.#lastLookMs = nowMs;
    const gone = new Set<string>();
    if (nowMs - this.#steadySinceMs < leaseMs) return gone;
    for (const worker of known) {
      if (leased.has(worker)) {
        this.#missing.delete(worker);
        continue;
      }
      const looks = (this.#missing.get(worker) ?? 0) + 1;
      this.#missing.set(worker, looks);
      if (looks >= LOOKS_WITHOUT_LEASE) gone.add(worker);
    }
    return gone;
  }

  /** Nothing is known of that worker any more. */
  forget(worker: string): void {
    this.#missing.delete(worker);
  }
}
