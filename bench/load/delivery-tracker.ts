import type { QueryPlan } from './query-plan.ts';

/** The most queries in flight or given up lately; a power of two. A full ring stops the sender. */
export const RING_QUERIES = 2 ** 18;

/** The most latencies kept of one run; later ones are counted but not kept. */
const MAX_LATENCIES = 4_000_000;

/** What became of the deliveries of a run. */
export interface DeliveryCounts {
  queries: number;
  expected: number;
  delivered: number;
  /** Expected and not received in time. */
  lost: number;
  /** Received after they were given up as lost, or once more by then; not counted as delivered. */
  late: number;
  /** Received twice by the same leaf. */
  duplicates: number;
  /** Received by a leaf whose table does not match. */
  unexpected: number;
}

/**
 * Which deliveries of which query are still due: a ring of the queries sent, each with a bit per leaf that it must
 * reach. Plain numbers throughout, since every delivery passes here.
 */
export class DeliveryTracker {
  /** Deliveries due now. */
  outstanding = 0;
  readonly #plan: QueryPlan;
  readonly #due = new Uint32Array(RING_QUERIES);
  readonly #givenUp = new Uint8Array(RING_QUERIES);
  readonly #sentAtMs = new Float64Array(RING_QUERIES);
  readonly #latenciesMs = new Float32Array(MAX_LATENCIES);
  #latencyCount = 0;
  /** The oldest query that may still have deliveries due. */
  #oldest: number;
  #next: number;
  #counts = noCounts();

  /** Starts with this query number. */
  constructor(plan: QueryPlan, firstNumber: number) {
    this.#plan = plan;
    this.#oldest = firstNumber;
    this.#next = firstNumber;
  }

  /** The number that the next query gets. */
  get nextNumber(): number {
    return this.#next;
  }

  /** Whether no further query can be noted now. */
  get full(): boolean {
    return this.#next - this.#oldest >= RING_QUERIES;
  }

  /** Notes that the next query is sent, at this time or scheduled for it. The ring must not be full. */
  sent(atMs: number): void {
    const slot = this.#next % RING_QUERIES;
    const expected = this.#plan.expected(this.#next).length;
    this.#due[slot] = 2 ** expected - 1;
    this.#givenUp[slot] = 0;
    this.#sentAtMs[slot] = atMs;
    this.#next++;
    this.outstanding += expected;
    this.#counts.queries++;
    this.#counts.expected += expected;
  }

  /** Notes that a leaf received the query with this number. */
  delivered(number: number, leaf: number, nowMs: number): void {
    if (number >= this.#next || number < this.#next - RING_QUERIES) {
      this.#counts.unexpected++;
      return;
    }
    const at = this.#plan.expected(number).indexOf(leaf);
    if (at < 0) {
      this.#counts.unexpected++;
      return;
    }
    const slot = number % RING_QUERIES;
    const due = this.#due[slot] ?? 0;
    const bit = 2 ** at;
    if ((due & bit) === 0) {
      if (this.#givenUp[slot] === 1) this.#counts.late++;
      else this.#counts.duplicates++;
      return;
    }
    this.#due[slot] = due - bit;
    this.outstanding--;
    this.#counts.delivered++;
    if (this.#latencyCount < MAX_LATENCIES) {
      this.#latenciesMs[this.#latencyCount++] = nowMs - (this.#sentAtMs[slot] ?? nowMs);
    }
  }

  /** Gives up, as lost, what is due of queries sent before this time. */
  expire(beforeMs: number): void {
    for (; this.#oldest < this.#next; this.#oldest++) {
      const slot = this.#oldest % RING_QUERIES;
      const due = this.#due[slot] ?? 0;
      if (due === 0) continue;
      if ((this.#sentAtMs[slot] ?? 0) >= beforeMs) return;
      const missing = bitCount(due);
      this.#due[slot] = 0;
      this.#givenUp[slot] = 1;
      this.outstanding -= missing;
      this.#counts.lost += missing;
    }
  }

  /** The counts since the last call, and the sorted latencies in ms; both start anew. */
  take(): { counts: DeliveryCounts; latenciesMs: Float32Array } {
    const taken = { counts: this.#counts, latenciesMs: this.#latenciesMs.slice(0, this.#latencyCount).sort() };
    this.#counts = noCounts();
    this.#latencyCount = 0;
    return taken;
  }
}

function noCounts(): DeliveryCounts {
  return { queries: 0, expected: 0, delivered: 0, lost: 0, late: 0, duplicates: 0, unexpected: 0 };
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
