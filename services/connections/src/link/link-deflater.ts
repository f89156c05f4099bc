import { constants, createDeflate, type Deflate } from 'node:zlib';

/** Small window and tables: messages are short, and there are many links (docs/limits.md). */
const WINDOW_BITS = 13;
const MEM_LEVEL = 6;
const LEVEL = 6;

export interface LinkDeflaterOptions {
  readonly onData: (chunk: Buffer) => void;
  /** What was written is out: more may be written. */
  readonly onIdle: () => void;
}

/** The zlib stream that we send for the life of a link, flushed after every write (docs/protocol/01 §8). */
export class LinkDeflater {
  readonly #stream: Deflate;
  readonly #options: LinkDeflaterOptions;
  #busy = false;
  #closed = false;

  constructor(options: LinkDeflaterOptions) {
    this.#options = options;
    this.#stream = createDeflate({ level: LEVEL, windowBits: WINDOW_BITS, memLevel: MEM_LEVEL });
    this.#stream.on('data', (chunk: Buffer) => {
      if (!this.#closed) options.onData(chunk);
    });
    this.#stream.on('error', () => this.close());
  }

  /** Whether a write is under way: what else there is to send waits for `onIdle`, so that it is deflated together. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Deflates and flushes `bytes`; `done` is called when they were handed to `onData`. */
  write(bytes: Uint8Array, done?: () => void): void {
    if (this.#closed) return;
    this.#busy = true;
    this.#stream.write(bytes);
    this.#stream.flush(constants.Z_SYNC_FLUSH, () => {
      this.#busy = false;
      if (this.#closed) return;
      if (done === undefined) this.#options.onIdle();
      else done();
    });
  }

  close(): void {
    this.#closed = true;
    this.#stream.destroy();
  }
}
