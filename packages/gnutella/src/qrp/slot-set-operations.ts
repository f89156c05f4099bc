import { bitmapBytes, SlotSet } from './slot-set.ts';

/** What turns one table into another: slots to set and slots to clear, both ascending. */
export interface SlotDifference {
  readonly set: Uint32Array;
  readonly cleared: Uint32Array;
}

/** Share of the slots that are set, 0…1. */
export function fillRatio(table: SlotSet): number {
  return table.count / 2 ** table.bits;
}

/** Elements of the ascending list `slots` that `table` lacks. */
function missingFrom(table: SlotSet, slots: Uint32Array): Uint32Array {
  return slots.filter((slot) => !table.has(slot));
}

/** The difference between two tables; all of `to` when `from` is missing or has another size. */
export function difference(from: SlotSet | undefined, to: SlotSet): SlotDifference {
  if (from?.bits !== to.bits) return { set: to.slots(), cleared: new Uint32Array(0) };
  return { set: missingFrom(from, to.slots()), cleared: missingFrom(to, from.slots()) };
}

/**
 * The table that `difference` was taken from: `base` with `set` added and `cleared` removed, or just `set` when `base`
 * is missing or has another size than 2^`bits`. A slot in both lists ends up set. Throws `bad-qrp` for a slot outside.
 */
export function applyDifference(
  base: SlotSet | undefined,
  bits: number,
  set: Uint32Array,
  cleared: Uint32Array,
): SlotSet {
  if (base?.bits !== bits) return SlotSet.fromSlots(bits, set.slice());
  const removed = SlotSet.fromSlots(bits, cleared.slice());
  const kept = missingFrom(removed, base.slots());
  const slots = new Uint32Array(kept.length + set.length);
  slots.set(kept);
  slots.set(set, kept.length);
  return SlotSet.fromSlots(bits, slots);
}

function addResized(bitmap: Uint8Array, bits: number, table: SlotSet): void {
  const shrinkBy = table.bits - bits;
  if (shrinkBy >= 0) {
    table.forEach((slot) => {
      const target = slot >>> shrinkBy;
      bitmap[target >> 3] = (bitmap[target >> 3] as number) | (0x80 >> (target & 7));
    });
    return;
  }
  const run = 2 ** -shrinkBy;
  table.forEach((slot) => {
    for (let target = slot * run; target < (slot + 1) * run; target++) {
      bitmap[target >> 3] = (bitmap[target >> 3] as number) | (0x80 >> (target & 7));
    }
  });
}

/**
 * The same table in 2^`bits` slots: each slot becomes a run when it grows; a slot is set if any of its children was when
 * it shrinks. No word that matched stops matching (docs/protocol/05-qrp.md §4).
 */
export function resize(table: SlotSet, bits: number): SlotSet {
  return table.bits === bits ? table : merge([table], bits);
}

/** The union of tables of any size in a table of 2^`bits` slots (docs/protocol/05-qrp.md §4 and §5). */
export function merge(tables: Iterable<SlotSet>, bits: number): SlotSet {
  const result = SlotSet.empty(bits);
  const bitmap = new Uint8Array(bitmapBytes(result.bits));
  for (const table of tables) addResized(bitmap, bits, table);
  return SlotSet.fromBitmap(bits, bitmap);
}
