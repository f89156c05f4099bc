import type { BusStatus } from './bus.ts';

/** The status of a bus and who wants to know of its changes. */
export class StatusListeners {
  readonly #listeners = new Set<{ readonly call: (status: BusStatus) => void }>();
  readonly #onError: (error: unknown) => void;
  #status: BusStatus;

  /** @param onError told of what a listener threw */
  constructor(status: BusStatus, onError: (error: unknown) => void) {
    this.#status = status;
    this.#onError = onError;
  }

  get status(): BusStatus {
    return this.#status;
  }

  /** Calls `listener` with every later change; returns how to stop that. */
  add(listener: (status: BusStatus) => void): () => void {
    // An entry of its own, so that one function added twice is called twice.
    const entry = { call: listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Changes the status and tells everyone, unless it is the status already. */
  set(status: BusStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    for (const { call } of this.#listeners) {
      try {
        call(status);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}

/** The name under which errors of status listeners are counted beside the topics. */
export const STATUS_TOPIC = 'status';
