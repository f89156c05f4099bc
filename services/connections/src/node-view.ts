import { EdgeSummaries, edgesPoll, edgesSummary, FactsFollower } from '@filbert/contracts';
import type { EdgeSummary, NodeFacts } from '@filbert/contracts';
import type { Bus, Subscription } from '@filbert/kit';

/** What one edge knows of the rest of its node: the facts, and what the other edges hold. */
export class NodeView {
  readonly #bus: Bus;
  readonly #edgeId: string;
  readonly #others: EdgeSummaries;
  readonly #subscriptions: Subscription[] = [];
  readonly #onPoll: () => void;
  readonly #facts: FactsFollower;

  constructor(options: {
    readonly bus: Bus;
    readonly edgeId: string;
    readonly now: () => number;
    /** Somebody wants our summary now. */
    readonly onPoll: () => void;
  }) {
    this.#bus = options.bus;
    this.#edgeId = options.edgeId;
    this.#others = new EdgeSummaries(options.now);
    this.#onPoll = options.onPoll;
    this.#facts = new FactsFollower({ bus: options.bus });
  }

  get facts(): NodeFacts | undefined {
    return this.#facts.facts;
  }

  /** Follows the others, and waits until bootstrap has told the facts. */
  start(signal?: AbortSignal): Promise<NodeFacts> {
    this.#subscriptions.push(
      this.#bus.subscribe(edgesPoll, () => this.#onPoll()),
      this.#bus.subscribe(edgesSummary, (summary) => {
        if (summary.edgeId !== this.#edgeId) this.#others.note(summary);
      }),
    );
    return this.#facts.start(signal);
  }

  stop(): void {
    this.#facts.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** Summaries of the other edges that live. */
  others(): Generator<EdgeSummary> {
    return this.#others.alive();
  }

  /** Links that the other edges hold together. */
  otherLinks(): { readonly leaves: number; readonly ultrapeers: number } {
    let leaves = 0;
    let ultrapeers = 0;
    for (const summary of this.others()) {
      leaves += summary.leaves;
      ultrapeers += summary.ultrapeers;
    }
    return { leaves, ultrapeers };
  }

  /** Whether another edge holds an ultrapeer that listens on this address. */
  heldElsewhere(address: string): boolean {
    return this.#others.holdsUltrapeer(address);
  }
}
