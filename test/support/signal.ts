/** Wakes whoever waits at the moment: a bounded wait for "something happened, look again". */
export class Signal {
  readonly #waiting = new Set<() => void>();

  /** Resolves at the next `notify` or after the time, whichever is first. */
  wait(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiting.add(wake);
    });
  }

  /** Wakes all that wait now. */
  notify(): void {
    for (const wake of this.#waiting) wake();
  }
}
