// The bus: publish/subscribe, request/reply and credit-controlled streams, over one process or over NATS.
// Both implementations are held to one contract suite (test/kit/bus/contract.ts).
import type { Durations } from '../metrics/durations.ts';

/**
 * How a value travels. In one process the value itself is handed over and neither function is called, so a message
 * belongs to its receivers once it was published: nobody changes it any more. `decode` throws on bytes it cannot read.
 */
export interface Codec<T> {
  encode(message: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** A subject and what it carries. `name` is a closed set and labels metrics; `subject` may hold ids. */
export interface Topic<T> {
  readonly name: string;
  /** Tokens joined by dots. To subscribe, `*` stands for any one token and a last `>` for all that follow. */
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

/** `too-large`: above what the server takes in one message. */
export type SendResult = 'sent' | 'no-credit' | 'disconnected' | 'too-large';

/** The writing end of a credit stream. Sheds at the source: what finds no credit is refused here and never queued. */
export interface StreamWriter<T extends Sequenced> {
  /**
   * Share of the credit in use, from 0; at 1 or above `send` refuses. Callers shed by class from lower values on.
   * A writer without credit lets one message through every 100 ms, so that a reader that came back can free it, and says
   * 0 when such a message is due.
   */
  pressure(): number;
  /**
   * Sends a message of `bytes` bytes and fills in its `epoch`, `number` (from 1, skipping 0 when the u32 wraps) and
   * `sentAtMs` (wall clock). Refused too is what would lift the bytes outstanding above the limit, unless nothing is
   * outstanding. Refusals are counted by the bus.
   */
  send(message: T, bytes: number): SendResult;
  /** Bytes sent and not yet reported done. */
  readonly outstandingBytes: number;
  /** Number of the message sent last; 0 before the first. */
  readonly lastNumber: number;
  /** Whether the message of that number, and all before it, is reported done, or was given up with a lost connection. */
  isDone(number: number): boolean;
  /** Later sends are refused as `disconnected`. */
  close(): void;
}

/**
 * What the bus counts per topic name. `published` and `delivered` (to one handler) are what went well, the others what
 * was dropped and why:
 * - `disconnected`: published while the bus was not connected, or closed
 * - `no-credit`: refused by a stream without credit
 * - `queue-full`: a bounded queue was full: a subscription's in one process, the bytes the server has not yet taken
 *   over NATS, or the handlers under way
 * - `undecodable`: the codec threw
 * - `too-large`: above what the server takes in one message
 * - `handler-error`: a handler threw or its promise was rejected (these were delivered too)
 */
export const BUS_EVENTS = [
  'published',
  'delivered',
  'disconnected',
  'no-credit',
  'queue-full',
  'undecodable',
  'too-large',
  'handler-error',
] as const;
export type BusEvent = (typeof BUS_EVENTS)[number];

/** One counter, as it stands now. */
export interface BusCount {
  readonly topic: string;
  readonly event: BusEvent;
  readonly value: number;
}

/** What the writers of one topic have sent and its readers have not done yet. */
export interface BusOutstanding {
  readonly topic: string;
  readonly bytes: number;
}

/** How long the requests of one topic took, from the request to its first reply or its failure. */
export interface BusRequests {
  readonly topic: string;
  readonly durations: Durations;
}

/** Told of every error that the bus swallowed and counted, for the log. `topic` is the topic's name. */
export type BusErrorHook = (error: unknown, topic: string, event: 'handler-error' | 'undecodable') => void;

/**
 * Everything services say to each other outside gRPC.
 * A publish while disconnected is dropped and counted, nothing old is replayed.
 */
export interface Bus {
  readonly status: BusStatus;
  /** Calls `listener` with every later change of the status; returns how to stop that. */
  onStatus(listener: (status: BusStatus) => void): () => void;
  /** Publishes to every subscriber. Returns false where the message was dropped (disconnected, closed, too large, queue full). */
  publish<T>(topic: Topic<T>, message: T): boolean;
  /**
   * Handlers are called later, never inside `publish`. A message that cannot be decoded is dropped and counted; a handler
   * that throws is reported to the error hook and counted.
   * @throws BusError `closed` once `drain` was called; so do `respond` and `openReader`
   */
  subscribe<T>(topic: Topic<T>, handler: (message: T) => void, options?: SubscribeOptions): Subscription;
  /**
   * Asks whoever responds to the topic; the first reply counts.
   * @throws BusError `timeout`, `no-responders`, `disconnected`, `closed`, `bad-reply`, `refused`
   */
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
  /** The counters that have counted something, as plain numbers, for the metrics to read at scrape time. */
  counters(): Iterable<BusCount>;
  /** What waits in streams, by topic with open writers, for the metrics to read at scrape time. */
  outstanding(): Iterable<BusOutstanding>;
  /** The requests that ended, for the metrics to read at scrape time. */
  requestDurations(): Iterable<BusRequests>;
  /**
   * Stops subscriptions, delivers what is under way, lets handlers end (at most 5 s) and closes: publishes then return
   * false and requests fail with `closed`. Never rejects; a second call waits for the first.
   */
  drain(): Promise<void>;
}

/** `refused`: a request above the server's largest payload, or too many requests under way. */
export type BusErrorCode =
  'timeout' | 'no-responders' | 'disconnected' | 'closed' | 'bad-reply' | 'refused' | 'connect-failed';

/** Why a bus operation did not succeed. */
export class BusError extends Error {
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BusError';
    this.code = code;
  }
}
