import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { peerAddress } from '@filbert/gnutella';
import { encodeProxyHeader, transfersSummary, type TransfersSummary } from '@filbert/contracts';
import { parseHostPort, type Bus, type Subscription } from '@filbert/kit';
import { plainIp, refuseHttp } from './acceptor.ts';

/** A worker that said nothing for this long gets no connections. */
const WORKER_LIFETIME_MS = 3_500;
/** Workers that are remembered. */
export const MAX_WORKERS = 256;
/** Connections handed over to other processes at one time; further ones are told to come back. */
export const MAX_HANDED_OVER = 4_096;
/** Where no worker is known, as right after a start, a connection waits so long for one to say that it lives, in ms. */
export const WORKER_WAIT_MS = 1_500;
/** Connections that wait for that at one time; further ones are told to come back. */
const MAX_WAITING = 256;
const CONNECT_TIMEOUT_MS = 2_000;
/** A handed-over connection on which nothing moves for this long is closed. */
const IDLE_MS = 180_000;

/**
 * What became of HTTP and GIV connections on the Gnutella port: labels of a metric. A worker that cannot be reached is counted,
 * and the connection goes to another one.
 */
export const HAND_OVER_RESULTS = ['local', 'worker', 'no-worker', 'too-many', 'worker-unreachable'] as const;
export type HandOverResult = (typeof HAND_OVER_RESULTS)[number];

/** A worker as it said itself to be. */
interface Worker {
  readonly summary: TransfersSummary;
  readonly at: number;
  /** Connections that it was given since: else all of a second would go to the same one. */
  given: number;
}

/**
 * Gives HTTP and GIV connections to a transfers worker (docs/architecture.md, "Hand-over"): the socket itself where the
 * worker shares the process, else over a TCP connection with the peer's address in front, piped with back-pressure.
 */
export class HandOver {
  readonly results: Record<HandOverResult, number> = {
    local: 0,
    worker: 0,
    'no-worker': 0,
    'too-many': 0,
    'worker-unreachable': 0,
  };
  readonly #bus: Bus;
  readonly #local: ((socket: Socket, first: Buffer) => void) | undefined;
  readonly #now: () => number;
  readonly #workers = new Map<string, Worker>();
  readonly #piped = new Set<Socket>();
  /** Connections for which there is no worker yet: each takes a new look at the workers. */
  readonly #waiting = new Set<() => void>();
  readonly #workerWaitMs: number;
  #subscription: Subscription | undefined;

  constructor(options: {
    readonly bus: Bus;
    /** Takes the socket in this process. */
    readonly local?: (socket: Socket, first: Buffer) => void;
    /** ms, monotonic */
    readonly now: () => number;
    /** Default `WORKER_WAIT_MS`. */
    readonly workerWaitMs?: number;
  }) {
    this.#workerWaitMs = options.workerWaitMs ?? WORKER_WAIT_MS;
    this.#bus = options.bus;
    this.#local = options.local;
    this.#now = options.now;
  }

  /** Connections piped to workers. */
  get active(): number {
    return this.#piped.size;
  }

