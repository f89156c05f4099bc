import { type Clock, systemClock, systemTimers, type Timers } from '../clock/clock.ts';
import {
  type Bus,
  type BusCount,
  BusError,
  type BusErrorHook,
  type BusOutstanding,
  type BusRequests,
  type BusStatus,
  type RequestTopic,
  type Sequenced,
  type StreamWriter,
  type SubscribeOptions,
  type Subscription,
  type Topic,
  type WriterOptions,
} from './bus.ts';
import { settledWithin } from './deadline.ts';
import { HandlerCalls } from './handler-calls.ts';
import { InProcessQueue, type QueueTarget } from './in-process-queue.ts';
import { nextMember, Routes, type Subscriber } from './in-process-routes.ts';
import { DRAIN_TIMEOUT_MS } from './limits.ts';
import { OpenWriters } from './open-writers.ts';
import { PendingRequests } from './pending-requests.ts';
import { STATUS_TOPIC, StatusListeners } from './status-listeners.ts';
import { CreditReader, CreditWriter, type PublishOutcome, type ReportSink } from './stream.ts';
import { BusCounts, type TopicCounts } from './topic-counts.ts';

/** What an in-process bus is made of; all of it has defaults. */
export interface InProcessBusOptions {
  /** Told of errors of handlers. */
  readonly onError?: BusErrorHook;
  readonly clock?: Clock;
  readonly timers?: Timers;
}

/** Where answers to a message go: reports to a stream's writer, or a reply to the request of this id. */
type ReplyAddress = ReportSink | number;

interface InProcessSubscriber extends Subscriber, QueueTarget<ReplyAddress> {
  active: boolean;
  readonly counts: TopicCounts;
}

/**
 * A bus within one process: hands over the messages themselves, in the order of their publication, in a microtask.
 * It is connected until it is drained.
 */
export function createInProcessBus(options: InProcessBusOptions = {}): Bus {
  return new InProcessBus(options);
}

class InProcessBus implements Bus {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #counts = new BusCounts();
  readonly #writers = new OpenWriters(this.#counts);
  readonly #calls: HandlerCalls;
  readonly #status: StatusListeners;
  readonly #routes = new Routes<InProcessSubscriber>();
  readonly #queue = new InProcessQueue<ReplyAddress>();
  readonly #requests: PendingRequests<unknown>;
  #drained: Promise<void> | undefined;

  constructor(options: InProcessBusOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#timers = options.timers ?? systemTimers;
    const calls = new HandlerCalls(this.#counts, options.onError);
    this.#calls = calls;
    this.#status = new StatusListeners('connected', (error) => calls.failed(error, STATUS_TOPIC));
    this.#requests = new PendingRequests(this.#clock, this.#timers);
  }

  get status(): BusStatus {
    return this.#status.status;
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.add(listener);
  }

  publish<T>(topic: Topic<T>, message: T): boolean {
    const outcome = this.#send(topic.subject, message, undefined);
    this.#counts.of(topic.name)[outcome]++;
    return outcome === 'published';
  }

  subscribe<T>(topic: Topic<T>, handler: (message: T) => void, options?: SubscribeOptions): Subscription {
    return this.#add(topic, options, (message: T) => void this.#calls.call(topic.name, handler, message));
  }

  async request<Q, R>(
    topic: RequestTopic<Q, R>,
    message: Q,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<R> {
    const counts = this.#counts.of(topic.name);
    if (this.status === 'closed') {
      counts.disconnected++;
      throw new BusError('closed', `${topic.name}: the bus is closed`);
    }
    const { single, groups } = this.#routes.of(topic.subject);
    if (single.length + groups.length === 0) throw new BusError('no-responders', `${topic.name}: nobody responds`);
    const { id, reply } = this.#requests.open(topic.name, timeoutMs);
    counts[this.#send(topic.subject, message, id)]++;
    // Only a responder to this very topic replies, with what its handler returned.
    return (await reply) as R;
  }

  respond<Q, R>(
    topic: RequestTopic<Q, R>,
    handler: (message: Q) => R | undefined | Promise<R | undefined>,
    options?: SubscribeOptions,
  ): Subscription {
    return this.#add(topic, options, (message: Q, address) => {
      void this.#calls.call(topic.name, handler, message, (reply) => {
        if (reply !== undefined && typeof address === 'number') this.#requests.resolve(address, reply);
      });
    });
  }

  openWriter<T extends Sequenced>(topic: Topic<T>, options: WriterOptions): StreamWriter<T> {
    const writer: CreditWriter<T> = new CreditWriter<T>(options, {
      clock: this.#clock,
      counts: this.#counts.of(topic.name),
      transmit: (message) => this.#send(topic.subject, message, writer),
      onClose: () => this.#writers.delete(writer),
    });
    this.#writers.add(writer, topic.name);
    return writer;
  }

  openReader<T extends Sequenced>(topic: Topic<T>, handler: (message: T) => void | Promise<void>): Subscription {
    const reader = new CreditReader<T, ReportSink>(topic.name, handler, {
      calls: this.#calls,
      counts: this.#counts.of(topic.name),
      timers: this.#timers,
      report: (writer, epoch, number) => writer.reported(epoch, number),
    });
    return this.#add(topic, undefined, (message: T, address) =>
      reader.receive(message, typeof address === 'number' ? undefined : address),
    );
  }

  counters(): Iterable<BusCount> {
    return this.#counts.entries();
  }

  outstanding(): Iterable<BusOutstanding> {
    return this.#writers.outstanding();
  }

  requestDurations(): Iterable<BusRequests> {
    return this.#requests.durations();
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    this.#routes.clear();
    const under = this.#queue.empty().then(() => this.#calls.idle());
    await settledWithin(under, DRAIN_TIMEOUT_MS, this.#timers);
    this.#requests.rejectAll('closed', 'the bus was closed');
    this.#status.set('closed');
  }

  #add<T>(
    topic: { readonly name: string; readonly subject: string },
    options: SubscribeOptions | undefined,
    deliver: (message: T, address: ReplyAddress | undefined) => void,
  ): Subscription {
    if (this.#drained !== undefined) throw new BusError('closed', `${topic.name}: the bus is closed`);
    const subscriber: InProcessSubscriber = {
      subject: topic.subject,
      queue: options?.queue,
      counts: this.#counts.of(topic.name),
      active: true,
      waiting: 0,
      // What is published to a subject is what its topic carries.
      deliver: (message, address) => {
        if (subscriber.active) deliver(message as T, address);
      },
    };
    this.#routes.add(subscriber);
    return {
      unsubscribe: () => {
        subscriber.active = false;
        this.#routes.remove(subscriber);
      },
    };
  }

  #send(subject: string, message: unknown, address: ReplyAddress | undefined): PublishOutcome {
    if (this.status === 'closed') return 'disconnected';
    const { single, groups } = this.#routes.of(subject);
    for (const subscriber of single) this.#push(subscriber, message, address);
    for (const group of groups) {
      const member = nextMember(group);
      if (member !== undefined) this.#push(member, message, address);
    }
    return 'published';
  }

  #push(subscriber: InProcessSubscriber, message: unknown, address: ReplyAddress | undefined): void {
    if (!this.#queue.push(subscriber, message, address)) subscriber.counts['queue-full']++;
  }
}
