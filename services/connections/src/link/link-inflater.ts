import { constants, createInflate, type Inflate } from 'node:zlib';

/** Output of one step. */
export const INFLATED_CHUNK_BYTES = 16 * 1024;
/** Over each stretch of so many inflated bytes … */
const RATIO_WINDOW_BYTES = 1024 * 1024;
/** … a link may not inflate by more than this: then it is a bomb (docs/protocol/12 §7). */
export const MAX_INFLATE_RATIO = 200;

export interface LinkInflaterOptions {
  readonly onData: (chunk: Buffer) => void;
  /** The stream is broken, ended or a bomb. */
  readonly onFault: (reason: string) => void;
  /** True: stop feeding until false. */
  readonly onBusy: (busy: boolean) => void;
}

/** The zlib stream that a peer sends for the life of a link (docs/protocol/01 §8). */
export class LinkInflater {
  readonly #stream: Inflate;
  readonly #options: LinkInflaterOptions;
  /** Bytes that the stream had consumed when the present stretch began. */
  #consumed = 0;
  #out = 0;
  #closed = false;
  #onFinished: (() => void) | undefined;

  constructor(options: LinkInflaterOptions) {
    this.#options = options;
    this.#stream = createInflate({ chunkSize: INFLATED_CHUNK_BYTES, finishFlush: constants.Z_SYNC_FLUSH });
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#stream.on('error', () => this.#fault('Inflation error'));
    this.#stream.on('end', () => {
      if (this.#onFinished === undefined) this.#fault('Deflated stream ended');
      else this.#settle();
    });
    this.#stream.on('drain', () => {
      if (!this.#closed) options.onBusy(false);
    });
  }

  push(chunk: Buffer): void {
    if (this.#closed) return;
    if (!this.#stream.write(chunk)) this.#options.onBusy(true);
  }

  /** While paused, nothing is handed on, and no more is inflated than the stream has room for. */
  setPaused(paused: boolean): void {
    if (this.#closed || this.#stream.isPaused() === paused) return;
    if (paused) this.#stream.pause();
    else this.#stream.resume();
  }

  /** Hands on what waits to be inflated, then calls `done`: the peer's side has ended, and its last words may wait here. */
  finish(done: () => void): void {
    if (this.#closed) return done();
    this.#onFinished = done;
    this.#stream.end();
  }

  close(): void {
    this.#closed = true;
    this.#stream.destroy();
  }

  #settle(): void {
    const done = this.#onFinished;
    this.#onFinished = undefined;
    done?.();
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    this.#out += chunk.length;
    if (this.#out >= RATIO_WINDOW_BYTES) {
      // What was consumed, not what was pushed: a chunk may inflate over several stretches.
      const consumed = this.#stream.bytesWritten - this.#consumed;
      if (this.#out > consumed * MAX_INFLATE_RATIO) {
        this.#fault('Deflated stream inflates too much');
        return;
      }
      this.#consumed += consumed;
      this.#out = 0;
    }
    this.#options.onData(chunk);
  }

  #fault(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#options.onFault(reason);
    this.#settle();
  }
}
