const FIRST_CAPACITY = 2;

/** A word and the files whose names have it: their slots, ascending. */
export class Posting {
  readonly word: string;
  #slots = new Uint32Array(FIRST_CAPACITY);
  #length = 0;

  constructor(word: string) {
    this.word = word;
  }

  get length(): number {
    return this.#length;
  }

  /** The slot at `position`, 0…length-1. */
  at(position: number): number {
    return this.#slots[position] as number;
  }

  has(slot: number): boolean {
    const position = this.#position(slot);
    return position < this.#length && this.#slots[position] === slot;
  }

  /** Adds a slot; one that is there already is not added again. */
  add(slot: number): void {
    const length = this.#length;
    const position = length === 0 || (this.#slots[length - 1] as number) < slot ? length : this.#position(slot);
    if (position < length && this.#slots[position] === slot) return;
    if (length === this.#slots.length) {
      const grown = new Uint32Array(length * 2);
      grown.set(this.#slots);
      this.#slots = grown;
    }
    this.#slots.copyWithin(position + 1, position, length);
    this.#slots[position] = slot;
    this.#length++;
  }

  remove(slot: number): void {
    const position = this.#position(slot);
    if (position === this.#length || this.#slots[position] !== slot) return;
    this.#slots.copyWithin(position, position + 1, this.#length);
    this.#length--;
    if (this.#length >= FIRST_CAPACITY && this.#length * 4 <= this.#slots.length) {
      this.#slots = this.#slots.slice(0, this.#length * 2);
    }
  }

  /** Where `slot` is or belongs. */
  #position(slot: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#slots[middle] as number) < slot) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
