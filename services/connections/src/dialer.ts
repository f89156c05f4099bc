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
  /** Whether a link to this address exists or is being made, or the address is our own. */
  readonly isTaken: (address: string) => boolean;
  /** Connected: begin the handshake; `done` frees the dial. */
  readonly onConnected: (socket: Socket, address: string, done: () => void) => void;
  readonly onUnreachable: (address: string) => void;
}

/** Dials ultrapeers: those that were asked for, and candidates from bootstrap while links are wanted. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #dialling = new Set<string>();
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
    const parsed = parsePeerAddress(address);
    if (parsed === undefined) return `"${address}" is not an address of the form IP:PORT`;
    if (!isUsablePeerAddress(parsed, { allowPrivate: this.#options.allowPrivate })) {
      return `${address} is not an address of a peer; loopback and private ones need --allow-private`;
    }
    const known = formatPeerAddress(parsed);
    if (this.#options.isTaken(known)) return `${known} is connected already`;
    if (this.#dialling.has(known) || this.#requested.includes(known)) return undefined;
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
    const room = Math.min(this.#options.wanted() - this.#dialling.size, MAX_DIALS - this.#dialling.size);
    if (room > 0 && !this.#stopped) void this.#askFor(room);
  }

  stop(): void {
    this.#stopped = true;
    this.#requested.length = 0;
  }

  async #askFor(wanted: number): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const reply = await this.#options.bus.request(
        hostsCandidates,
        { edgeId: this.#options.edgeId, wanted },
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
    const free = (): void => {
      this.#dialling.delete(address);
    };
    const fail = (): void => {
      socket.destroy();
      free();
      this.#options.onUnreachable(address);
    };
    const timer = setTimeout(fail, CONNECT_TIMEOUT_MS);
    timer.unref();
    socket.once('error', () => {
      clearTimeout(timer);
      fail();
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      socket.on('error', () => undefined);
      if (this.#stopped) {
        free();
        socket.destroy();
        return;
      }
      this.#options.onConnected(socket, address, free);
    });
  }
}
