import type { Clock, TimerHandle, Timers } from '@filbert/kit';

interface FakeTimer extends TimerHandle {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock with timers that stand still until told to go on. Wall clock and monotonic clock start apart on purpose. */
export class FakeClock implements Clock, Timers {
  #elapsedMs = 0;
  #startMs: number;
  #order = 0;
  readonly #timers = new Set<FakeTimer>();

  constructor(startMs = 1_700_000_000_000) {
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  /** How many timers are running. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Moves the wall clock alone, as an operator or NTP would. */
  setWallClock(nowMs: number): void {
    this.#startMs = nowMs - this.#elapsedMs;
  }

  setTimeout(callback: () => void, delayMs: number): TimerHandle {
    const timer: FakeTimer = {
      dueMs: this.#elapsedMs + Math.max(0, delayMs),
      order: this.#order++,
      callback,
      unref: () => timer,
    };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(handle: TimerHandle | undefined): void {
    for (const timer of this.#timers) if (timer === handle) this.#timers.delete(timer);
  }

  /** Moves the time on by `ms`, firing what comes due, in order, each at its own time. */
  advance(ms: number): void {
    const endMs = this.#elapsedMs + ms;
    for (let next = this.#nextDue(endMs); next !== undefined; next = this.#nextDue(endMs)) this.#fire(next);
    this.#elapsedMs = endMs;
  }

  /** As `advance`, and after each timer lets promises settle, so that timers started by them are seen too. */
  async advanceAndSettle(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#nextDue(endMs); next !== undefined; next = this.#nextDue(endMs)) {
      this.#fire(next);
      await settle();
    }
    this.#elapsedMs = endMs;
  }

  #nextDue(endMs: number): FakeTimer | undefined {
    let next: FakeTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > endMs) continue;
      if (next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order))
        next = timer;
    }
    return next;
  }

  #fire(timer: FakeTimer): void {
    this.#timers.delete(timer);
    this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueMs);
    timer.callback();
  }
}

/** Lets every promise that can settle now do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
