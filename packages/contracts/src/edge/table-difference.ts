import { difference, type SlotSet } from '@filbert/gnutella';
import type { TableChange } from '../gen/filbert/bus/v1/bus.ts';
import { packed } from '../packed.ts';

/** Slots that one record carries at most, so that a message stays well below the bus's limit. */
export const MAX_SLOTS_PER_RECORD = 32 * 1024;

/** "The link has no table (any more)". */
export const NO_TABLE: TableChange = {
  bits: 0,
  reset: true,
  setSlots: new Uint8Array(0),
  clearedSlots: new Uint8Array(0),
};

/**
 * The changes that turn the table `from`, as shards know it, into `to`, in parts that fit a record each.
 * @param from undefined: shards hold no table of the link
 */
export function tableChanges(from: SlotSet | undefined, to: SlotSet): TableChange[] {
  const base = from?.bits === to.bits ? from : undefined;
  const { set, cleared } = difference(base, to);
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
    });
    setAt += setPart.length;
    clearedAt += clearedPart.length;
  } while (setAt < set.length || clearedAt < cleared.length);
  return changes;
}
