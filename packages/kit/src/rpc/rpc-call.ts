import type { Metadata } from '@grpc/grpc-js';
import type { Clock, Timers } from '../clock/clock.ts';
import type { Logger } from '../log/logger.ts';
import type { Durations } from '../metrics/durations.ts';

/** What a handler knows of its call besides the request. */
export interface RpcCall {
  /** Aborts when the caller cancelled, the deadline passed, or the server stops. */
  readonly signal: AbortSignal;
  /** Wall-clock time in ms by which the call ends. */
  readonly deadlineMs: number;
  /** Address of the caller. */
  readonly peer: string;
  readonly metadata: Metadata;
}

/** What the handlers of one server share. */
export interface ServeContext {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Aborts when the server's patience with its last calls ends. */
  readonly closing: AbortSignal;
  /** Calls under way. */
  active: number;
  /** How long calls took, by the path of their method: one entry for each method served. */
  readonly durations: ReadonlyMap<string, Durations>;
}
