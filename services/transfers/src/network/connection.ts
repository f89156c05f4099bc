import type { Socket } from 'node:net';
import type { PeerAddress } from '@filbert/gnutella';
import { HeadReader, type HeadLimits, type HeadRefusal, type MessageHead } from './message-head.ts';

/** After our last words a peer may take this long to read them, in ms. */
const FAREWELL_MS = 2_000;
/** The most bytes read and thrown away after our last words. */
const MAX_FAREWELL_BYTES = 256 * 1024;

const WAKING_EVENTS = ['error', 'close', 'end', 'readable', 'drain'] as const;

export type ReadResult = Buffer | 'ended' | 'timeout';

export type HeadResult =
  | { readonly kind: 'head'; readonly head: MessageHead }
  | { readonly kind: 'refused'; readonly reason: HeadRefusal }
  /** `begun`: part of a head had arrived. */
  | { readonly kind: 'ended'; readonly begun: boolean }
  | { readonly kind: 'timeout'; readonly begun: boolean };

/**
 * A TCP connection that is read when its owner asks: what is not asked for waits in the kernel, so a fast peer costs no
 * memory. Writing waits for the peer, with a bound.
 */
export class Connection {
  readonly socket: Socket;
  /** The real peer, also where the socket came through another process. */
  readonly remote: PeerAddress;
  #held: Buffer;
  #wake: (() => void) | undefined;
  #closed = false;
  #received: number;
  readonly #onEvent = (): void => {
    this.#closed ||= this.socket.closed;
    this.#wake?.();
  };

  /** @param first bytes that were read from the socket already */
  constructor(socket: Socket, remote: PeerAddress, first: Buffer = Buffer.alloc(0)) {
    this.socket = socket;
    this.remote = remote;
    this.#held = first;
    this.#received = first.length;
    this.#closed = socket.destroyed;
    socket.setNoDelay(true);
    for (const event of WAKING_EVENTS) socket.on(event, this.#onEvent);
  }

  /** Lets go of the socket for another owner, who must take it in the same turn. */
  release(): void {
    for (const event of WAKING_EVENTS) this.socket.off(event, this.#onEvent);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes received so far, the first ones included. */
  get received(): number {
    return this.#received;
  }

  onClose(listener: () => void): void {
    if (this.#closed) listener();
    else this.socket.once('close', listener);
  }

  /** The next bytes, whatever their number. */
  async read(timeoutMs: number): Promise<ReadResult> {
    if (this.#held.length > 0) {
      const held = this.#held;
      this.#held = Buffer.alloc(0);
      return held;
    }
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const chunk = this.socket.read() as Buffer | null;
      if (chunk !== null) {
        this.#received += chunk.length;
        return chunk;
      }
      if (this.#closed || this.socket.readableEnded || this.socket.destroyed) return 'ended';
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return 'timeout';
      await this.#event(leftMs);
    }
  }

  /** Puts bytes back: the next read gives them. */
  unread(bytes: Buffer): void {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([bytes, this.#held]);
  }

  /** What was put back and not read again, for another owner of the socket. */
  takeHeld(): Buffer {
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    return held;
  }

  /** Reads one head; what stands behind it stays. */
  async readHead(timeoutMs: number, limits?: HeadLimits): Promise<HeadResult> {
    const reader = new HeadReader(limits);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const bytes = await this.read(Math.max(0, deadline - performance.now()));
      if (bytes === 'ended' || bytes === 'timeout') return { kind: bytes, begun: reader.begun };
      const progress = reader.push(bytes);
      if (progress.kind === 'need-more') continue;
      if (progress.kind === 'refused') return progress;
      if (progress.used < bytes.length) this.unread(bytes.subarray(progress.used));
      return { kind: 'head', head: progress.head };
    }
  }

  /** Writes and waits until the peer takes more. False where it is gone or took nothing for `stallMs`. */
  async write(bytes: Uint8Array | string, stallMs: number): Promise<boolean> {
    const { socket } = this;
    if (this.#closed || socket.destroyed || socket.writableEnded) return false;
    if (typeof bytes === 'string' ? socket.write(bytes, 'latin1') : socket.write(bytes)) return true;
    const deadline = performance.now() + stallMs;
    while (socket.writableNeedDrain) {
      if (this.#closed || socket.destroyed) return false;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await this.#event(leftMs);
    }
    return !this.#closed;
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Ends after what was written; what the peer still says is read for a moment, so that a reset does not eat our words. */
  async end(): Promise<void> {
    const { socket } = this;
    if (this.#closed || socket.destroyed) return;
    socket.end();
    const deadline = performance.now() + FAREWELL_MS;
    const most = this.#received + MAX_FAREWELL_BYTES;
    while (this.#received < most) {
      const bytes = await this.read(Math.max(0, deadline - performance.now()));
      if (bytes === 'ended' || bytes === 'timeout') break;
    }
    socket.destroy();
  }

  /** Waits for anything to happen on the socket, or for the time. One waiter at a time: a connection has one owner. */
  async #event(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
