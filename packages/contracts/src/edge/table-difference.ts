import { difference, type SlotSet } from '@filbert/gnutella';
import type { TableChange } from '../gen/filbert/bus/v1/bus.ts';
import { packed } from '../packed.ts';

/** Slots that one record carries at most, so that a message stays well below the bus's limit. */
export const MAX_SLOTS_PER_RECORD = 32 * 1024;
/** Bytes of a bitmap that a record carries at most: as much as a list, so tables of up to 2^20 slots. */
const MAX_BITMAP_BYTES = MAX_SLOTS_PER_RECORD * 4;

const NOTHING = new Uint8Array(0);

/** "The link has no table (any more)". */
export const NO_TABLE: TableChange = {
  bits: 0,
  reset: true,
  setSlots: NOTHING,
  clearedSlots: NOTHING,
  bitmap: NOTHING,
};

/**
 * The changes that turn the table `from`, as shards know it, into `to`, in parts that fit a record each. A shard works
 * through its whole table for each part, so what differs much travels as one bitmap where that fits.
 * @param from undefined: shards hold no table of the link
 */
export function tableChanges(from: SlotSet | undefined, to: SlotSet): TableChange[] {
  const base = from?.bits === to.bits ? from : undefined;
  const { set, cleared } = difference(base, to);
  if (set.length + cleared.length > MAX_SLOTS_PER_RECORD && 2 ** to.bits <= MAX_BITMAP_BYTES * 8) {
    return [{ bits: to.bits, reset: true, setSlots: NOTHING, clearedSlots: NOTHING, bitmap: to.toBitmap() }];
  }
  const changes: TableChange[] = [];
  let setAt = 0;
  let clearedAt = 0;
  do {
    const setPart = set.subarray(setAt, setAt + MAX_SLOTS_PER_RECORD);
    const clearedPart = cleared.subarray(clearedAt, clearedAt + MAX_SLOTS_PER_RECORD - setPart.length);
    changes.push({
      bits: to.bits,
      reset: base === undefined && changes.length === 0,
      setSlots: packed(setPart),
      clearedSlots: packed(clearedPart),
      bitmap: NOTHING,
    });
    setAt += setPart.length;
    clearedAt += clearedPart.length;
  } while (setAt < set.length || clearedAt < cleared.length);
  return changes;
}
