import type { Clock, TimerHandle, Timers } from '../clock/clock.ts';
import { Durations } from '../metrics/durations.ts';
import { BusError, type BusErrorCode, type BusRequests } from './bus.ts';
import { MAX_COUNTED_TOPICS, MAX_PENDING_REQUESTS } from './limits.ts';
import { OTHER_TOPICS } from './topic-counts.ts';

interface Pending<V> {
  readonly resolve: (value: V) => void;
  readonly reject: (error: BusError) => void;
  readonly timer: TimerHandle;
  readonly name: string;
  readonly sinceMs: number;
}

/** A request that was opened: its id travels with it, its reply comes back here. */
export interface OpenRequest<V> {
  readonly id: number;
  readonly reply: Promise<V>;
}

/** The requests of one bus that wait for their first reply. */
export class PendingRequests<V> {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #pending = new Map<number, Pending<V>>();
  readonly #durations = new Map<string, Durations>();
  #lastId = 0;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  /** How long requests took until their reply or failure, by topic name. */
  *durations(): Generator<BusRequests> {
    for (const [topic, durations] of this.#durations) yield { topic, durations };
  }

  /**
   * Opens a request to the topic called `name`.
   * @throws BusError `refused` when too many are open; the reply rejects with `timeout` after `timeoutMs`
   */
  open(name: string, timeoutMs: number): OpenRequest<V> {
    if (this.#pending.size >= MAX_PENDING_REQUESTS)
      throw new BusError('refused', `${name}: ${MAX_PENDING_REQUESTS} requests are under way`);
    const id = ++this.#lastId;
    const reply = new Promise<V>((resolve, reject) => {
      const timer = this.#timers.setTimeout(
        () => this.reject(id, 'timeout', `no reply within ${timeoutMs} ms`),
        timeoutMs,
      );
      this.#pending.set(id, { resolve, reject, timer, name, sinceMs: this.#clock.monotonic() });
    });
    return { id, reply };
  }

  /** Settles the request with its reply; replies after the first are ignored. */
  resolve(id: number, value: V): void {
    this.#take(id)?.resolve(value);
  }

  /** Settles the request with an error. */
  reject(id: number, code: BusErrorCode, reason: string): void {
    const pending = this.#take(id);
    pending?.reject(new BusError(code, `${pending.name}: ${reason}`));
  }

  /** Settles every request with an error. */
  rejectAll(code: BusErrorCode, reason: string): void {
    for (const id of [...this.#pending.keys()]) this.reject(id, code, reason);
  }

  #take(id: number): Pending<V> | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    this.#timers.clearTimeout(pending.timer);
    this.#durationsOf(pending.name).observe((this.#clock.monotonic() - pending.sinceMs) / 1_000);
    return pending;
  }

  #durationsOf(name: string): Durations {
    const known = this.#durations.get(name);
    if (known !== undefined) return known;
    if (this.#durations.size >= MAX_COUNTED_TOPICS - 1 && name !== OTHER_TOPICS) return this.#durationsOf(OTHER_TOPICS);
    const durations = new Durations();
    this.#durations.set(name, durations);
    return durations;
  }
}
