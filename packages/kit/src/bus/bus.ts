// The bus: publish/subscribe, request/reply and credit-controlled streams, over one process or over NATS.
// Both implementations are held to one contract suite (test/kit/bus/contract.ts).

/** How a value travels. In one process the value itself is handed over and neither function is called. */
export interface Codec<T> {
  encode(message: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** A subject and what it carries. `name` is a closed set and labels metrics; `subject` may hold ids. */
export interface Topic<T> {
  readonly name: string;
  readonly subject: string;
  readonly codec: Codec<T>;
  /** Control topics use a connection of their own, so that a data backlog cannot delay them. */
  readonly plane: 'data' | 'control';
}

/** A subject that answers. Always on the control plane. */
export interface RequestTopic<Q, R> {
  readonly name: string;
  readonly subject: string;
  readonly request: Codec<Q>;
  readonly reply: Codec<R>;
}

/** What a message of a credit stream carries for the stream; filled in by the writer. */
export interface Sequenced {
  epoch: number;
  number: number;
  sentAtMs: number;
}

export type BusStatus = 'connected' | 'disconnected' | 'closed';

export interface Subscription {
  unsubscribe(): void;
}

export interface SubscribeOptions {
  /** Members of one queue group share the messages: each goes to one of them. */
  readonly queue?: string;
}

export interface WriterOptions {
  /** New at each start of the writing process (u32). */
  readonly epoch: number;
  /** Most bytes that may be sent and not yet be reported done. Default 1 MiB. */
  readonly maxOutstandingBytes?: number;
  /** Longest time that a sent message may wait to be reported done before the stream counts as full. Default 250 ms. */
  readonly maxOutstandingMs?: number;
}

export type SendResult = 'sent' | 'no-credit' | 'disconnected';

/** The writing end of a credit stream. Sheds at the source: what finds no credit is refused here and never queued. */
export interface StreamWriter<T extends Sequenced> {
  /** Share of the credit in use, 0 … 1; at 1 or above `send` refuses. Callers shed by class from lower values on. */
  pressure(): number;
  /** Sends a message of `bytes` bytes and fills in its `epoch`, `number` and `sentAtMs`. Refusals are counted by the bus. */
  send(message: T, bytes: number): SendResult;
  readonly outstandingBytes: number;
  close(): void;
}

/**
 * Everything services say to each other outside gRPC.
 * A publish while disconnected is dropped and counted, nothing old is replayed.
 */
export interface Bus {
  readonly status: BusStatus;
  /** Calls `listener` with every later change of the status; returns how to stop that. */
  onStatus(listener: (status: BusStatus) => void): () => void;
  /** Publishes to every subscriber. Returns false where the message was dropped (disconnected or closed). */
  publish<T>(topic: Topic<T>, message: T): boolean;
  /** A message that cannot be decoded is dropped and counted; a handler that throws is logged and counted. */
  subscribe<T>(topic: Topic<T>, handler: (message: T) => void, options?: SubscribeOptions): Subscription;
  /** @throws BusError `timeout`, `no-responders`, `disconnected`, `closed`, `bad-reply` */
  request<Q, R>(topic: RequestTopic<Q, R>, message: Q, options: { readonly timeoutMs: number }): Promise<R>;
  /** Answers requests; a handler that returns undefined stays silent, so that another responder may answer. */
  respond<Q, R>(
    topic: RequestTopic<Q, R>,
    handler: (message: Q) => R | undefined | Promise<R | undefined>,
    options?: SubscribeOptions,
  ): Subscription;
  openWriter<T extends Sequenced>(topic: Topic<T>, options: WriterOptions): StreamWriter<T>;
  /**
   * Reads a credit stream. A message counts as done when the handler has returned, or when the promise it returned has
   * settled; the last number done is reported to its writer every 20 ms.
   */
  openReader<T extends Sequenced>(topic: Topic<T>, handler: (message: T) => void | Promise<void>): Subscription;
  /** Stops taking in, delivers what is under way, and closes. */
  drain(): Promise<void>;
}

export type BusErrorCode = 'timeout' | 'no-responders' | 'disconnected' | 'closed' | 'bad-reply' | 'connect-failed';

/** Why a bus operation did not succeed. */
export class BusError extends Error {
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BusError';
    this.code = code;
  }
}
