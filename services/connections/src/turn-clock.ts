/** A monotonic clock that is read once for all that happens in one event-loop turn: frames ask it by the thousand. */
export class TurnClock {
  readonly #read: () => number;
  #now = 0;
  #fresh = false;
  readonly #forget = (): void => {
    this.#fresh = false;
  };

  /** @param read ms, monotonic; the system's clock by default */
  constructor(read: () => number = () => performance.now()) {
    this.#read = read;
  }

  /** ms, monotonic; cheap */
  now(): number {
    if (!this.#fresh) {
      this.#now = this.#read();
      this.#fresh = true;
      setImmediate(this.#forget);
    }
    return this.#now;
  }
}
