import type { BusErrorHook } from './bus.ts';
import { MAX_HANDLERS_IN_PROGRESS } from './limits.ts';
import type { BusCounts } from './topic-counts.ts';

/** Calls handlers so that none of their errors gets out, counts, and knows which are still under way. */
export class HandlerCalls {
  readonly #counts: BusCounts;
  readonly #onError: BusErrorHook | undefined;
  readonly #idleWaiters: (() => void)[] = [];
  #inProgress = 0;

  constructor(counts: BusCounts, onError: BusErrorHook | undefined) {
    this.#counts = counts;
    this.#onError = onError;
  }

  /**
   * Calls `handler` with a message of the topic called `name`.
   * @param onResult called with what the handler, or its promise, came to; not when it failed
   * @returns undefined when the handler is through, else a promise, never rejected, for when it is
   */
  call<T>(
    name: string,
    handler: (message: T) => unknown,
    message: T,
    onResult?: (result: unknown) => void,
  ): Promise<void> | undefined {
    const counts = this.#counts.of(name);
    if (this.#inProgress >= MAX_HANDLERS_IN_PROGRESS) {
      counts['queue-full']++;
      return undefined;
    }
    counts.delivered++;
    try {
      const result = handler(message);
      if (result instanceof Promise) return this.#follow(name, result, onResult);
      onResult?.(result);
    } catch (error) {
      this.failed(error, name);
    }
    return undefined;
  }

  /** Counts an error of a handler of the topic called `name` and tells the hook. */
  failed(error: unknown, name: string): void {
    this.#counts.of(name)['handler-error']++;
    this.#tell(error, name, 'handler-error');
  }

  /** Counts a message of the topic called `name` that its codec refused and tells the hook. */
  undecodable(error: unknown, name: string): void {
    this.#counts.of(name).undecodable++;
    this.#tell(error, name, 'undecodable');
  }

  /** Resolves when no handler is under way. */
  idle(): Promise<void> {
    if (this.#inProgress === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #tell(error: unknown, name: string, event: Parameters<BusErrorHook>[2]): void {
    try {
      this.#onError?.(error, name, event);
    } catch {
      // A hook that fails must not stop the bus, and there is nobody left to tell.
    }
  }

  async #follow(name: string, result: Promise<unknown>, onResult?: (result: unknown) => void): Promise<void> {
    this.#inProgress++;
    try {
      const value = await result;
      onResult?.(value);
    } catch (error) {
      this.failed(error, name);
    } finally {
      this.#inProgress--;
      if (this.#inProgress === 0) for (const waiter of this.#idleWaiters.splice(0)) waiter();
    }
  }
}
