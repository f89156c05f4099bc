import { createServer, type Server, type Socket } from 'node:net';
import { limitKey, sniff } from '@filbert/gnutella';
import { bump, type HostPort } from '@filbert/kit';
import { endGently, HANDSHAKE_TIMEOUT_MS } from './handshake-runner.ts';

/** Bytes read before it must be clear what a connection speaks. */
const MAX_SNIFF_BYTES = 1024;
/** Connections that the kernel holds for us until we accept them. */
const BACKLOG = 1024;
/** Connections of one address that have not said what they speak: without a bound one peer could hold every place. */
export const MAX_SILENT_PER_ADDRESS = 8;

export interface AcceptorOptions {
  readonly listen: HostPort;
  /** Several processes share the port. */
  readonly reusePort: boolean;
  /** Whether to take a connection at all; it has not said anything yet. */
  readonly admit: (socket: Socket, remoteIp: string) => boolean;
  /** Whether the limits per address apply to this one. */
  readonly isLimited: (ip: string) => boolean;
  /** Too many of its address say nothing. */
  readonly onTooMany: () => void;
  /** The connection speaks Gnutella; `first` is what it said, and `leftMs` the time that its handshake has left. */
  readonly onGnutella: (socket: Socket, remoteIp: string, first: Buffer, leftMs: number) => void;
  /** It speaks HTTP, or brings the GIV that answers a PUSH. */
  readonly onTransfer: (socket: Socket, remoteIp: string, first: Buffer) => void;
  /** It was closed because it spoke nothing we know, or nothing in time. */
  readonly onForeign: () => void;
  /** From the connection to the end of its handshake; default `HANDSHAKE_TIMEOUT_MS`. */
  readonly handshakeTimeoutMs?: number;
}

/** The one TCP port: finds out what each connection speaks (docs/protocol/01 §1). */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #waiting = new Set<Socket>();
  /** How many of each address. */
  readonly #waitingOf = new Map<string, number>();

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => this.#onConnection(socket));
  }

  /** Port in use, once listening. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Connections that have not said yet what they speak. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** @throws Error with a sentence where the address is taken or not ours */
  async listen(): Promise<void> {
    const { listen, reusePort } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        reject(new Error(`cannot listen on ${listen.host}:${listen.port}: ${explain(error)}`, { cause: error }));
      };
      this.#server.once('error', onError);
      this.#server.listen({ host: listen.host, port: listen.port, backlog: BACKLOG, reusePort }, () => {
        this.#server.off('error', onError);
        // A failing accept (too many open files) must not end the process; the peer tries elsewhere.
        this.#server.on('error', () => undefined);
        resolve();
      });
    });
  }

  /** Accepts nothing more. */
  close(): void {
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    const remoteIp = plainIp(socket.remoteAddress ?? '');
    if (remoteIp === '' || !this.#options.admit(socket, remoteIp)) {
      socket.destroy();
      return;
    }
    const key = limitKey(remoteIp);
    const ofAddress = this.#waitingOf.get(key) ?? 0;
    if (ofAddress >= MAX_SILENT_PER_ADDRESS && this.#options.isLimited(remoteIp)) {
      this.#options.onTooMany();
      socket.destroy();
      return;
    }
    const timeoutMs = this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    const since = performance.now();
    let held: Buffer = Buffer.alloc(0);
    this.#waiting.add(socket);
    bump(this.#waitingOf, key, 1);
    const done = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      bump(this.#waitingOf, key, -1);
      socket.off('data', onData);
      socket.off('close', done);
    };
    const foreign = (): void => {
      done();
      this.#options.onForeign();
      socket.destroy();
    };
    const timer = setTimeout(foreign, timeoutMs);
    timer.unref();
    const onData = (chunk: Buffer): void => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const spoken = sniff(held);
      if (spoken === 'need-more' && held.length < MAX_SNIFF_BYTES) return;
      if (spoken !== 'gnutella' && spoken !== 'http' && spoken !== 'giv') return foreign();
      done();
      const leftMs = Math.max(0, timeoutMs - (performance.now() - since));
      if (spoken === 'gnutella') this.#options.onGnutella(socket, remoteIp, held, leftMs);
      else this.#options.onTransfer(socket, remoteIp, held);
    };
    // The later owner adds a listener of its own; this one only keeps an early reset from being fatal.
    socket.on('error', () => undefined);
    socket.on('close', done);
    socket.on('data', onData);
  }
}

/** Says that nobody can take a transfer now. */
export function refuseHttp(socket: Socket): void {
  const body = 'No transfers worker can take this connection now; try again later.\n';
  socket.write(
    'HTTP/1.1 503 Service Unavailable\r\nServer: Filbert\r\nContent-Type: text/plain\r\n' +
      `Content-Length: ${body.length}\r\nRetry-After: 60\r\nConnection: close\r\n\r\n${body}`,
  );
  endGently(socket);
}

/** An IPv4 address that came over an IPv6 socket, as IPv4. */
export function plainIp(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}

function explain(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return 'the address is in use; stop the other program or choose another with --listen';
    case 'EADDRNOTAVAIL':
      return 'this machine does not have the address';
    case 'EACCES':
      return 'not permitted; ports below 1024 need privileges';
    default:
      return error.message;
  }
}
