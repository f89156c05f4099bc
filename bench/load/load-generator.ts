import { DeliveryTracker, type DeliveryCounts } from './delivery-tracker.ts';
import { LoadLink } from './load-link.ts';
import type { Population } from './population.ts';
import { MAX_QUERY_BYTES, type QueryPlan } from './query-plan.ts';

/** A delivery that has not come after this time is lost, unless the options say otherwise. */
const LOST_AFTER_MS = 5_000;

/** How often what is lost is looked for. */
const EXPIRE_EVERY_MS = 100;

/** Queries written to one link in one turn at most. */
const MAX_BATCH_QUERIES = 256;

/** Bytes waiting on a link beyond which no query is written to it. */
const MAX_UNWRITTEN_BYTES = 256 * 1024;

/** Dials open at once while leaves join. */
const JOINS_AT_ONCE = 48;

/** Probes sent before a pause, and the pause. */
const PROBE_BATCH = 200;
const PROBE_PAUSE_MS = 20;

/** Links of neighbouring ultrapeers, over which the queries come. */
const ULTRAPEERS = 2;

/** What the load is sent to, and what it is. */
export interface LoadOptions {
  /** Destination addresses, used in turn. */
  hosts: readonly string[];
  port: number;
  population: Population;
  plan: QueryPlan;
  /** After this time a delivery is lost; default 5 s. */
  lostAfterMs?: number;
}

/** What one run showed. */
export interface RunResult extends DeliveryCounts {
  /** From the first query until the last was sent, in s. */
  seconds: number;
  queriesPerSecond: number;
  deliveriesPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** CPU time of this process by time passed: 1 is one core. */
  generatorCpuShare: number;
  /** Queries that an open loop had not sent when its time was up. */
  unsent: number;
  /** Links that the node ended. */
  disconnected: number;
}

/** How long a run goes on: until the time is up or so many queries are sent. */
export interface RunBounds {
  seconds: number;
  maxQueries?: number;
  /** Called when the last query was sent, before the rest of the deliveries is awaited. */
  onSent?: () => void;
}

/**
 * Leaves and two ultrapeers on one node, and queries between them whose deliveries are all known beforehand. Everything
 * is bounded: links by the population, queries by time and number, deliveries in flight by window or ring.
 */
