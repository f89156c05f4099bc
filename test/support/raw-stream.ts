import type { Socket } from 'node:net';
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';
import { Signal } from './signal.ts';

/** The most bytes of one handshake block that a raw peer reads. */
const MAX_BLOCK_BYTES = 64 * 1024;

/** The most bytes that wait to be written on one raw stream. */
const MAX_UNWRITTEN_BYTES = 64 * 1024 * 1024;

/** A socket that first carries text blocks and then bytes, deflated or not, in each direction (protocol page 01 §8). */
export class RawStream {
  readonly socket: Socket;
  /** Settles when the socket is closed and everything received was handed on. */
  readonly closed: Promise<void>;
  /** Why the socket failed, if it did. */
  error: Error | undefined;
  #early = Buffer.alloc(0);
  #onBytes: ((bytes: Buffer) => void) | undefined;
  readonly #arrival = new Signal();
  #inflate: Inflate | undefined;
  #deflate: Deflate | undefined;
  #ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('error', (error) => {
      this.error ??= error;
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#ended = true;
        this.#arrival.notify();
        if (this.#inflate === undefined || this.#inflate.destroyed) return resolve();
        this.#inflate.once('close', resolve).end();
      });
    });
  }

  get destroyed(): boolean {
    return this.#ended || this.socket.destroyed;
  }

  /**
   * Reads up to the empty line that ends a handshake block and returns the text before it. Bytes behind it stay.
   * @throws Error when the socket closes, the time is up or the block is too long
   */
  async readBlock(timeoutMs: number): Promise<string> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const end = this.#early.indexOf('\r\n\r\n');
      if (end >= 0) {
        const text = this.#early.toString('latin1', 0, end);
        this.#early = this.#early.subarray(end + 4);
        return text;
      }
      const seen = JSON.stringify(this.#early.toString('latin1', 0, 200));
      if (this.#early.length > MAX_BLOCK_BYTES) throw new Error('raw peer: the handshake block never ends');
      if (this.destroyed) throw new Error(`raw peer: closed in the handshake after ${seen}`, { cause: this.error });
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`raw peer: no handshake block within ${timeoutMs} ms, got ${seen}`);
      await this.#arrival.wait(leftMs);
    }
  }

  /** Hands on the bytes received so far, then every later one, inflated if asked. */
  startBytes(inflate: boolean, onBytes: (bytes: Buffer) => void): void {
    this.#onBytes = onBytes;
    if (inflate) {
      // The stream of a link never ends by itself, so its end must not be taken for a cut-off one.
      this.#inflate = createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
      this.#inflate.on('data', onBytes);
      this.#inflate.on('error', (error) => {
        this.error ??= error;
        this.socket.destroy();
      });
    }
    const early = this.#early;
    this.#early = Buffer.alloc(0);
    if (early.length > 0) this.#take(early);
    if (this.#ended) this.#inflate?.end();
  }

  /** From here on what is written is one zlib stream, flushed at each write. */
  startDeflate(): void {
    this.#deflate = createDeflate({ flush: constants.Z_SYNC_FLUSH });
    this.#deflate.on('data', (bytes: Buffer) => {
      if (!this.socket.destroyed) this.socket.write(bytes);
    });
  }

  /** Writes bytes; nothing happens on a closed socket. @throws Error when far more waits than the node reads */
  write(bytes: Uint8Array | string): void {
    if (this.socket.writableLength > MAX_UNWRITTEN_BYTES) throw new Error('raw peer: the node does not read');
    if (this.destroyed) return;
    if (this.#deflate === undefined) this.socket.write(bytes);
    else this.#deflate.write(bytes);
  }

  /** Ends the socket at once. */
  destroy(): void {
    this.socket.destroy();
    this.#deflate?.destroy();
  }

  #take(bytes: Buffer): void {
    if (this.#onBytes === undefined) {
      this.#early = Buffer.concat([this.#early, bytes]);
      if (this.#early.length > MAX_BLOCK_BYTES) this.socket.pause();
      this.#arrival.notify();
    } else if (this.#inflate === undefined) this.#onBytes(bytes);
    else this.#inflate.write(bytes);
  }
}
