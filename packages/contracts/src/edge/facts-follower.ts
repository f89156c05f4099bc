import type { Bus, Subscription } from '@filbert/kit';
import type { NodeFacts } from '../gen/filbert/bus/v1/bus.ts';
import { nodeFacts, nodeFactsRequest } from '../subjects.ts';

const FACTS_TIMEOUT_MS = 1_000;
const FACTS_RETRY_MS = 100;

/** Follows what bootstrap tells of the node; the last facts stay in force while bootstrap is away. */
export class FactsFollower {
  readonly #bus: Bus;
  readonly #onFacts: (facts: NodeFacts) => void;
  #subscription: Subscription | undefined;
  #facts: NodeFacts | undefined;
  #stopped = false;

  constructor(options: {
    readonly bus: Bus;
    /** Called with the first facts and with every later publication. */
    readonly onFacts?: (facts: NodeFacts) => void;
  }) {
    this.#bus = options.bus;
    this.#onFacts = options.onFacts ?? (() => undefined);
  }

  get facts(): NodeFacts | undefined {
    return this.#facts;
  }

  /**
   * Waits until bootstrap has told the facts.
   * @throws Error when stopped, or `signal` fires, meanwhile
   */
  async start(signal?: AbortSignal): Promise<NodeFacts> {
    this.#subscription = this.#bus.subscribe(nodeFacts, (facts) => this.#take(facts));
    for (;;) {
      if (this.#facts !== undefined) return this.#facts;
      if (this.#stopped || signal?.aborted === true) throw new Error('stopped while waiting for the node facts');
      try {
        this.#take(await this.#bus.request(nodeFactsRequest, {}, { timeoutMs: FACTS_TIMEOUT_MS }));
      } catch {
        await new Promise((resolve) => setTimeout(resolve, FACTS_RETRY_MS));
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#subscription?.unsubscribe();
  }

  #take(facts: NodeFacts): void {
    this.#facts = facts;
    this.#onFacts(facts);
  }
}
