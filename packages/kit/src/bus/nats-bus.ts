import { createInbox, type Msg, type Subscription as NatsSubscription } from 'nats';
import { type Clock, systemClock, systemTimers, type Timers } from '../clock/clock.ts';
import {
  type Bus,
  type BusCount,
  BusError,
  type BusErrorHook,
  type BusOutstanding,
  type BusRequests,
  type BusStatus,
  type Codec,
  type RequestTopic,
  type Sequenced,
  type StreamWriter,
  type SubscribeOptions,
  type Subscription,
  type Topic,
  type WriterOptions,
} from './bus.ts';
import { decodeReport, encodeReport } from './credit-report.ts';
import { settledWithin } from './deadline.ts';
import { HandlerCalls } from './handler-calls.ts';
import { DRAIN_TIMEOUT_MS } from './limits.ts';
import { connectNats, type NatsConnectOptions } from './nats-connect.ts';
import { NatsPlane, type NatsPlaneHooks } from './nats-plane.ts';
import { OpenWriters } from './open-writers.ts';
import { PendingRequests } from './pending-requests.ts';
import { STATUS_TOPIC, StatusListeners } from './status-listeners.ts';
import { CreditReader, CreditWriter, type PublishOutcome } from './stream.ts';
import { BusCounts } from './topic-counts.ts';

/** How to reach NATS, and who is told of errors of handlers. */
export interface NatsBusOptions extends NatsConnectOptions {
  readonly onError?: BusErrorHook;
  /** Told of what the server complains about, such as a missing permission. */
  readonly onServerError?: (reason: string) => void;
}

/** What the server answers to a request that nobody is subscribed to. */
const NO_RESPONDERS_STATUS = 503;

/** The last token of an inbox subject: what it is for, followed by a number. */
const REPLY_PREFIX = 'r';
const CREDIT_PREFIX = 'c';

/**
 * A bus over NATS, with one connection for data and one for control. Resolves once both are up, and then reconnects for
 * ever.
 * @throws BusError `connect-failed`: see `connectNats`
 */
export async function connectNatsBus(options: NatsBusOptions): Promise<Bus> {
  const data = await connectNats({ ...options, name: `${options.name} data` });
  try {
    const control = await connectNats({ ...options, name: `${options.name} control` });
    return new NatsBus(options, (hooks) => [new NatsPlane(data, hooks), new NatsPlane(control, hooks)]);
  } catch (error) {
    await data.close();
    throw error;
  }
}

class NatsBus implements Bus {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #data: NatsPlane;
  readonly #control: NatsPlane;
  readonly #counts = new BusCounts();
  readonly #open = new OpenWriters(this.#counts);
  readonly #calls: HandlerCalls;
  readonly #status: StatusListeners;
  readonly #requests: PendingRequests<Uint8Array>;
  readonly #inbox = createInbox();
  readonly #subscriptions = new Set<NatsSubscription>();
  readonly #readers = new Set<{ report(): void }>();
  readonly #writers = new Map<number, { reported(epoch: number, number: number): void; disconnected(): void }>();
  #lastWriter = 0;
  #drained: Promise<void> | undefined;

  constructor(options: NatsBusOptions, makePlanes: (hooks: NatsPlaneHooks) => [data: NatsPlane, control: NatsPlane]) {
    this.#clock = options.clock ?? systemClock;
    this.#timers = options.timers ?? systemTimers;
    const calls = new HandlerCalls(this.#counts, options.onError);
    this.#calls = calls;
    this.#status = new StatusListeners('connected', (error) => calls.failed(error, STATUS_TOPIC));
    this.#requests = new PendingRequests(this.#clock, this.#timers);
    [this.#data, this.#control] = makePlanes({
      onChange: () => this.#planesChanged(),
      onServerError: (reason) => options.onServerError?.(reason),
    });
    this.#control.subscribe(`${this.#inbox}.*`, undefined, (message) => this.#inboxMessage(message));
    // A connection may have been lost between connecting and here.
    this.#planesChanged();
  }

  get status(): BusStatus {
    return this.#status.status;
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    return this.#status.add(listener);
  }

  publish<T>(topic: Topic<T>, message: T): boolean {
    const outcome = this.#send(this.#planeOf(topic), topic.subject, topic.codec, message);
    this.#counts.of(topic.name)[outcome]++;
    return outcome === 'published';
  }

