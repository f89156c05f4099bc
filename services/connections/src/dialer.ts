import { connect, type Socket } from 'node:net';
import { formatPeerAddress, isUsablePeerAddress, parsePeerAddress } from '@filbert/gnutella';
import { hostsCandidates } from '@filbert/contracts';
import type { Bus } from '@filbert/kit';

/** Dials under way at one time (docs/protocol/09 §7). */
export const MAX_DIALS = 8;
const CONNECT_TIMEOUT_MS = 8_000;
const CANDIDATES_TIMEOUT_MS = 1_000;
/** Addresses that somebody asked to dial and that wait for a free dial. */
const MAX_REQUESTED = 64;

export interface DialerOptions {
  readonly bus: Bus;
  readonly edgeId: string;
  readonly allowPrivate: boolean;
  /** Ultrapeers still wanted. */
  readonly wanted: () => number;
  /** Ultrapeers that the node may still be linked to, those in their handshake counted as links. */
  readonly free: () => number;
  /** Whether a link to this address exists or is being made, or the address is our own. */
  readonly isTaken: (address: string) => boolean;
  /** Connected: begin the handshake; `done` frees the dial. */
  readonly onConnected: (socket: Socket, address: string, done: () => void) => void;
  readonly onUnreachable: (address: string) => void;
}

/**
 * Dials ultrapeers: those that were asked for, candidates from bootstrap while links are wanted, and beyond that, while slots
 * are free, those that the operator wants links to.
 */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #dialling = new Set<string>();
  /** Sockets that are not connected yet. */
  readonly #connecting = new Set<Socket>();
  readonly #requested: string[] = [];
  #asking = false;
  #stopped = false;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  get dialling(): number {
    return this.#dialling.size;
  }

  /** Dials `address` soon. @returns why not, where it will not */
  request(address: string): string | undefined {
    if (this.#stopped) return 'the node is stopping';
    const parsed = parsePeerAddress(address);
    if (parsed === undefined) return `"${address}" is not an address of the form IP:PORT`;
    if (!isUsablePeerAddress(parsed, { allowPrivate: this.#options.allowPrivate })) {
      return `${address} is not an address of a peer; loopback and private ones need --allow-private`;
    }
    const known = formatPeerAddress(parsed);
    if (this.#options.isTaken(known)) return `${known} is connected already`;
    if (this.#dialling.has(known) || this.#requested.includes(known)) return undefined;
    if (this.#spare <= 0) return 'all ultrapeer slots are taken; --max-ultrapeers sets how many there are';
    if (this.#requested.length >= MAX_REQUESTED) return 'too many addresses wait to be dialled; try again later';
    this.#requested.push(known);
    this.tick();
    return undefined;
  }

  /** Starts what is due; call it about once a second. */
  tick(): void {
    while (this.#requested.length > 0 && this.#dialling.size < MAX_DIALS && !this.#stopped) {
      this.#dial(this.#requested.shift() as string);
    }
    if (this.#stopped) return;
    const dials = MAX_DIALS - this.#dialling.size;
    const room = Math.min(this.#options.wanted() - this.#dialling.size, dials);
    const spare = Math.min(this.#spare, dials);
    if (room > 0) void this.#askFor(room, false);
    else if (spare > 0) void this.#askFor(spare, true);
  }

  /** Slots that nobody has and no dial is about to take. */
  get #spare(): number {
    return this.#options.free() - this.#connecting.size - this.#requested.length;
  }

  /** Gives up the dials under way, but for those whose handshake has begun. */
  stop(): void {
    this.#stopped = true;
    this.#requested.length = 0;
    for (const socket of this.#connecting) socket.destroy();
  }

  async #askFor(wanted: number, configuredOnly: boolean): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const reply = await this.#options.bus.request(
        hostsCandidates,
        { edgeId: this.#options.edgeId, wanted, configuredOnly },
        { timeoutMs: CANDIDATES_TIMEOUT_MS },
      );
      for (const address of reply.addresses) {
        if (this.#dialling.size >= MAX_DIALS || this.#stopped) break;
        this.#dial(address);
      }
    } catch {
      // Bootstrap is away: asked again with the next tick.
    } finally {
      this.#asking = false;
    }
  }

  #dial(address: string): void {
    const parsed = parsePeerAddress(address);
    if (parsed === undefined || this.#dialling.has(address) || this.#options.isTaken(address)) return;
    if (!isUsablePeerAddress(parsed, { allowPrivate: this.#options.allowPrivate })) return;
    this.#dialling.add(address);
    const socket = connect({ host: parsed.host, port: parsed.port, noDelay: true });
    this.#connecting.add(socket);
    const free = (): void => {
      this.#dialling.delete(address);
    };
    const fail = (): void => {
      socket.destroy();
      this.#options.onUnreachable(address);
    };
    // Whatever ends the dial before it is connected: failure, time-out or stop.
    const ended = (): void => {
      clearTimeout(timer);
      this.#connecting.delete(socket);
      free();
    };
    const timer = setTimeout(fail, CONNECT_TIMEOUT_MS);
    timer.unref();
    socket.once('error', fail);
    socket.once('close', ended);
    socket.once('connect', () => {
      clearTimeout(timer);
      this.#connecting.delete(socket);
      socket.off('close', ended);
      socket.off('error', fail);
      socket.on('error', () => undefined);
      this.#options.onConnected(socket, address, free);
    });
  }
}
