import { deflateSync } from 'node:zlib';
import { difference, SlotSet } from '@filbert/gnutella';

/** What the product never sends but other servents do: patches of every entry size and magnitude. */
export interface PatchForm {
  readonly entryBits: 8 | 4 | 2 | 1;
  readonly zlib?: boolean;
  /** Delta that sets a slot; −1 if not given. */
  readonly present?: number;
  /** Delta that clears a slot; 1 if not given. */
  readonly absent?: number;
}

/** Plain patch data that turns `from` into `to`. */
export function patchData(from: SlotSet | undefined, to: SlotSet, form: PatchForm): Buffer {
  const { entryBits, present = -1, absent = 1 } = form;
  const base = from ?? SlotSet.empty(to.bits);
  const { set, cleared } = difference(base, to);
  const data = Buffer.alloc((2 ** to.bits * entryBits) / 8);
  const mask = 2 ** entryBits - 1;
  const write = (slot: number, delta: number): void => {
    const bit = slot * entryBits;
    const at = bit >> 3;
    data[at] = (data[at] ?? 0) | ((delta & mask) << (8 - entryBits - (bit & 7)));
  };
  for (const slot of set) write(slot, entryBits === 1 ? 1 : present);
  for (const slot of cleared) write(slot, entryBits === 1 ? 1 : absent);
  return data;
}

/** One PATCH payload. */
export function patchPayload(
  sequence: number,
  size: number,
  compressor: number,
  entryBits: number,
  data: Uint8Array,
): Buffer {
  return Buffer.concat([Buffer.from([1, sequence, size, compressor, entryBits]), data]);
}

/** PATCH payloads of one sequence, cut at the given places of the (perhaps compressed) data. */
export function patchPayloads(
  from: SlotSet | undefined,
  to: SlotSet,
  form: PatchForm,
  cuts: readonly number[] = [],
): Buffer[] {
  const plain = patchData(from, to, form);
  const data = form.zlib === true ? deflateSync(plain) : plain;
  const inner = [...new Set(cuts.map((cut) => 1 + (cut % data.length)))].filter((cut) => cut < data.length);
  const bounds = [0, ...inner.sort((a, b) => a - b), data.length];
  return bounds
    .slice(1)
    .map((end, index) =>
      patchPayload(
        index + 1,
        bounds.length - 1,
        form.zlib === true ? 1 : 0,
        form.entryBits,
        data.subarray(bounds[index], end),
      ),
    );
}

/** A RESET payload of any number of slots. */
export function resetPayload(slots: number, infinity = 2): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt32LE(slots, 1);
  payload[5] = infinity;
  return payload;
}
