/** A monotonic clock that is read once for all that happens in one event-loop turn: frames ask it by the thousand. */
export class TurnClock {
  #now = performance.now();
  #fresh = false;
  readonly #forget = (): void => {
    this.#fresh = false;
  };

  /** ms, monotonic; cheap */
  now(): number {
    if (!this.#fresh) {
      this.#now = performance.now();
      this.#fresh = true;
      setImmediate(this.#forget);
    }
    return this.#now;
  }
}
