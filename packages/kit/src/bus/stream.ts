// The two ends of a credit stream, the same over every bus; the bus only carries messages one way and reports the other.
import type { Clock, TimerHandle, Timers } from '../clock/clock.ts';
import type { SendResult, Sequenced, StreamWriter, WriterOptions } from './bus.ts';
import { CreditWindow } from './credit-window.ts';
import type { HandlerCalls } from './handler-calls.ts';
import { READER_TRACKED_WRITERS, REPORT_INTERVAL_MS } from './limits.ts';
import type { TopicCounts } from './topic-counts.ts';
import { WriterTrack } from './writer-track.ts';

/** What became of a message handed to the bus; each is a counter too. */
export type PublishOutcome = 'published' | 'disconnected' | 'too-large' | 'queue-full';

const SEND_RESULTS: Record<PublishOutcome, SendResult> = {
  published: 'sent',
  disconnected: 'disconnected',
  'too-large': 'too-large',
  'queue-full': 'no-credit',
};

/** What a writer needs from its bus. */
export interface WriterDependencies<T> {
  readonly clock: Clock;
  readonly counts: TopicCounts;
  /** Sends the message with the address for reports. */
  readonly transmit: (message: T) => PublishOutcome;
  readonly onClose: () => void;
}

/** Where reports go: a writer, seen from its reader. */
export interface ReportSink {
  /** Takes in a reader's report: it has done everything up to `number`. */
  reported(epoch: number, number: number): void;
}

/** The writing end. Allocates nothing per message. */
export class CreditWriter<T extends Sequenced> implements StreamWriter<T>, ReportSink {
  readonly #epoch: number;
  readonly #window: CreditWindow;
  readonly #clock: Clock;
  readonly #counts: TopicCounts;
  readonly #transmit: (message: T) => PublishOutcome;
  readonly #onClose: () => void;
  #closed = false;

  constructor(options: WriterOptions, dependencies: WriterDependencies<T>) {
    this.#epoch = options.epoch;
    this.#window = new CreditWindow(options);
    this.#clock = dependencies.clock;
    this.#counts = dependencies.counts;
    this.#transmit = dependencies.transmit;
    this.#onClose = dependencies.onClose;
  }

  get outstandingBytes(): number {
    return this.#window.outstandingBytes;
  }

  get lastNumber(): number {
    return this.#window.lastNumber;
  }

  isDone(number: number): boolean {
    return this.#window.isDone(number);
  }

  pressure(): number {
    return this.#window.pressure(this.#clock.monotonic());
  }

  send(message: T, bytes: number): SendResult {
    if (this.#closed) {
      this.#counts.disconnected++;
      return 'disconnected';
    }
    const nowMs = this.#clock.monotonic();
    if (!this.#window.admits(bytes, nowMs)) {
      this.#counts['no-credit']++;
      return 'no-credit';
    }
    message.epoch = this.#epoch;
    message.number = this.#window.nextNumber;
    message.sentAtMs = this.#clock.now();
    const outcome = this.#transmit(message);
    this.#counts[outcome]++;
    if (outcome === 'published') this.#window.sent(bytes, nowMs);
    return SEND_RESULTS[outcome];
  }

  reported(epoch: number, number: number): void {
    this.#window.reported(epoch, number);
  }

  /** The bus has lost its connection. */
  disconnected(): void {
    this.#window.forget();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
  }
}

/** What a reader needs from its bus. `A` is the address that reports to one writer go to. */
export interface ReaderDependencies<A> {
  readonly calls: HandlerCalls;
  readonly counts: TopicCounts;
  readonly timers: Timers;
  readonly report: (address: A, epoch: number, number: number) => void;
}

/** The reading end: calls the handler and reports what is done to each writer. */
export class CreditReader<T extends Sequenced, A> {
  readonly #name: string;
  readonly #handler: (message: T) => void | Promise<void>;
  readonly #dependencies: ReaderDependencies<A>;
  readonly #tracks = new Map<A, WriterTrack>();
  readonly #changed = new Map<A, WriterTrack>();
  #timer: TimerHandle | undefined;

  constructor(name: string, handler: (message: T) => void | Promise<void>, dependencies: ReaderDependencies<A>) {
    this.#name = name;
    this.#handler = handler;
    this.#dependencies = dependencies;
  }

  /** Takes in a message; `address` is undefined where its sender wants no reports. */
  receive(message: T, address: A | undefined): void {
    const { calls, counts } = this.#dependencies;
    if (address === undefined) {
      void calls.call(this.#name, this.#handler, message);
      return;
    }
    const track = this.#trackOf(address, message);
    if (track.full) {
      counts['queue-full']++;
      return;
    }
    // The handler may keep or change the message.
    const { number } = message;
    const slot = track.begin(number);
    const pending = calls.call(this.#name, this.#handler, message);
    if (pending === undefined) this.#done(track, slot, address);
    else void pending.then(() => this.#done(track, slot, address));
  }

  /** Reports what is not yet reported. */
  report(): void {
    this.#dependencies.timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [address, track] of this.#changed) this.#dependencies.report(address, track.epoch, track.done);
    this.#changed.clear();
  }

  #done(track: WriterTrack, slot: number, address: A): void {
    const current = this.#tracks.get(address) === track;
    if (track.finish(slot) && current) this.#reportLater(track, address);
  }

  #reportLater(track: WriterTrack, address: A): void {
    this.#changed.set(address, track);
    if (this.#timer !== undefined) return;
    this.#timer = this.#dependencies.timers.setTimeout(() => this.report(), REPORT_INTERVAL_MS);
    this.#timer.unref();
  }

  #trackOf(address: A, message: T): WriterTrack {
    const known = this.#tracks.get(address);
    if (known?.epoch === message.epoch) return known;
    if (known === undefined && this.#tracks.size >= READER_TRACKED_WRITERS) this.#forgetOne();
    const track = new WriterTrack(message.epoch, message.number);
    this.#tracks.set(address, track);
    // Tells a writer that waits for what an earlier reader took with it that those messages are over.
    this.#reportLater(track, address);
    return track;
  }

  #forgetOne(): void {
    for (const address of this.#tracks.keys()) {
      this.#tracks.delete(address);
      this.#changed.delete(address);
      return;
    }
  }
}
