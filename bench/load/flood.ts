import { connect } from 'node:net';
import { BAD_INPUTS, type BadInput } from './bad-inputs.ts';

/** Bad visitors at once at most; a visit that finds no room is left out. */
const MAX_VISITS = 64;

/** How long a visit lasts at most when the node does not end it. */
const VISIT_MS = 1_000;

/** What a flood did. */
export interface FloodCounts {
  visits: number;
  /** Ended by the node rather than by the time. */
  ended: number;
  /** Visits due that were left out since too many were open, or that could not connect. */
  failed: number;
}

/** A bounded flood of bad input on one port: so many visits a second, each kind in turn, until it is stopped. */
export class Flood {
  readonly #host: string;
  readonly #port: number;
  readonly #timer: NodeJS.Timeout;
  readonly #counts: FloodCounts = { visits: 0, ended: 0, failed: 0 };
  readonly #visits = new Set<Promise<void>>();
  #due = 0;

  constructor(host: string, port: number, visitsPerSecond: number) {
    this.#host = host;
    this.#port = port;
    const startMs = performance.now();
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startMs) * visitsPerSecond) / 1000);
      while (this.#due < due) this.#visitNext();
    }, 5);
  }

  /** Ends the flood, waits for the visits that are open, and tells what was done. */
  async stop(): Promise<FloodCounts> {
    clearInterval(this.#timer);
    await Promise.all(this.#visits);
    return this.#counts;
  }

  #visitNext(): void {
    const input = BAD_INPUTS[this.#due++ % BAD_INPUTS.length];
    if (input === undefined || this.#visits.size >= MAX_VISITS) {
      this.#counts.failed++;
      return;
    }
    const visit = this.#visit(input).finally(() => this.#visits.delete(visit));
    this.#visits.add(visit);
  }

  #visit(input: BadInput): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
      let timedOut = false;
      let connected = false;
      const timer = setTimeout(() => {
        timedOut = true;
        socket.destroy();
      }, VISIT_MS);
      socket.on('connect', () => {
        connected = true;
        socket.write(input.first());
      });
      socket.once('data', () => {
        if (input.then === undefined) return;
        const final = Buffer.from('GNUTELLA/0.6 200 OK\r\n\r\n', 'latin1');
        socket.write(Buffer.concat([final, input.then()]));
      });
      // Later data is read and dropped, so that the node's end is seen.
      socket.resume();
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        clearTimeout(timer);
        if (!connected) this.#counts.failed++;
        else this.#counts.visits++;
        if (connected && !timedOut) this.#counts.ended++;
        resolve();
      });
    });
  }
}
