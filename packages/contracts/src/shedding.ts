// What goes first when the credit of a stream runs short.

/** Share of a stream's credit from which on queries are shed, by their hops: those that came far go first. */
const SHED_FROM = [0.9, 0.9, 0.75, 0.5] as const;

/**
 * Whether a query that crossed `hops` links should be dropped at the source.
 * @param pressure share of the stream's credit in use, 0 … 1
 */
export function shedsQuery(pressure: number, hops: number): boolean {
  return pressure >= (SHED_FROM[hops > 3 ? 3 : hops] as number);
}
