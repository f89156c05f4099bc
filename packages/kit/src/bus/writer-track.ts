import { READER_IN_FLIGHT_MESSAGES } from './limits.ts';

/**
 * How far a stream reader has come with one writer. Handlers may end in any order; done is what has no unfinished message
 * before it. Numbers that never arrived count as done with the next that did.
 */
export class WriterTrack {
  readonly epoch: number;
  /** Every message up to this number is done. */
  done: number;
  // Messages begun and not yet known to be done, as a ring from #first on. Slots are counted up and never reused.
  readonly #numbers = new Uint32Array(READER_IN_FLIGHT_MESSAGES);
  readonly #finished = new Uint8Array(READER_IN_FLIGHT_MESSAGES);
  #first = 0;
  #end = 0;

  /** @param number the first message seen of the writer: what came before it is not this reader's */
  constructor(epoch: number, number: number) {
    this.epoch = epoch;
    this.done = (number - 1) >>> 0;
  }

  /** Whether no further message can begin. */
  get full(): boolean {
    return this.#end - this.#first === READER_IN_FLIGHT_MESSAGES;
  }

  /** Notes that the handler is called for message `number`; the slot returned ends it. */
  begin(number: number): number {
    const at = this.#end % READER_IN_FLIGHT_MESSAGES;
    this.#numbers[at] = number;
    this.#finished[at] = 0;
    return this.#end++;
  }

  /** Notes that the handler of a slot is through. Returns whether `done` has changed. */
  finish(slot: number): boolean {
    this.#finished[slot % READER_IN_FLIGHT_MESSAGES] = 1;
    if (slot !== this.#first) return false;
    while (this.#first < this.#end) {
      const at = this.#first % READER_IN_FLIGHT_MESSAGES;
      if (this.#finished[at] === 0) break;
      this.done = this.#numbers[at] ?? this.done;
      this.#first++;
    }
    return true;
  }
}
