/** Longest gap between two draws: a ratio so small is reached after about as many. Keeps the countdown a small integer. */
const MAX_GAP = 1_073_741_823;

/**
 * Decides which pieces of work are recorded, each with the same odds and independent of the others. It counts down gaps
 * drawn beforehand, so that a piece of work which is not recorded costs a subtraction and no random number.
 */
export class TraceDraw {
  /** Pieces of work up to and with the next one that is recorded; 0: none ever is. */
  #left: number;
  readonly #ratio: number;
  readonly #random: () => number;

  /**
   * @param ratio share of work that is recorded, 0 … 1
   * @param random 0 … 1, without 1
   */
  constructor(ratio: number, random: () => number) {
    this.#ratio = ratio;
    this.#random = random;
    this.#left = ratio > 0 ? this.#gap() : 0;
  }

  /** Whether the piece of work that begins now is recorded. */
  next(): boolean {
    if (this.#left === 0 || --this.#left > 0) return false;
    this.#left = this.#gap();
    return true;
  }

  /** How often one has to try until the first success: geometrically distributed. */
  #gap(): number {
    if (this.#ratio >= 1) return 1;
    return Math.min(MAX_GAP, 1 + Math.floor(Math.log1p(-this.#random()) / Math.log1p(-this.#ratio)));
  }
}
