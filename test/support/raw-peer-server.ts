import type { Server, Socket } from 'node:net';
import { Signal } from './signal.ts';

/** The most dialled peers that wait for the test to accept them; further dials are closed. */
const MAX_UNACCEPTED = 64;

/** How long `accept` waits unless told otherwise. */
const ACCEPT_TIMEOUT_MS = 10_000;

/** A port where the node dials raw peers; `RawPeer.listen` makes one. */
export class RawPeerServer<Peer extends { close: () => Promise<void> }> {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #peers = new Set<Peer>();
  readonly #waiting: Peer[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #dialled = new Signal();
  #closed = false;

  /** Takes a server that listens, and what shakes hands on a socket. */
  constructor(server: Server, shakeHands: (socket: Socket) => Promise<Peer>) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('raw peer: not listening');
    this.host = address.address;
    this.port = address.port;
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (this.#waiting.length >= MAX_UNACCEPTED) {
        socket.destroy();
        return;
      }
      // A dial whose handshake fails is no peer; the test's `accept` tells by its time limit.
      shakeHands(socket).then(
        (peer) => {
          this.#peers.add(peer);
          this.#waiting.push(peer);
          this.#dialled.notify();
        },
        () => socket.destroy(),
      );
    });
  }

  /** `HOST:PORT`, as the node's flags take it. */
  get address(): string {
    return `${this.host}:${this.port}`;
  }

  /** The next peer whose handshake the node ended, whatever its outcome. @throws Error when none comes in time */
  async accept(timeoutMs = ACCEPT_TIMEOUT_MS): Promise<Peer> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const peer = this.#waiting.shift();
      if (peer !== undefined) return peer;
      if (this.#closed) throw new Error(`raw peer: ${this.address} was closed`);
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`raw peer: the node did not dial ${this.address} within ${timeoutMs} ms`);
      await this.#dialled.wait(leftMs);
    }
  }

  /** Stops listening and ends every link accepted here. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#dialled.notify();
    for (const peer of this.#peers) await peer.close();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
