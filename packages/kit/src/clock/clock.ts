/** Where the time comes from. Injected, so that tests own it. */
export interface Clock {
  /** Wall-clock time in ms since 1970; may jump when the system clock is set. */
  now(): number;
  /** Time in ms since an arbitrary start; never goes back. For measuring and for deadlines. */
  monotonic(): number;
}

/** What `Timers.setTimeout` returns; only good for handing back to `clearTimeout`. */
export interface TimerHandle {
  /** Lets the process end while this timer is still running. */
  unref(): unknown;
}

/** Where timers come from. Injected beside `Clock`. */
export interface Timers {
  /** Calls `callback` once, `delayMs` ms from now. */
  setTimeout(callback: () => void, delayMs: number): TimerHandle;
  /** Stops a timer; does nothing for one that has fired, or for undefined. */
  clearTimeout(handle: TimerHandle | undefined): void;
}

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** Node's timers. */
export const systemTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  // Only handles made just above come back here.
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout | undefined),
};
