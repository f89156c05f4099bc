import { GnutellaError } from '../errors.ts';
import { slotOf } from './word-hash.ts';

/** Largest table that is handled at all: 2^24 slots (docs/protocol/05-qrp.md §3). */
export const MAX_TABLE_BITS = 24;

const NO_SLOTS = new Uint32Array(0);
const NO_BITMAP = new Uint8Array(0);
/** A listed slot costs this many bits; a bitmap is kept once a list would be no smaller. */
const BITS_PER_LISTED_SLOT = 32;

function checkBits(bits: number): void {
  if (!Number.isInteger(bits) || bits < 1 || bits > MAX_TABLE_BITS) {
    throw new GnutellaError('bad-qrp', `table size 2^${bits} is not within 2^1 to 2^${MAX_TABLE_BITS}`);
  }
}

/** Bytes of a bitmap of 2^`bits` slots. */
export function bitmapBytes(bits: number): number {
  return bits < 3 ? 1 : 2 ** (bits - 3);
}

function popCount(byte: number): number {
  let value = byte - ((byte >> 1) & 0x55);
  value = (value & 0x33) + ((value >> 2) & 0x33);
  return (value + (value >> 4)) & 0x0f;
}

function ascendingDistinct(slots: Uint32Array): Uint32Array {
  for (let index = 1; index < slots.length; index++) {
    if ((slots[index] as number) > (slots[index - 1] as number)) continue;
    const sorted = slots.slice().sort();
    let kept = 0;
    for (const slot of sorted) {
      if (kept === 0 || sorted[kept - 1] !== slot) sorted[kept++] = slot;
    }
    return sorted.slice(0, kept);
  }
  return slots;
}

/**
 * An immutable set of slots out of 2^`bits`: one query route table. Kept as an ascending list while that is smaller,
 * else as a bitmap in which slot s is bit 7-(s&7) of byte s>>3 (docs/protocol/05-qrp.md §2).
 */
export class SlotSet {
  /** log2 of the number of slots. */
  readonly bits: number;
  /** Number of slots in the set. */
  readonly count: number;
  readonly #dense: boolean;
  readonly #listed: Uint32Array;
  readonly #bitmap: Uint8Array;

  private constructor(bits: number, count: number, listed: Uint32Array, bitmap: Uint8Array) {
    this.bits = bits;
    this.count = count;
    this.#listed = listed;
    this.#bitmap = bitmap;
    this.#dense = bitmap.length > 0;
  }

  /** The table of 2^`bits` slots with none set. Throws `bad-qrp` when `bits` is not within 1…24. */
  static empty(bits: number): SlotSet {
    checkBits(bits);
    return new SlotSet(bits, 0, NO_SLOTS, NO_BITMAP);
  }

  /**
   * The table with these slots set; order and repetition do not matter. May keep `slots`: do not change it afterwards.
   * Throws `bad-qrp` for a slot outside the table.
   */
  static fromSlots(bits: number, slots: Uint32Array): SlotSet {
    checkBits(bits);
    const listed = ascendingDistinct(slots);
    const size = 2 ** bits;
    if (listed.length > 0 && (listed[listed.length - 1] as number) >= size) {
      throw new GnutellaError('bad-qrp', `slot outside a table of 2^${bits}`);
    }
    if (listed.length * BITS_PER_LISTED_SLOT < size) return new SlotSet(bits, listed.length, listed, NO_BITMAP);
    const bitmap = new Uint8Array(bitmapBytes(bits));
    for (const slot of listed) bitmap[slot >> 3] = (bitmap[slot >> 3] as number) | (0x80 >> (slot & 7));
    return new SlotSet(bits, listed.length, NO_SLOTS, bitmap);
  }

  /**
   * The table with this bitmap, of exactly 2^`bits`/8 bytes (one byte below 8 slots). May keep `bitmap`: do not change
   * it afterwards. Throws `bad-qrp` when the length is wrong.
   */
  static fromBitmap(bits: number, bitmap: Uint8Array): SlotSet {
    checkBits(bits);
    if (bitmap.length !== bitmapBytes(bits)) {
      throw new GnutellaError('bad-qrp', `${bitmap.length} bytes are no bitmap of 2^${bits} slots`);
    }
    const size = 2 ** bits;
    if (size < 8 && ((bitmap[0] as number) & (0xff >> size)) !== 0) {
      throw new GnutellaError('bad-qrp', `slot outside a table of 2^${bits}`);
    }
    let count = 0;
    for (const byte of bitmap) if (byte !== 0) count += popCount(byte);
    if (count * BITS_PER_LISTED_SLOT >= size) return new SlotSet(bits, count, NO_SLOTS, bitmap);
    const listed = new Uint32Array(count);
    let next = 0;
    forEachBit(bitmap, (slot) => {
      listed[next++] = slot;
    });
    return new SlotSet(bits, count, listed, NO_BITMAP);
  }

  /** Whether `slot` is in the set; false for a number outside the table. */
  has(slot: number): boolean {
    if (this.#dense) {
      const byte = this.#bitmap[slot >>> 3];
      return byte !== undefined && (byte & (0x80 >> (slot & 7))) !== 0;
    }
    const listed = this.#listed;
    let low = 0;
    let high = listed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const candidate = listed[middle] as number;
      if (candidate === slot) return true;
      if (candidate < slot) low = middle + 1;
      else high = middle;
    }
    return false;
  }

  /** Whether the slot of a word's or URN's full 32-bit hash is in the set. */
  hasWordHash(hash: number): boolean {
    return this.has(slotOf(hash, this.bits));
  }

  /** Calls `visit` with each slot of the set, ascending. */
  forEach(visit: (slot: number) => void): void {
    if (this.#dense) forEachBit(this.#bitmap, visit);
    else for (const slot of this.#listed) visit(slot);
  }

  /** A new array of the slots in the set, ascending. */
  slots(): Uint32Array {
    if (!this.#dense) return this.#listed.slice();
    const slots = new Uint32Array(this.count);
    let next = 0;
    forEachBit(this.#bitmap, (slot) => {
      slots[next++] = slot;
    });
    return slots;
  }

  /** A new bitmap of the set, MSB first. */
  toBitmap(): Uint8Array {
    if (this.#dense) return this.#bitmap.slice();
    const bitmap = new Uint8Array(bitmapBytes(this.bits));
    for (const slot of this.#listed) bitmap[slot >> 3] = (bitmap[slot >> 3] as number) | (0x80 >> (slot & 7));
    return bitmap;
  }

  /** Whether both tables have the same size and the same slots. */
  equals(other: SlotSet): boolean {
    if (this === other) return true;
    if (this.bits !== other.bits || this.count !== other.count) return false;
    // Same size and count mean the same representation.
    const mine = this.#dense ? this.#bitmap : this.#listed;
    const theirs = other.#dense ? other.#bitmap : other.#listed;
    for (let index = 0; index < mine.length; index++) if (mine[index] !== theirs[index]) return false;
    return true;
  }

  /** Memory that the slots take, in bytes. */
  get byteLength(): number {
    return this.#dense ? this.#bitmap.byteLength : this.#listed.byteLength;
  }
}

function forEachBit(bitmap: Uint8Array, visit: (slot: number) => void): void {
  for (let index = 0; index < bitmap.length; index++) {
    const byte = bitmap[index] as number;
    if (byte === 0) continue;
    for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) visit((index << 3) | bit);
  }
}