export class LoadGenerator {
  readonly #options: LoadOptions;
  readonly #leaves: LoadLink[] = [];
  readonly #ultrapeers: LoadLink[] = [];
  readonly #confirmed: Uint8Array;
  readonly #lostAfterMs: number;
  #tracker: DeliveryTracker;
  #probes = 0;
  #turn = 0;
  #onDelivery: (() => void) | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#lostAfterMs = options.lostAfterMs ?? LOST_AFTER_MS;
    this.#confirmed = new Uint8Array(options.population.leaves);
    this.#tracker = new DeliveryTracker(options.plan, 0);
  }

  /** Links that the node ended by itself. */
  get disconnected(): number {
    return [...this.#leaves, ...this.#ultrapeers].filter((link) => !link.open && !link.ending).length;
  }

  /** Joins the two ultrapeers. @throws Error when one is refused */
  async joinUltrapeers(): Promise<void> {
    for (let i = 0; i < ULTRAPEERS; i++) {
      const link = this.#dial('ultrapeer', -1 - i);
      this.#ultrapeers.push(link);
      await link.join(Buffer.alloc(0));
    }
  }

  /**
   * Joins every leaf, each with its table, and returns the seconds that it took. A leaf has joined when a PING sent
   * behind its table is answered.
   * @throws Error when one is refused
   */
  async joinLeaves(): Promise<number> {
    const startMs = performance.now();
    const { tables } = this.#options.population;
    let next = 0;
    const joinInTurn = async (): Promise<void> => {
      while (next < tables.length) {
        const number = next++;
        const link = this.#dial('leaf', number);
        this.#leaves[number] = link;
        await link.join(tables[number] ?? Buffer.alloc(0));
      }
    };
    await Promise.all(Array.from({ length: JOINS_AT_ONCE }, joinInTurn));
    return (performance.now() - startMs) / 1000;
  }

  /**
   * Sends each leaf queries for its own words until one arrived, so that every table is known to be in use.
   * @throws Error when some leaves get none in time
   */
  async settle(timeoutMs = 60_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const missing = [...this.#confirmed.keys()].filter((leaf) => this.#confirmed[leaf] === 0);
      if (missing.length === 0) break;
      if (performance.now() > deadlineMs) throw new Error(`${missing.length} leaves get no queries`);
      for (let at = 0; at < missing.length; at += PROBE_BATCH) {
        this.#probe(missing.slice(at, at + PROBE_BATCH));
        await pause(PROBE_PAUSE_MS);
      }
      await pause(PROBE_PAUSE_MS * 5);
    }
    this.#tracker = new DeliveryTracker(this.#options.plan, this.#probes);
  }

  /** Sends queries as fast as deliveries come back: at most `window` expected deliveries are in flight. */
  async closedLoop(window: number, bounds: RunBounds): Promise<RunResult> {
    return this.#run(bounds, (endMs, left) => {
      const nowMs = performance.now();
      if (nowMs >= endMs) return 0;
      let sent = 0;
      this.#batch((number) => {
        if (sent >= left || this.#tracker.full) return false;
        const { outstanding } = this.#tracker;
        // A query that matches more leaves than the window is sent alone.
        if (outstanding > 0 && outstanding + this.#options.plan.expected(number).length > window) return false;
        this.#tracker.sent(nowMs);
        sent++;
        return true;
      });
      return sent;
    });
  }

  /** Sends queries by the clock, whatever comes back; latencies count from the time each was scheduled for. */
  async openLoop(queriesPerSecond: number, bounds: RunBounds): Promise<RunResult> {
    const startMs = performance.now();
    let scheduled = 0;
    const result = await this.#run(bounds, (endMs, left) => {
      const dueMs = Math.min(performance.now(), endMs) - startMs;
      const due = Math.min(Math.floor((dueMs * queriesPerSecond) / 1000), scheduled + left);
      let sent = 0;
      this.#batch(() => {
        if (scheduled >= due || this.#tracker.full) return false;
        this.#tracker.sent(startMs + (scheduled++ * 1000) / queriesPerSecond);
        sent++;
        return true;
      });
      return sent;
    });
    const wanted = Math.min(Math.floor(bounds.seconds * queriesPerSecond), bounds.maxQueries ?? Infinity);
    return { ...result, unsent: wanted - scheduled };
  }

  /** Ends every link. */
  close(): void {
    for (const link of [...this.#leaves, ...this.#ultrapeers]) link.close();
  }

  /** Calls `send` in each turn until the bounds are reached, then waits for the rest. */
  async #run(bounds: RunBounds, send: (endMs: number, left: number) => number): Promise<RunResult> {
    this.#tracker.take();
    const startMs = performance.now();
    const startCpu = process.cpuUsage();
    const endMs = startMs + bounds.seconds * 1000;
    let left = bounds.maxQueries ?? Infinity;
    let expireAtMs = startMs + EXPIRE_EVERY_MS;
    await new Promise<void>((resolve) => {
      let scheduled = false;
      const timer = setInterval(() => turn(), 1);
      const turn = (): void => {
        scheduled = false;
        left -= send(endMs, left);
        const nowMs = performance.now();
        if (nowMs > expireAtMs) {
          this.#tracker.expire(nowMs - this.#lostAfterMs);
          expireAtMs = nowMs + EXPIRE_EVERY_MS;
        }
        if (left > 0 && nowMs < endMs) return;
        clearInterval(timer);
        this.#onDelivery = undefined;
        resolve();
      };
      // What a turn of the event loop delivered is answered by one batch at its end.
      this.#onDelivery = () => {
        if (scheduled) return;
        scheduled = true;
        setImmediate(() => {
          if (scheduled && this.#onDelivery !== undefined) turn();
        });
      };
    });
    bounds.onSent?.();
    const sentMs = performance.now();
    const cpu = process.cpuUsage(startCpu);
    while (this.#tracker.outstanding > 0 && performance.now() < sentMs + this.#lostAfterMs) await pause(5);
    const drainedMs = performance.now();
    this.#tracker.expire(Infinity);
    return this.#result((sentMs - startMs) / 1000, (drainedMs - startMs) / 1000, (cpu.user + cpu.system) / 1e6);
  }

  #result(seconds: number, drainedSeconds: number, cpuSeconds: number): RunResult {
    const { counts, latenciesMs } = this.#tracker.take();
    return {
      ...counts,
      seconds,
      queriesPerSecond: counts.queries / seconds,
      // Up to the last delivery where the run was shorter than its tail.
      deliveriesPerSecond: counts.delivered / (counts.lost === 0 ? drainedSeconds : seconds),
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
      generatorCpuShare: cpuSeconds / seconds,
      unsent: 0,
      disconnected: this.disconnected,
    };
  }

  /** Writes one batch to each ultrapeer link in turn, as long as `note` takes the next query. */
  #batch(note: (number: number) => boolean): void {
    const first = this.#turn++;
    for (let i = 0; i < ULTRAPEERS; i++) {
      const link = this.#ultrapeers[(first + i) % ULTRAPEERS];
      if (link?.open !== true || link.socket.writableLength > MAX_UNWRITTEN_BYTES) continue;
      const bytes = Buffer.allocUnsafe(MAX_BATCH_QUERIES * MAX_QUERY_BYTES);
      let end = 0;
      for (let query = 0; query < MAX_BATCH_QUERIES; query++) {
        const number = this.#tracker.nextNumber;
        if (!note(number)) break;
        end = this.#options.plan.write(number, bytes, end);
      }
      if (end > 0) link.socket.write(bytes.subarray(0, end));
    }
  }

  #probe(leaves: readonly number[]): void {
    const { plan, population } = this.#options;
    const bytes = Buffer.allocUnsafe(leaves.length * MAX_QUERY_BYTES);
    let end = 0;
    for (const leaf of leaves) end = plan.writeProbe(population, leaf, this.#probes++, bytes, end);
    this.#ultrapeers[this.#turn++ % ULTRAPEERS]?.socket.write(bytes.subarray(0, end));
  }

  #dial(role: 'leaf' | 'ultrapeer', number: number): LoadLink {
    const { hosts, port } = this.#options;
    const host = hosts[Math.abs(number) % hosts.length] ?? '127.0.0.1';
    return new LoadLink({ number, role, host, port, onQuery: this.#received });
  }

  readonly #received = (leaf: number, bytes: Buffer, at: number): void => {
    const number = bytes.readUInt32LE(at);
    if (number < this.#probes) {
      if (leaf >= 0) this.#confirmed[leaf] = 1;
      return;
    }
    this.#tracker.delivered(number, leaf, performance.now());
    this.#onDelivery?.();
  };
}

/** The value that a share of the sorted values does not exceed; 0 of none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