  start(): void {
    if (this.#local !== undefined) return;
    this.#subscription = this.#bus.subscribe(transfersSummary, (summary) => {
      this.#workers.delete(summary.workerId);
      if (this.#workers.size < MAX_WORKERS) this.#workers.set(summary.workerId, { summary, at: this.#now(), given: 0 });
      for (const look of [...this.#waiting]) look();
    });
  }

  stop(): void {
    this.#subscription?.unsubscribe();
    for (const socket of this.#piped) socket.destroy();
  }

  /** Hands over a connection that said `first` and has no listeners of ours. */
  take(socket: Socket, remoteIp: string, first: Buffer): void {
    if (this.#local !== undefined) {
      this.results.local++;
      this.#local(socket, first);
      return;
    }
    const worker = this.#choose();
    if (worker === undefined) return this.#wait(socket, remoteIp, first);
    this.#give(socket, remoteIp, first, worker);
  }

  /** Until a worker says that it lives, or the time for that is over. */
  #wait(socket: Socket, remoteIp: string, first: Buffer): void {
    if (this.#waiting.size >= MAX_WAITING) return this.#refuse(socket, 'no-worker');
    // What it says meanwhile stays in the kernel.
    socket.pause();
    const end = (): void => {
      clearTimeout(timer);
      socket.off('close', end);
      this.#waiting.delete(look);
    };
    const look = (): void => {
      const worker = this.#choose();
      if (worker === undefined) return;
      end();
      this.#give(socket, remoteIp, first, worker);
    };
    const timer = setTimeout(() => {
      end();
      this.#refuse(socket, 'no-worker');
    }, this.#workerWaitMs);
    timer.unref();
    socket.once('close', end);
    this.#waiting.add(look);
  }

  #give(socket: Socket, remoteIp: string, first: Buffer, worker: Worker): void {
    if (this.#piped.size >= MAX_HANDED_OVER) return this.#refuse(socket, 'too-many');
    worker.given++;
    this.#pipe(socket, remoteIp, first, worker.summary);
  }

  #refuse(socket: Socket, result: HandOverResult): void {
    this.results[result]++;
    refuseHttp(socket);
  }

  /** The worker with the most free slots, among equals the one with the fewest uploads. */
  #choose(): Worker | undefined {
    const oldest = this.#now() - WORKER_LIFETIME_MS;
    let best: Worker | undefined;
    for (const [id, worker] of this.#workers) {
      if (worker.at < oldest) this.#workers.delete(id);
      else if (!worker.summary.draining && worker.summary.internalAddress !== '') best = lessBusy(best, worker);
    }
    return best;
  }

  #pipe(socket: Socket, remoteIp: string, first: Buffer, worker: TransfersSummary): void {
    const target = parseHostPort(worker.internalAddress);
    if (target === undefined) return this.#refuse(socket, 'no-worker');
    const header = encodeProxyHeader({
      source: peerAddress(remoteIp, socket.remotePort ?? 1),
      destination: peerAddress(plainIp(socket.localAddress ?? '127.0.0.1'), socket.localPort ?? 1),
    });
    this.#piped.add(socket);
    socket.pause();
    // Else Node would end our half, and the answer with it, when the peer ends its own.
    socket.allowHalfOpen = true;
    const upstream = connect({ host: target.host, port: target.port, noDelay: true });
    const timer = setTimeout(() => upstream.destroy(new Error('the worker does not answer')), CONNECT_TIMEOUT_MS);
    timer.unref();
    let reached = false;
    const release = (): void => {
      clearTimeout(timer);
      this.#piped.delete(socket);
    };
    socket.once('close', release);
    upstream.once('error', () => {
      if (reached) return;
      release();
      socket.off('close', release);
      this.results['worker-unreachable']++;
      // Until it says again that it lives. There are fewer with each try, so that the tries end.
      this.#workers.delete(worker.workerId);
      if (!socket.destroyed) this.take(socket, remoteIp, first);
    });
    upstream.once('connect', () => {
      reached = true;
      clearTimeout(timer);
      // A peer that went away meanwhile: nothing can be piped from it, and to try throws.
      if (socket.destroyed) {
        upstream.destroy();
        return;
      }
      this.results.worker++;
      for (const end of [socket, upstream]) {
        end.setTimeout(IDLE_MS, () => end.destroy());
      }
      upstream.write(header);
      upstream.write(first);
      // Each direction ends by itself: a peer may close its half and still read.
      pipeline(socket, upstream, () => undefined);
      pipeline(upstream, socket, () => undefined);
    });
  }
}

function lessBusy(best: Worker | undefined, worker: Worker): Worker {
  if (best === undefined) return worker;
  const moreFree = worker.summary.freeSlots - worker.given - (best.summary.freeSlots - best.given);
  if (moreFree !== 0) return moreFree > 0 ? worker : best;
  return worker.summary.uploads + worker.given < best.summary.uploads + best.given ? worker : best;
}