  subscribe<T>(topic: Topic<T>, handler: (message: T) => void, options?: SubscribeOptions): Subscription {
    return this.#add(this.#planeOf(topic), topic, topic.codec, options, (message) => {
      void this.#calls.call(topic.name, handler, message);
    });
  }

  async request<Q, R>(
    topic: RequestTopic<Q, R>,
    message: Q,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<R> {
    const payload = topic.request.encode(message);
    const { id, reply } = this.#requests.open(topic.name, timeoutMs);
    const outcome = this.#sendBytes(this.#control, topic.subject, payload, {
      reply: `${this.#inbox}.${REPLY_PREFIX}${id}`,
    });
    this.#counts.of(topic.name)[outcome]++;
    if (outcome === 'disconnected') this.#requests.reject(id, ...this.#whyDisconnected());
    else if (outcome !== 'published') this.#requests.reject(id, 'refused', `not sent: ${outcome}`);
    const bytes = await reply;
    try {
      return topic.reply.decode(bytes);
    } catch (error) {
      this.#calls.undecodable(error, topic.name);
      throw new BusError('bad-reply', `${topic.name}: the reply cannot be read`, { cause: error });
    }
  }

  respond<Q, R>(
    topic: RequestTopic<Q, R>,
    handler: (message: Q) => R | undefined | Promise<R | undefined>,
    options?: SubscribeOptions,
  ): Subscription {
    return this.#add(this.#control, topic, topic.request, options, (message, address) => {
      void this.#calls.call(topic.name, handler, message, (reply) => {
        if (reply === undefined || address === '') return;
        // What the handler returned is what the topic's reply codec takes.
        this.#counts.of(topic.name)[this.#send(this.#control, address, topic.reply, reply as R)]++;
      });
    });
  }

  openWriter<T extends Sequenced>(topic: Topic<T>, options: WriterOptions): StreamWriter<T> {
    const id = ++this.#lastWriter;
    const plane = this.#planeOf(topic);
    const publishOptions = { reply: `${this.#inbox}.${CREDIT_PREFIX}${id}` };
    const writer: CreditWriter<T> = new CreditWriter<T>(options, {
      clock: this.#clock,
      counts: this.#counts.of(topic.name),
      transmit: (message) => this.#send(plane, topic.subject, topic.codec, message, publishOptions),
      onClose: () => {
        this.#writers.delete(id);
        this.#open.delete(writer);
      },
    });
    this.#writers.set(id, writer);
    this.#open.add(writer, topic.name);
    return writer;
  }

  openReader<T extends Sequenced>(topic: Topic<T>, handler: (message: T) => void | Promise<void>): Subscription {
    const reader = new CreditReader<T, string>(topic.name, handler, {
      calls: this.#calls,
      counts: this.#counts.of(topic.name),
      timers: this.#timers,
      // A report that is lost is made up for by the next, at the latest after the writer's next probe.
      report: (address, epoch, number) => void this.#control.publish(address, encodeReport(epoch, number)),
    });
    const subscription = this.#add(this.#planeOf(topic), topic, topic.codec, undefined, (message, address) =>
      reader.receive(message, address === '' ? undefined : address),
    );
    this.#readers.add(reader);
    return {
      unsubscribe: () => {
        subscription.unsubscribe();
        this.#readers.delete(reader);
      },
    };
  }

  counters(): Iterable<BusCount> {
    return this.#counts.entries();
  }

  outstanding(): Iterable<BusOutstanding> {
    return this.#open.outstanding();
  }

  requestDurations(): Iterable<BusRequests> {
    return this.#requests.durations();
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    // Without a connection no message can be under way, and the library would wait for one.
    const underWay = this.status === 'connected' ? this.#finish() : this.#calls.idle();
    await settledWithin(underWay, DRAIN_TIMEOUT_MS, this.#timers);
    this.#requests.rejectAll('closed', 'the bus was closed');
    this.#status.set('closed');
    await Promise.all([this.#data.close(), this.#control.close()]);
  }

  async #finish(): Promise<void> {
    await Promise.allSettled([...this.#subscriptions].map((subscription) => subscription.drain()));
    await this.#calls.idle();
    for (const reader of this.#readers) reader.report();
    await Promise.allSettled([this.#data.flush(), this.#control.flush()]);
  }

  #planeOf(topic: { readonly plane: 'data' | 'control' }): NatsPlane {
    return topic.plane === 'data' ? this.#data : this.#control;
  }

  #planesChanged(): void {
    if (this.status === 'closed') return;
    if (this.#data.closed || this.#control.closed) {
      // The library gave up although it was told never to; nothing will come of this bus any more.
      this.#requests.rejectAll('closed', 'the connection was closed');
      this.#status.set('closed');
    } else if (this.#data.connected && this.#control.connected) {
      this.#status.set('connected');
    } else {
      for (const writer of this.#writers.values()) writer.disconnected();
      this.#requests.rejectAll('disconnected', 'the connection was lost');
      this.#status.set('disconnected');
    }
  }

  #whyDisconnected(): ['closed' | 'disconnected', string] {
    return this.status === 'closed' ? ['closed', 'the bus is closed'] : ['disconnected', 'not connected'];
  }

  #send<T>(
    plane: NatsPlane,
    subject: string,
    codec: Codec<T>,
    message: T,
    options?: { reply: string },
  ): PublishOutcome {
    if (this.status !== 'connected' || !plane.connected) return 'disconnected';
    return plane.publish(subject, codec.encode(message), options);
  }

  #sendBytes(plane: NatsPlane, subject: string, payload: Uint8Array, options: { reply: string }): PublishOutcome {
    return this.status === 'connected' ? plane.publish(subject, payload, options) : 'disconnected';
  }

  #add<T>(
    plane: NatsPlane,
    topic: { readonly name: string; readonly subject: string },
    codec: Codec<T>,
    options: SubscribeOptions | undefined,
    deliver: (message: T, address: string) => void,
  ): Subscription {
    if (this.#drained !== undefined || this.status === 'closed')
      throw new BusError('closed', `${topic.name}: the bus is closed`);
    const subscription = plane.subscribe(topic.subject, options?.queue, (incoming) => {
      let message: T;
      try {
        message = codec.decode(incoming.data);
      } catch (error) {
        this.#calls.undecodable(error, topic.name);
        return;
      }
      deliver(message, incoming.reply ?? '');
    });
    this.#subscriptions.add(subscription);
    return {
      unsubscribe: () => {
        if (this.#subscriptions.delete(subscription)) subscription.unsubscribe();
      },
    };
  }

  #inboxMessage(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length + 1);
    const id = Number(token.slice(1));
    if (token.startsWith(CREDIT_PREFIX)) {
      const report = decodeReport(message.data);
      if (report !== undefined) this.#writers.get(id)?.reported(report.epoch, report.number);
    } else if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS_STATUS) {
      this.#requests.reject(id, 'no-responders', 'nobody responds');
    } else {
      this.#requests.resolve(id, message.data);
    }
  }
}
