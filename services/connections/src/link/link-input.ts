import type { Socket } from 'node:net';
import { Descriptor, FrameSplitter, FUNCTION_OFFSET, type FrameFault, type FrameSink } from '@filbert/gnutella';
import { INFLATED_CHUNK_BYTES, LinkInflater } from './link-inflater.ts';
import { FULL_READ_BYTES, LIGHT_WINDOW_MS, READ_SLICE_MS, type Reader, type ReadTurns } from './read-turns.ts';

/** Between so many frames the clock is looked at; after each of QRP, which may be costly. */
const FRAMES_PER_LOOK = 32;

export interface LinkInputOptions {
  readonly socket: Socket;
  /** The peer deflates what it sends. */
  readonly inflate: boolean;
  readonly sflag: boolean;
  readonly turns: ReadTurns;
  readonly sink: FrameSink;
  /** The bytes cannot be cut into frames any further. */
  readonly onFault: (fault: FrameFault) => void;
  /** They cannot be inflated any further. */
  readonly onBroken: (reason: string) => void;
}

/** What comes in over a link: from the socket's bytes, inflated where the peer deflates, to frames, a slice at a time. */
export class LinkInput implements FrameSink, Reader {
  readonly inflates: boolean;
  readonly #options: LinkInputOptions;
  readonly #splitter: FrameSplitter;
  readonly #inflater: LinkInflater | undefined;
  /** Bytes handed over at once that mean that there is more. */
  readonly #fullBytes: number;
  /** Bytes that wait for their turn: the rest of one read, and what the socket had already read behind it. */
  #held: Buffer[] = [];
  #waiting = false;
  /** The inflater has enough. */
  #busy = false;
  #closed = false;
  #reading = false;
  #until = 0;
  #frames = 0;
  #windowSince = 0;
  #windowBytes = 0;
  #onFinished: (() => void) | undefined;

  constructor(options: LinkInputOptions) {
    this.#options = options;
    this.inflates = options.inflate;
    this.#fullBytes = options.inflate ? INFLATED_CHUNK_BYTES : FULL_READ_BYTES;
    this.#splitter = new FrameSplitter({ sflag: options.sflag });
    if (!options.inflate) return;
    this.#inflater = new LinkInflater({
      onData: (chunk) => this.#take(chunk),
      onFault: options.onBroken,
      onBusy: (busy) => {
        this.#busy = busy;
        this.#steer();
      },
    });
  }

  /** Takes what the socket gave. */
  push(chunk: Buffer): void {
    if (this.#inflater === undefined) this.#take(chunk);
    else this.#inflater.push(chunk);
  }

  frame(bytes: Buffer, start: number, end: number): void {
    this.#options.sink.frame(bytes, start, end);
    const isCostly = bytes[start + FUNCTION_OFFSET] === Descriptor.QRP;
    if (!isCostly && ++this.#frames % FRAMES_PER_LOOK !== 0) return;
    if (this.#reading && this.#options.turns.now() >= this.#until) this.#splitter.pause();
  }

  readOn(): void {
    this.#waiting = false;
    this.#readHeld();
    this.#steer();
  }

  /** The socket is closed: works on what still waits, then calls `done`. */
  finish(done: () => void): void {
    if (this.#closed) return done();
    this.#onFinished = done;
    this.#options.turns.forget(this);
    this.#until = Number.POSITIVE_INFINITY;
    this.#waiting = false;
    this.#readHeld();
    if (this.#inflater === undefined) return this.#settle();
    this.#inflater.setPaused(false);
    this.#inflater.finish(() => this.#settle());
  }

  /** Nothing is taken any more; what still comes is thrown away, so that the end of the stream is seen. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.turns.forget(this);
    this.#held = [];
    this.#splitter.stop();
    this.#inflater?.close();
    this.#options.socket.resume();
    this.#settle();
  }

  #settle(): void {
    const done = this.#onFinished;
    this.#onFinished = undefined;
    done?.();
  }

  #take(chunk: Buffer): void {
    if (this.#closed) return;
    this.#held.push(chunk);
    // One that came while it should not is the last one.
    if (this.#waiting) this.#steer();
    else this.#readHeld();
  }

  #readHeld(): void {
    for (;;) {
      const chunk = this.#waiting || this.#closed ? undefined : this.#held.shift();
      if (chunk === undefined) return;
      this.#read(chunk);
    }
  }

  #read(chunk: Buffer): void {
    const { turns } = this.#options;
    const now = turns.now();
    if (now - this.#windowSince >= LIGHT_WINDOW_MS) {
      this.#windowSince = now;
      this.#windowBytes = 0;
    }
    const isLast = this.#until === Number.POSITIVE_INFINITY;
    if (!isLast) this.#until = now + READ_SLICE_MS;
    this.#reading = true;
    const fault = this.#splitter.push(chunk, this);
    this.#reading = false;
    if (fault !== undefined) return this.#options.onFault(fault);
    const { unread } = this.#splitter;
    this.#windowBytes += chunk.length - unread;
    if (unread > 0) this.#held.unshift(chunk.subarray(chunk.length - unread));
    if (this.#closed || isLast) return;
    const isSliceOver = unread > 0 || turns.now() >= this.#until;
    if (!isSliceOver && !turns.mustWait(chunk.length >= this.#fullBytes, this.#windowBytes)) return;
    this.#waiting = true;
    turns.wait(this);
    this.#steer();
  }

  #steer(): void {
    const { socket } = this.#options;
    if (this.#closed) return;
    this.#inflater?.setPaused(this.#waiting);
    if (this.#waiting || this.#busy) socket.pause();
    else socket.resume();
  }
}
