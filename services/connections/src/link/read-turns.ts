/** One link is read for so long before others get their turn. */
export const READ_SLICE_MS = 4;
/** Links that had to wait are read for so long together in one turn of the event loop. */
export const READ_TURN_MS = 8;
/** A read that fills this much, bytes, means that the peer is ahead of us: the others come first. */
export const FULL_READ_BYTES = 64 * 1024;
/** From this share of the credit towards a shard on, links that send much wait, before queries would have to be shed. */
export const CALM_PRESSURE = 0.25;
/** What a link may send within `LIGHT_WINDOW_MS` without ever having to wait, bytes. */
export const LIGHT_BYTES = 16 * 1024;
export const LIGHT_WINDOW_MS = 100;
/** No link waits longer for its turn. */
export const MAX_READ_WAIT_MS = 1_000;
/** While shards are behind, they are looked at so often. */
const PRESSED_RETRY_MS = 5;

/** A link that waits for its turn to be read. */
export interface Reader {
  /** Goes on; it may `wait` again. */
  readOn(): void;
}

interface Waiting {
  readonly reader: Reader;
  readonly since: number;
}

/**
 * Decides whose bytes are read when. A peer that sends faster than we can work, or what is costly to work on, is read in
 * slices, between which all others get their turn, and not at all while shards are behind: the kernel's buffers fill and
 * TCP slows the peer down (docs/protocol/12 §11). So a flood costs the peer that sends it, and nobody else's messages.
 */
export class ReadTurns {
  /** Times that a link had to wait. */
  waits = 0;
  /** ms, monotonic, never cached. */
  readonly now: () => number;
  readonly #pressure: () => number;
  readonly #waiting: Waiting[] = [];
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #turn = (): void => {
    this.#immediate = undefined;
    this.#timer = undefined;
    const until = this.now() + READ_TURN_MS;
    for (let left = this.#waiting.length; left > 0 && this.now() < until; left--) {
      const next = this.#waiting.shift() as Waiting;
      if (this.#isPressed && this.now() - next.since < MAX_READ_WAIT_MS) this.#waiting.push(next);
      else next.reader.readOn();
    }
    this.#schedule();
  };

  /**
   * @param pressure share of the credit towards shards that is in use, 0 … 1 and more
   * @param now ms, monotonic, never cached
   */
  constructor(pressure: () => number, now: () => number = () => performance.now()) {
    this.#pressure = pressure;
    this.now = now;
  }

  /** Links that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Whether a link has to wait before it is read on.
   * @param isFull a whole read, or a whole chunk of the inflater, was filled: there is probably more
   * @param windowBytes what came within `LIGHT_WINDOW_MS`
   */
  mustWait(isFull: boolean, windowBytes: number): boolean {
    return isFull || (windowBytes > LIGHT_BYTES && this.#isPressed);
  }

  /** The link waits until its `readOn` is called. */
  wait(reader: Reader): void {
    this.waits++;
    this.#waiting.push({ reader, since: this.now() });
    this.#schedule();
  }

  /** The link is gone, or reads on by itself. */
  forget(reader: Reader): void {
    const at = this.#waiting.findIndex((waiting) => waiting.reader === reader);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  stop(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  get #isPressed(): boolean {
    return this.#pressure() >= CALM_PRESSURE;
  }

  #schedule(): void {
    if (this.#waiting.length === 0 || this.#immediate !== undefined || this.#timer !== undefined) return;
    if (this.#isPressed) this.#timer = setTimeout(this.#turn, PRESSED_RETRY_MS);
    else this.#immediate = setImmediate(this.#turn);
  }
}
