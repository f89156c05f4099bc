/** The middle of some figures, the mean of the middle two of an even number; NaN of none. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? NaN) + upper) / 2;
}

/** The highest value of the first of these gauges that the text of /metrics holds, over all its labels; NaN of none. */
export function highestGauge(metrics: string, names: readonly string[]): number {
  for (const name of names) {
    const values = metrics
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)))
      .filter((value) => !Number.isNaN(value));
    if (values.length > 0) return Math.max(...values);
  }
  return NaN;
}
