import { guidToHex } from '@filbert/gnutella';
import { giv, type GivReply } from '@filbert/contracts';
import type { Bus, Subscription } from '@filbert/kit';
import type { Connection } from '../network/connection.ts';

/** Downloads that may wait for a GIV at one time. */
export const MAX_GIV_WAITERS = 256;

export interface GivWaitersOptions {
  readonly bus: Bus;
  /** What is told to who got a GIV that is waited for here. */
  readonly reply: () => GivReply;
}

interface Waiter {
  readonly take: (connection: Connection) => void;
}

/** The downloads that have sent a PUSH and wait for the servent to connect (docs/protocol/08-push-and-transfers.md §2). */
export class GivWaiters {
  readonly #options: GivWaitersOptions;
  readonly #waiting = new Map<string, Waiter[]>();
  readonly #subscriptions = new Map<string, Subscription>();
  #count = 0;

  constructor(options: GivWaitersOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * Waits for a GIV of this servent. Undefined after `timeoutMs`, when `signal` aborts, or where too many wait already.
   * @param begun called once the waiting has begun: the moment to send the PUSH
   */
  wait(
    serventGuid: Uint8Array,
    timeoutMs: number,
    signal: AbortSignal,
    begun: () => void,
  ): Promise<Connection | undefined> {
    if (this.#count >= MAX_GIV_WAITERS || signal.aborted) return Promise.resolve(undefined);
    const key = guidToHex(serventGuid);
    return new Promise((resolve) => {
      const end = (connection: Connection | undefined): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', giveUp);
        this.#remove(key, waiter);
        resolve(connection);
      };
      const giveUp = (): void => end(undefined);
      const waiter: Waiter = { take: end };
      const timer = setTimeout(giveUp, timeoutMs);
      signal.addEventListener('abort', giveUp, { once: true });
      this.#add(key, waiter);
      begun();
    });
  }

  /** Hands a connection to who has waited longest for that servent; false where nobody does. */
  offer(serventGuid: Uint8Array, connection: Connection): boolean {
    const first = this.#waiting.get(guidToHex(serventGuid))?.[0];
    first?.take(connection);
    return first !== undefined;
  }

  #add(key: string, waiter: Waiter): void {
    this.#count++;
    const waiters = this.#waiting.get(key);
    if (waiters !== undefined) {
      waiters.push(waiter);
      return;
    }
    this.#waiting.set(key, [waiter]);
    const { bus, reply } = this.#options;
    this.#subscriptions.set(
      key,
      bus.respond(giv(key), () => (this.#waiting.has(key) ? reply() : undefined)),
    );
  }

  #remove(key: string, waiter: Waiter): void {
    const waiters = this.#waiting.get(key);
    const at = waiters?.indexOf(waiter) ?? -1;
    if (waiters === undefined || at < 0) return;
    this.#count--;
    waiters.splice(at, 1);
    if (waiters.length > 0) return;
    this.#waiting.delete(key);
    this.#subscriptions.get(key)?.unsubscribe();
    this.#subscriptions.delete(key);
  }
}
