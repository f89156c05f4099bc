import { IN_PROCESS_DELIVERIES_PER_TURN, IN_PROCESS_QUEUE_MESSAGES } from './limits.ts';

/** What the queue delivers to. `R` goes with a message and says where answers go. */
export interface QueueTarget<R> {
  /** Messages that wait for this target; kept by the queue. */
  waiting: number;
  deliver(message: unknown, reply: R | undefined): void;
}

/**
 * The messages that are under way on an in-process bus, delivered in the order of their publication in a microtask of
 * their own: one for a burst, whatever its length. Nothing is allocated per message.
 */
export class InProcessQueue<R> {
  // Three columns, filled at one end while the others are delivered, then swapped.
  #targets: QueueTarget<R>[] = [];
  #messages: unknown[] = [];
  #replies: (R | undefined)[] = [];
  #outTargets: QueueTarget<R>[] = [];
  #outMessages: unknown[] = [];
  #outReplies: (R | undefined)[] = [];
  #outHead = 0;
  #scheduled = false;
  #budget = IN_PROCESS_DELIVERIES_PER_TURN;
  readonly #emptyWaiters: (() => void)[] = [];

  /** Queues a message. Returns false where the target's share of the queue is full. */
  push(target: QueueTarget<R>, message: unknown, reply: R | undefined): boolean {
    if (target.waiting >= IN_PROCESS_QUEUE_MESSAGES) return false;
    target.waiting++;
    this.#targets.push(target);
    this.#messages.push(message);
    this.#replies.push(reply);
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(this.#run);
    }
    return true;
  }

  /** Resolves when nothing waits. */
  empty(): Promise<void> {
    if (!this.#scheduled) return Promise.resolve();
    return new Promise((resolve) => this.#emptyWaiters.push(resolve));
  }

  readonly #run = (): void => {
    for (;;) {
      while (this.#outHead < this.#outTargets.length) {
        if (this.#budget === 0) {
          this.#budget = IN_PROCESS_DELIVERIES_PER_TURN;
          setImmediate(this.#run);
          return;
        }
        this.#budget--;
        this.#deliverNext();
      }
      if (this.#targets.length === 0) break;
      this.#swap();
    }
    this.#swap();
    this.#scheduled = false;
    for (const waiter of this.#emptyWaiters.splice(0)) waiter();
  };

  #deliverNext(): void {
    const at = this.#outHead++;
    const target = this.#outTargets[at];
    if (target === undefined) return;
    target.waiting--;
    target.deliver(this.#outMessages[at], this.#outReplies[at]);
  }

  #swap(): void {
    const [targets, messages, replies] = [this.#outTargets, this.#outMessages, this.#outReplies];
    targets.length = 0;
    messages.length = 0;
    replies.length = 0;
    this.#outHead = 0;
    this.#outTargets = this.#targets;
    this.#outMessages = this.#messages;
    this.#outReplies = this.#replies;
    this.#targets = targets;
    this.#messages = messages;
    this.#replies = replies;
  }
}
