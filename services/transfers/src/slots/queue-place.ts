/** How a client waits: `legacy` X-Queue 0.1 on its connection, `parq` X-Queue 1.0 with a ticket, `none` by Retry-After. */
export type Queueing = 'none' | 'legacy' | 'parq';

/** A place in the upload queue, as its client is told. */
export interface QueuePlace {
  readonly queueing: Queueing;
  /** From 1. */
  readonly position: number;
  readonly length: number;
  readonly limit: number;
  readonly ticket: string;
  readonly retryAfterS: number;
  readonly pollMinS: number;
  readonly pollMaxS: number;
  readonly lifetimeS: number;
}
