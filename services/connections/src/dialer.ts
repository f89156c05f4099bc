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
/** Callers who wait for the end of a dial; further ones are told nothing of it. */
const MAX_DIAL_WAITERS = 64;

/** How a dial ended: without a problem there is a link. */
export interface DialEnd {
  readonly problem: string | undefined;
}

export interface DialerOptions {
  readonly bus: Bus;
  readonly edgeId: string;
  readonly allowPrivate: boolean;
  /** Ultrapeers still wanted. */
  readonly wanted: () => number;
  /** Ultrapeers that the node may still be linked to, those in their handshake counted as links. */
  readonly free: () => number;
  /** Whether the address is our own. */
  readonly isOwn: (address: string) => boolean;
  /** Whether a link to this address exists or is being made, or the address is our own. */
  readonly isTaken: (address: string) => boolean;
  /** Connected: begin the handshake; `done` frees the dial, and tells what was in the way of a link. */
  readonly onConnected: (socket: Socket, address: string, done: (problem: string | undefined) => void) => void;
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
  readonly #waiters = new Set<{ readonly address: string; readonly tell: (end: DialEnd) => void }>();
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
    if (this.#options.isOwn(known)) return `${known} is this node itself`;
    if (this.#options.isTaken(known)) return `${known} is connected already`;
    if (this.#dialling.has(known) || this.#requested.includes(known)) return undefined;
    if (this.#spare <= 0) return 'all ultrapeer slots are taken; --max-ultrapeers sets how many there are';
    if (this.#requested.length >= MAX_REQUESTED) return 'too many addresses wait to be dialled; try again later';
    this.#requested.push(known);
    this.tick();
    return undefined;
  }

  /**
   * Waits for the end of the dial of an address that was requested.
   * @returns undefined where the signal aborts before that, or too many wait
   */
  async whenEnded(address: string, signal: AbortSignal): Promise<DialEnd | undefined> {
    const parsed = parsePeerAddress(address);
    const known = parsed === undefined ? address : formatPeerAddress(parsed);
    if (this.#waiters.size >= MAX_DIAL_WAITERS || signal.aborted) return undefined;
    if (!this.#dialling.has(known) && !this.#requested.includes(known)) return undefined;
    const { promise, resolve } = Promise.withResolvers<DialEnd | undefined>();
    const waiter = { address: known, tell: resolve };
    const giveUp = (): void => resolve(undefined);
    this.#waiters.add(waiter);
    signal.addEventListener('abort', giveUp);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
      this.#waiters.delete(waiter);
    }
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
    for (const address of this.#requested.splice(0)) this.#tell(address, 'the node is stopping');
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
    if (parsed === undefined || this.#dialling.has(address)) return;
    if (this.#options.isTaken(address)) {
      this.#tell(address, 'it is connected already');
      return;
    }
    if (!isUsablePeerAddress(parsed, { allowPrivate: this.#options.allowPrivate })) return;
    this.#dialling.add(address);
    const socket = connect({ host: parsed.host, port: parsed.port, noDelay: true });
    this.#connecting.add(socket);
    let problem = 'the node is stopping';
    const end = (why: string | undefined): void => {
      this.#dialling.delete(address);
      this.#tell(address, why);
    };
    const fail = (why: string): void => {
      problem = why;
      socket.destroy();
      this.#options.onUnreachable(address);
    };
    const onError = (error: Error): void => fail(`it cannot be reached: ${error.message}`);
    // Whatever ends the dial before it is connected: failure, time-out or stop.
    const onClose = (): void => {
      clearTimeout(timer);
      this.#connecting.delete(socket);
      end(problem);
    };
    const timer = setTimeout(
      () => fail(`it cannot be reached: no answer in ${CONNECT_TIMEOUT_MS / 1_000} s`),
      CONNECT_TIMEOUT_MS,
    );
    timer.unref();
    socket.once('error', onError);
    socket.once('close', onClose);
    socket.once('connect', () => {
      clearTimeout(timer);
      this.#connecting.delete(socket);
      socket.off('close', onClose);
      socket.off('error', onError);
      socket.on('error', () => undefined);
      this.#options.onConnected(socket, address, end);
    });
  }

  #tell(address: string, problem: string | undefined): void {
    for (const waiter of this.#waiters) if (waiter.address === address) waiter.tell({ problem });
  }
}
