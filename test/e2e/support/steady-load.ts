import { LoadLink } from '../../../bench/load/load-link.ts';
import { Population } from '../../../bench/load/population.ts';
import { MAX_QUERY_BYTES, QueryPlan } from '../../../bench/load/query-plan.ts';

/** Links of neighbouring ultrapeers, over which the queries come. */
const ULTRAPEERS = 2;

/** Dials open at once while leaves join. */
const JOINS_AT_ONCE = 24;

/** The most queries of one load. */
const MAX_QUERIES = 100_000;

/** The queries sent in a stretch of time, and how many of them reached every leaf that they had to. */
export interface Deliveries {
  readonly queries: number;
  readonly delivered: number;
}

/** Leaves and two ultrapeers on one node, and queries between them at a steady rate, whatever comes back. */
export class SteadyLoad {
  readonly #plan: QueryPlan;
  readonly #population: Population;
  readonly #links: LoadLink[] = [];
  readonly #ultrapeers: LoadLink[] = [];
  /** By number of the query: when it was sent, and the leaves that have it. */
  readonly #sentAtMs: number[] = [];
  readonly #reached: Set<number>[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(leaves: number) {
    this.#population = new Population({ leaves, wordsPerLeaf: 100, vocabulary: 20_000, seed: 11 });
    this.#plan = new QueryPlan(this.#population, 12, 2_000);
  }

  /** Joins the ultrapeers and the leaves with their tables. @throws Error when one is refused */
  async join(host: string, port: number): Promise<void> {
    const dial = (role: 'leaf' | 'ultrapeer', number: number): LoadLink => {
      const link = new LoadLink({ number, role, host, port, onQuery: this.#received });
      this.#links.push(link);
      return link;
    };
    for (let i = 0; i < ULTRAPEERS; i++) {
      const link = dial('ultrapeer', -1 - i);
      this.#ultrapeers.push(link);
      await link.join(Buffer.alloc(0));
    }
    let next = 0;
    const joinInTurn = async (): Promise<void> => {
      for (let leaf = next++; leaf < this.#population.leaves; leaf = next++) {
        await dial('leaf', leaf).join(this.#population.tables[leaf] ?? Buffer.alloc(0));
      }
    };
    await Promise.all(Array.from({ length: JOINS_AT_ONCE }, joinInTurn));
  }

  /** Sends so many queries a second until `stop`. */
  start(queriesPerSecond: number): void {
    const startMs = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      const due = Math.floor(((nowMs - startMs) * queriesPerSecond) / 1000);
      for (; sent < due && this.#sentAtMs.length < MAX_QUERIES; sent++) this.#send(nowMs);
    }, 2);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Links that are not open any more. */
  get disconnected(): number {
    return this.#links.filter(({ open }) => !open).length;
  }

  /** Whether each query sent in that stretch reached its leaves by now; times as of `performance.now()`. */
  between(fromMs: number, toMs: number): Deliveries {
    let queries = 0;
    let delivered = 0;
    this.#sentAtMs.forEach((atMs, number) => {
      if (atMs < fromMs || atMs >= toMs) return;
      queries++;
      const reached = this.#reached[number];
      if (this.#plan.expected(number).every((leaf) => reached?.has(leaf) === true)) delivered++;
    });
    return { queries, delivered };
  }

  close(): void {
    this.stop();
    for (const link of this.#links) link.close();
  }

  #send(nowMs: number): void {
    const number = this.#sentAtMs.length;
    const bytes = Buffer.allocUnsafe(MAX_QUERY_BYTES);
    const end = this.#plan.write(number, bytes, 0);
    this.#sentAtMs.push(nowMs);
    this.#reached.push(new Set());
    this.#ultrapeers[number % ULTRAPEERS]?.socket.write(bytes.subarray(0, end));
  }

  readonly #received = (leaf: number, bytes: Buffer, at: number): void => {
    this.#reached[bytes.readUInt32LE(at)]?.add(leaf);
  };
}
