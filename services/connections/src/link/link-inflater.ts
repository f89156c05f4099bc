import { createInflate, type Inflate } from 'node:zlib';

/** Output of one step. */
const CHUNK_BYTES = 16 * 1024;
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
  #in = 0;
  #out = 0;
  #waiting = false;
  #closed = false;

  constructor(options: LinkInflaterOptions) {
    this.#options = options;
    this.#stream = createInflate({ chunkSize: CHUNK_BYTES });
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#stream.on('error', () => this.#fault('Inflation error'));
    this.#stream.on('end', () => this.#fault('Deflated stream ended'));
    this.#stream.on('drain', () => {
      this.#waiting = false;
      if (!this.#closed) options.onBusy(false);
    });
  }

  push(chunk: Buffer): void {
    if (this.#closed) return;
    this.#in += chunk.length;
    if (!this.#stream.write(chunk) && !this.#waiting) {
      this.#waiting = true;
      this.#options.onBusy(true);
    }
  }

  close(): void {
    this.#closed = true;
    this.#stream.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    this.#out += chunk.length;
    if (this.#out >= RATIO_WINDOW_BYTES) {
      if (this.#out > this.#in * MAX_INFLATE_RATIO) {
        this.#fault('Deflated stream inflates too much');
        return;
      }
      this.#in = 0;
      this.#out = 0;
    }
    this.#options.onData(chunk);
  }

  #fault(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#options.onFault(reason);
  }
}
