import { SlotSet } from './slot-set.ts';
import { MIN_USEFUL_TABLE_BITS } from './qrp-layout.ts';

/** Sizes of one patch entry in bits. */
export type EntryBits = 8 | 4 | 2 | 1;

/** Narrows the entry size of a PATCH to those that exist. */
export function isEntryBits(value: number): value is EntryBits {
  return value === 8 || value === 4 || value === 2 || value === 1;
}

/** Bytes of plain patch data that cover a table of 2^`bits` slots. */
export function patchDataBytes(bits: number, entryBits: EntryBits): number {
  return Math.ceil((2 ** bits * entryBits) / 8);
}

/**
 * Applies plain patch data, slice by slice, to a table (docs/protocol/05-qrp.md §2). Entries of 8, 4 and 2 bits are
 * two's complement deltas of which only the sign counts: negative sets, positive clears. Entries of 1 bit toggle.
 *
 * A table larger than `maxBits` is shrunk on the fly (§3): its slots fold onto groups. A group is set by any negative
 * entry and cleared only by a positive one for each of its slots; what is lost leaves slots set, never clear.
 */
export class PatchDecoder {
  readonly #bits: number;
  readonly #entryBits: EntryBits;
  readonly #expectedBytes: number;
  readonly #shrinkBy: number;
  readonly #bitmap: Uint8Array;
  #bytes = 0;
  #clearedGroup = -1;
  #clearedCount = 0;

  /**
   * @param bits log2 of the table's announced number of slots
   * @param base the table to change, of 2^min(bits, maxBits) slots
   */
  constructor(bits: number, entryBits: EntryBits, base: SlotSet) {
    this.#bits = bits;
    this.#entryBits = entryBits;
    this.#expectedBytes = patchDataBytes(bits, entryBits);
    this.#shrinkBy = Math.max(0, bits - base.bits);
    this.#bitmap = base.toBitmap();
  }

  /** Memory held for the table that is being changed, in bytes. */
  get heldBytes(): number {
    return this.#bitmap.byteLength;
  }

  /** Applies the next bytes; false when there are more than the table has entries for, and nothing of them is applied. */
  write(data: Uint8Array): boolean {
    const start = this.#bytes;
    if (start + data.length > this.#expectedBytes) return false;
    this.#bytes += data.length;
    if (this.#bits < MIN_USEFUL_TABLE_BITS) return true;
    if (this.#entryBits === 1 && this.#shrinkBy === 0) this.#toggle(data, start);
    else this.#applyEntries(data, start);
    return true;
  }

  /** The changed table; undefined while entries are missing. */
  finish(): SlotSet | undefined {
    if (this.#bytes < this.#expectedBytes) return undefined;
    if (this.#bits < MIN_USEFUL_TABLE_BITS) return SlotSet.empty(MIN_USEFUL_TABLE_BITS);
    return SlotSet.fromBitmap(this.#bits - this.#shrinkBy, this.#bitmap);
  }

  #toggle(data: Uint8Array, start: number): void {
    const bitmap = this.#bitmap;
    for (let index = 0; index < data.length; index++) {
      bitmap[start + index] = (bitmap[start + index] as number) ^ (data[index] as number);
    }
  }

  // Runs for up to 2^24 entries at once: state is kept in locals.
  #applyEntries(data: Uint8Array, start: number): void {
    const bitmap = this.#bitmap;
    const entryBits = this.#entryBits;
    const shrinkBy = this.#shrinkBy;
    const groupSize = 1 << shrinkBy;
    const perByte = 8 / entryBits;
    const mask = 2 ** entryBits - 1;
    // The sign bit of a delta. A toggle in a shrunk table counts as negative: the group may have become set.
    const sign = entryBits === 1 ? 1 : 2 ** (entryBits - 1);
    let clearedGroup = this.#clearedGroup;
    let clearedCount = this.#clearedCount;
    for (let index = 0; index < data.length; index++) {
      const byte = data[index] as number;
      if (byte === 0) continue;
      let slot = (start + index) * perByte;
      for (let shift = 8 - entryBits; shift >= 0; shift -= entryBits, slot++) {
        const entry = (byte >> shift) & mask;
        if (entry === 0) continue;
        const group = slot >>> shrinkBy;
        const bit = 0x80 >> (group & 7);
        if ((entry & sign) !== 0) {
          bitmap[group >> 3] = (bitmap[group >> 3] as number) | bit;
          continue;
        }
        clearedCount = group === clearedGroup ? clearedCount + 1 : 1;
        clearedGroup = group;
        if (clearedCount === groupSize) bitmap[group >> 3] = (bitmap[group >> 3] as number) & ~bit;
      }
    }
    this.#clearedGroup = clearedGroup;
    this.#clearedCount = clearedCount;
  }
}
