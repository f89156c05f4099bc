import { createServer, type Server, type Socket } from 'node:net';
import { canonicalHost, limitKey, sniff, type PeerAddress } from '@filbert/gnutella';
import { MAX_PROXY_BLOCK_BYTES, parseProxyHeader } from '@filbert/contracts';
import { bump, formatHostPort, type HostPort } from '@filbert/kit';
import type { TransfersCounters } from '../counters.ts';
import { MAX_GIV_BYTES, parseGivLine, type GivLine } from '../giv/giv-line.ts';
import { Connection } from '../network/connection.ts';

/** Connections held at one time, whatever they speak; further ones are closed at once. */
export const MAX_CONNECTIONS = 2_000;
/** Connections of one address. */
export const MAX_CONNECTIONS_PER_ADDRESS = 20;
/** A connection must have said what it speaks within this, in ms (docs/protocol/08 §1). */
export const SNIFF_TIMEOUT_MS = 30_000;
const BACKLOG = 511;

export interface IntakeOptions {
  readonly counters: TransfersCounters;
  /** Whether the limits per address apply to this one. */
  readonly isLimited: (ip: string) => boolean;
  readonly onHttp: (connection: Connection) => Promise<void>;
  readonly onGiv: (connection: Connection, line: GivLine) => Promise<void>;
  readonly sniffTimeoutMs?: number;
}

/** Takes connections from listeners of its own and from edges, and finds out whether they speak HTTP or GIV. */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #servers: Server[] = [];
  readonly #open = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Listens for peers, or with `proxied` for edges of other processes that put a PROXY header in front.
   * @returns the address in use
   * @throws Error with a sentence where the address is taken or not ours
   */
  async listen(listen: HostPort, { proxied }: { readonly proxied: boolean }): Promise<HostPort> {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
      if (proxied) void this.#takeProxied(socket);
      else void this.take(socket, Buffer.alloc(0));
    });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(new Error(`cannot serve files on ${formatHostPort(listen)}: ${error.message}`, { cause: error })),
      );
      server.listen({ host: listen.host, port: listen.port, backlog: BACKLOG }, resolve);
    });
    // A failing accept (too many open files) must not end the process; the peer tries again.
    server.on('error', () => undefined);
    const address = server.address();
    return { host: listen.host, port: typeof address === 'object' && address !== null ? address.port : listen.port };
  }

  /** Takes a socket and what was read from it; resolves when the connection has ended. Never rejects. */
  async take(socket: Socket, first: Buffer, remote: PeerAddress | undefined = remoteOf(socket)): Promise<void> {
    // A reset before anybody listens must not be fatal.
    socket.on('error', () => undefined);
    if (remote === undefined || !this.#admit(socket, remote.host)) {
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, remote, first);
    try {
      await this.#sniff(connection);
    } catch {
      connection.destroy();
    }
  }

  /** Has a connection that we opened ourselves served, if there is room for it as for one that came. */
  async serve({ socket, remote }: Connection, serve: () => Promise<void>): Promise<void> {
    if (this.#admit(socket, remote.host)) await serve();
    else socket.destroy();
  }

  /** Listens no more. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** Ends every connection. */
  destroy(): void {
    this.close();
    for (const socket of this.#open) socket.destroy();
  }

  #admit(socket: Socket, ip: string): boolean {
    const { isLimited, counters } = this.#options;
    const key = limitKey(ip);
    const ofAddress = this.#perAddress.get(key) ?? 0;
    if (this.#open.size >= MAX_CONNECTIONS || (isLimited(ip) && ofAddress >= MAX_CONNECTIONS_PER_ADDRESS)) {
      counters.refusedConnections['too-many']++;
      return false;
    }
    this.#open.add(socket);
    bump(this.#perAddress, key, 1);
    socket.once('close', () => {
      this.#open.delete(socket);
      bump(this.#perAddress, key, -1);
    });
    return true;
  }

  async #sniff(connection: Connection): Promise<void> {
    const { counters, onHttp, onGiv } = this.#options;
    const deadline = performance.now() + (this.#options.sniffTimeoutMs ?? SNIFF_TIMEOUT_MS);
    let held = Buffer.alloc(0);
    for (;;) {
      const bytes = await connection.read(Math.max(0, deadline - performance.now()));
      if (bytes === 'ended' || bytes === 'timeout') {
        counters.refusedConnections.silent++;
        return connection.destroy();
      }
      held = held.length === 0 ? Buffer.from(bytes) : Buffer.concat([held, bytes]);
      const spoken = sniff(held);
      if (spoken === 'need-more' && held.length < MAX_GIV_BYTES) continue;
      if (spoken === 'giv') {
        const giv = parseGivLine(held);
        if (giv.kind === 'need-more') continue;
        if (giv.kind === 'refused') {
          counters.givs.malformed++;
          return connection.destroy();
        }
        connection.unread(held.subarray(giv.usedBytes));
        return onGiv(connection, giv.line);
      }
      // Other methods get their answer (501, 400) from HTTP.
      if (spoken === 'http' || spoken === 'unknown' || spoken === 'connect-back') {
        connection.unread(held);
        return onHttp(connection);
      }
      counters.refusedConnections.foreign++;
      return connection.destroy();
    }
  }

  async #takeProxied(socket: Socket): Promise<void> {
    socket.on('error', () => undefined);
    if (this.#open.size >= MAX_CONNECTIONS) {
      this.#options.counters.refusedConnections['too-many']++;
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    const header = await readProxyHeader(socket, this.#options.sniffTimeoutMs ?? SNIFF_TIMEOUT_MS);
    this.#open.delete(socket);
    if (header === undefined) {
      this.#options.counters.refusedConnections['bad-proxy-header']++;
      socket.destroy();
      return;
    }
    await this.take(socket, header.rest, header.remote);
  }
}

/** Who is at the other end; undefined for a socket that is closed already. */
function remoteOf(socket: Socket): PeerAddress | undefined {
  const host = canonicalHost(socket.remoteAddress ?? '');
  return host === undefined ? undefined : { host, port: socket.remotePort ?? 0 };
}

/** Reads the PROXY header in front of a connection; a `local` one is the sender's own. */
async function readProxyHeader(
  socket: Socket,
  timeoutMs: number,
): Promise<{ readonly remote: PeerAddress; readonly rest: Buffer } | undefined> {
  const sender = remoteOf(socket);
  if (sender === undefined) return undefined;
  const reading = new Connection(socket, sender);
  const deadline = performance.now() + timeoutMs;
  let held = Buffer.alloc(0);
  try {
    while (held.length <= 2 * MAX_PROXY_BLOCK_BYTES) {
      const bytes = await reading.read(Math.max(0, deadline - performance.now()));
      if (bytes === 'ended' || bytes === 'timeout') return undefined;
      held = Buffer.concat([held, bytes]);
      const header = parseProxyHeader(held);
      if (header.kind === 'refused') return undefined;
      if (header.kind === 'need-more') continue;
      const remote = header.kind === 'proxied' ? header.connection.source : sender;
      return { remote, rest: held.subarray(header.headerBytes) };
    }
    return undefined;
  } finally {
    reading.release();
  }
}
