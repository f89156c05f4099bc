import { SlotSet } from '@filbert/gnutella';

/** Smallest and largest table that ultrapeers get, log2 of the slots (docs/protocol/05 §4). */
export const MIN_MERGED_BITS = 16;
export const MAX_MERGED_BITS = 20;
/** The table is doubled when more than this share of its slots is set: a full table filters nothing. */
const GROW_FILL = 0.3;
/** It is doubled only while this share of the tables is larger: slots of smaller ones would only be repeated. */
const GROW_SHARE = 0.25;

/** The difference between two publications of the merged table; `full` means `set` is the whole table. */
export interface MergedChange {
  readonly bits: number;
  readonly full: boolean;
  readonly set: Uint32Array;
  readonly cleared: Uint32Array;
}

/**
 * The union of many tables, kept by a counter for every slot and touched only by differences (docs/protocol/05 §5).
 * Its size follows the fill from 2^16 to 2^20.
 */
export class MergedTable {
  #bits = MIN_MERGED_BITS;
  #counters = new Uint32Array(1 << MIN_MERGED_BITS);
  #setCount = 0;
  /** Tables that are merged, by log2 of their size. */
  readonly #tablesOfBits = new Uint32Array(32);
  /** Slots whose presence may have changed since the last `takeChange`, a bit each: peers decide how many they are. */
  #touched = new Uint8Array(1 << (MIN_MERGED_BITS - 3));
  #anyTouched = false;
  #published = new Uint8Array(1 << (MIN_MERGED_BITS - 3));
  #fullDue = true;

  get bits(): number {
    return this.#bits;
  }

  /** Slots set. */
  get count(): number {
    return this.#setCount;
  }

  add(table: SlotSet): void {
    (this.#tablesOfBits[table.bits] as number)++;
    this.#count(table, 1);
  }

  remove(table: SlotSet): void {
    (this.#tablesOfBits[table.bits] as number)--;
    this.#count(table, -1);
  }

  /** Whether the table has become too full for its size and may still grow. */
  get wantsToGrow(): boolean {
    if (this.#bits >= MAX_MERGED_BITS || this.#setCount <= (1 << this.#bits) * GROW_FILL) return false;
    let larger = 0;
    let all = 0;
    this.#tablesOfBits.forEach((tables, bits) => {
      all += tables;
      if (bits > this.#bits) larger += tables;
    });
    return larger > all * GROW_SHARE;
  }

  /** Doubles the table and counts `tables` (all that are merged) anew. The next change is a full one. */
  grow(tables: Iterable<SlotSet>): void {
    this.#bits++;
    this.#counters = new Uint32Array(1 << this.#bits);
    this.#published = new Uint8Array(1 << (this.#bits - 3));
    this.#touched = new Uint8Array(1 << (this.#bits - 3));
    this.#anyTouched = false;
    this.#setCount = 0;
    this.#fullDue = true;
    for (const table of tables) this.#count(table, 1);
  }

  /** What changed since the last call, or undefined. The first change, and the first after growing, is full. */
  takeChange(): MergedChange | undefined {
    if (this.#fullDue) {
      this.#fullDue = false;
      const set = this.#slots();
      for (const slot of set) this.#publish(slot, true);
      return { bits: this.#bits, full: true, set, cleared: new Uint32Array(0) };
    }
    if (!this.#anyTouched) return undefined;
    const set: number[] = [];
    const cleared: number[] = [];
    this.#touched.forEach((byte, at) => {
      for (let slot = at << 3; byte !== 0; slot++, byte = (byte << 1) & 0xff) {
        if ((byte & 0x80) === 0) continue;
        const present = this.#counters[slot] !== 0;
        const was = ((this.#published[slot >>> 3] as number) & (0x80 >>> (slot & 7))) !== 0;
        if (present === was) continue;
        (present ? set : cleared).push(slot);
        this.#publish(slot, present);
      }
    });
    this.#touched.fill(0);
    this.#anyTouched = false;
    if (set.length === 0 && cleared.length === 0) return undefined;
    return { bits: this.#bits, full: false, set: Uint32Array.from(set), cleared: Uint32Array.from(cleared) };
  }

  /** The table as published last. */
  published(): SlotSet {
    return SlotSet.fromBitmap(this.#bits, Uint8Array.from(this.#published));
  }

  #publish(slot: number, present: boolean): void {
    const at = slot >>> 3;
    const bit = 0x80 >>> (slot & 7);
    this.#published[at] = present ? (this.#published[at] as number) | bit : (this.#published[at] as number) & ~bit;
  }

  #slots(): Uint32Array {
    const slots = new Uint32Array(this.#setCount);
    let n = 0;
    for (let slot = 0; slot < this.#counters.length; slot++) if (this.#counters[slot] !== 0) slots[n++] = slot;
    return slots;
  }

  #count(table: SlotSet, by: 1 | -1): void {
    const fold = table.bits - this.#bits;
    const counters = this.#counters;
    table.forEach((slot) => {
      const first = fold >= 0 ? slot >>> fold : slot << -fold;
      const last = fold >= 0 ? first : first + (1 << -fold) - 1;
      for (let s = first; s <= last; s++) {
        const before = counters[s] as number;
        counters[s] = before + by;
        if (before === 0) this.#setCount++;
        else if (before + by === 0) this.#setCount--;
        else continue;
        if (this.#fullDue) continue;
        this.#touched[s >>> 3] = (this.#touched[s >>> 3] as number) | (0x80 >>> (s & 7));
        this.#anyTouched = true;
      }
    });
  }
}
