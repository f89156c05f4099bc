/** How long a download waits for what. All ms. */
export interface DownloadTimings {
  readonly connectMs: number;
  /** From a request to the whole head of its answer. */
  readonly headMs: number;
  /** Without a byte in the middle of a body (docs/protocol/08-push-and-transfers.md §5). */
  readonly stallMs: number;
  /** From a PUSH to its GIV. */
  readonly givMs: number;
  /** What was written is made durable and noted this often. */
  readonly checkpointMs: number;
  /** Multiplies the rests of sources. */
  readonly restFactor: number;
}

/** The times of §5 where it names them. */
export const DOWNLOAD_TIMINGS: DownloadTimings = {
  connectMs: 20_000,
  headMs: 60_000,
  stallMs: 60_000,
  givMs: 40_000,
  checkpointMs: 2_000,
  restFactor: 1,
};
