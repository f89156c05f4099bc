/** Why a shard dropped a frame: a closed set, also the label of `filbert_router_dropped_total`. */
export const DROP_REASONS = [
  'malformed',
  'unknown-link',
  'unknown-function',
  'duplicate',
  'hops-exceeded',
  'ttl-exceeded',
  'route-unknown',
  'route-lost',
  'results-enough',
  'hit-bytes-enough',
  'servent-guid-refused',
  'shed-query',
  'egress-no-credit',
  'egress-disconnected',
  'state-late',
  'other-shard-map',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** What a shard has done since it started: plain numbers, read at scrape time. */
export class ShardCounters {
  queries = 0;
  hits = 0;
  pushes = 0;
  /** Copies of frames handed to links. */
  queryDeliveries = 0;
  hitDeliveries = 0;
  pushDeliveries = 0;
  /** Links found by the filter matrix, and of these the ones their exact table refused. */
  candidates = 0;
  candidatesRefused = 0;
  leafSearches = 0;
  replaysAsked = 0;
  /** Of frames in the batches taken from edges, and in those sent to them; a frame for many links is in its batch once. */
  bytesIn = 0;
  bytesOut = 0;
  readonly dropped: Record<DropReason, number> = Object.fromEntries(
    DROP_REASONS.map((reason) => [reason, 0]),
  ) as Record<DropReason, number>;
}
