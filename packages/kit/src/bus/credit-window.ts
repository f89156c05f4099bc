import {
  DEFAULT_OUTSTANDING_BYTES,
  DEFAULT_OUTSTANDING_MS,
  OUTSTANDING_MESSAGES,
  PROBE_INTERVAL_MS,
} from './limits.ts';

/** What a credit window is made of. */
export interface CreditWindowOptions {
  readonly epoch: number;
  readonly maxOutstandingBytes?: number;
  readonly maxOutstandingMs?: number;
  /** Number of the first message. Default 1. */
  readonly firstNumber?: number;
}

/** The number after `number`: a u32 that skips 0 when it wraps. */
function successor(number: number): number {
  return (number + 1) >>> 0 || 1;
}

/** Whether `a` comes after `b`, both u32 that wrap and lie less than 2^31 apart. */
function isAfter(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

/**
 * What a stream writer has sent and its reader has not yet reported done (docs/architecture.md, "Credit"). Takes times as
 * arguments (monotonic, ms) and allocates nothing per message.
 */
export class CreditWindow {
  readonly #epoch: number;
  readonly #maxBytes: number;
  readonly #maxMs: number;
  // One ring in three columns: a message's number, size and time of sending.
  readonly #numbers = new Uint32Array(OUTSTANDING_MESSAGES);
  readonly #sizes = new Float64Array(OUTSTANDING_MESSAGES);
  readonly #times = new Float64Array(OUTSTANDING_MESSAGES);
  #head = 0;
  #count = 0;
  #bytes = 0;
  #next: number;
  #last = 0;
  /** When a message may pass without credit; 0 while none was sent or refused since the last sign of life. */
  #probeAtMs = 0;

  constructor(options: CreditWindowOptions) {
    this.#epoch = options.epoch;
    this.#maxBytes = options.maxOutstandingBytes ?? DEFAULT_OUTSTANDING_BYTES;
    this.#maxMs = options.maxOutstandingMs ?? DEFAULT_OUTSTANDING_MS;
    this.#next = options.firstNumber ?? 1;
  }

  get outstandingBytes(): number {
    return this.#bytes;
  }

  /** The number of the message sent last; 0 before the first. */
  get lastNumber(): number {
    return this.#last;
  }

  /** Whether nothing up to this number, which was sent, is outstanding. */
  isDone(number: number): boolean {
    return this.#count === 0 || isAfter(this.#numbers[this.#head] ?? 0, number);
  }

  /** The number that the next message sent will have. */
  get nextNumber(): number {
    return this.#next;
  }

  /**
   * Share of the credit in use: of the bytes, of the age of the oldest message or of the messages, whichever is most. 0 also
   * when a message may pass without credit: callers that shed by pressure would otherwise never send the one that finds out
   * whether there is a reader again.
   */
  pressure(nowMs: number): number {
    const used = this.#used(nowMs);
    if (used < 1) return used;
    if (this.#probeAtMs === 0) this.#probeAtMs = nowMs + PROBE_INTERVAL_MS;
    return nowMs >= this.#probeAtMs ? 0 : used;
  }

  /**
   * Whether a message of `bytes` bytes may be sent now: there is credit, or nothing was sent and heard for so long that one
   * message shall find out whether there is a reader again.
   */
  admits(bytes: number, nowMs: number): boolean {
    if (this.#count === 0 || (this.#bytes + bytes <= this.#maxBytes && this.#used(nowMs) < 1)) return true;
    if (this.#probeAtMs === 0) this.#probeAtMs = nowMs + PROBE_INTERVAL_MS;
    return nowMs >= this.#probeAtMs;
  }

  /** Notes that the message `nextNumber` of `bytes` bytes was sent. */
  sent(bytes: number, nowMs: number): void {
    const full = this.#count === OUTSTANDING_MESSAGES;
    if (!full) this.#count++;
    const at = (this.#head + this.#count - 1) % OUTSTANDING_MESSAGES;
    this.#numbers[at] = this.#next;
    // Only a probe finds the ring full: it joins the newest entry, so that probing takes no room.
    this.#sizes[at] = full ? (this.#sizes[at] ?? 0) + bytes : bytes;
    if (!full) this.#times[at] = nowMs;
    this.#bytes += bytes;
    this.#probeAtMs = nowMs + PROBE_INTERVAL_MS;
    this.#last = this.#next;
    this.#next = successor(this.#next);
  }

  /** Frees what the reader has done: everything up to `number`. Reports of another epoch or of what was never sent are ignored. */
  reported(epoch: number, number: number): void {
    if (epoch !== this.#epoch || this.#last === 0 || isAfter(number, this.#last)) return;
    this.#probeAtMs = 0;
    while (this.#count > 0 && !isAfter(this.#numbers[this.#head] ?? 0, number)) {
      this.#bytes -= this.#sizes[this.#head] ?? 0;
      this.#head = (this.#head + 1) % OUTSTANDING_MESSAGES;
      this.#count--;
    }
  }

  /** Forgets everything outstanding: the connection that it was sent over is gone. */
  forget(): void {
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#probeAtMs = 0;
  }

  #used(nowMs: number): number {
    if (this.#count === 0) return 0;
    const age = nowMs - (this.#times[this.#head] ?? nowMs);
    return Math.max(this.#bytes / this.#maxBytes, age / this.#maxMs, this.#count / OUTSTANDING_MESSAGES);
  }
}
