/** Upper bounds of the buckets that `Durations` counts in, in seconds: from 100 µs to 10 s. */
export const LATENCY_BUCKETS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;

/** How long something took each time it happened, as plain numbers that are read when /metrics is: the cheap histogram. */
export class Durations {
  /** Times that it took no longer than the bound of the same index and longer than the one before; last: longer than all. */
  readonly buckets = new Float64Array(LATENCY_BUCKETS_SECONDS.length + 1);
  /** Of all times, in seconds. */
  sum = 0;
  count = 0;

  /** Takes one duration in seconds. What clocks of two machines make negative counts as 0; what is no number is left out. */
  observe(seconds: number): void {
    if (!Number.isFinite(seconds)) return;
    const value = Math.max(0, seconds);
    let bucket = 0;
    // Few enough that a search by halves would gain nothing.
    while (bucket < LATENCY_BUCKETS_SECONDS.length && value > (LATENCY_BUCKETS_SECONDS[bucket] as number)) bucket++;
    this.buckets[bucket] = (this.buckets[bucket] as number) + 1;
    this.sum += value;
    this.count++;
  }
}
