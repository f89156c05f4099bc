import type { Timers } from '../clock/clock.ts';

/** Waits until `work` has settled, either way, but no longer than `timeoutMs`. Never rejects. */
export function settledWithin(work: Promise<unknown>, timeoutMs: number, timers: Timers): Promise<void> {
  return new Promise((resolve) => {
    const timer = timers.setTimeout(resolve, timeoutMs);
    const settled = (): void => {
      timers.clearTimeout(timer);
      resolve();
    };
    work.then(settled, settled);
  });
}
