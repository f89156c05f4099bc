import { GnutellaError } from '../errors.ts';
import { type EntryBits, isEntryBits, patchDataBytes, PatchDecoder } from './patch-decoder.ts';
import { inflatePatch, PATCH_INFLATER_BYTES, PatchInflater, type InflateVerdict } from './patch-inflater.ts';
import {
  Compressor,
  MIN_PATCH_BYTES,
  MIN_USEFUL_TABLE_BITS,
  PATCH_HEADER_BYTES,
  QrpVariant,
  RESET_BYTES,
} from './qrp-layout.ts';
import { MAX_TABLE_BITS, SlotSet } from './slot-set.ts';

/** Compressed bytes of one patch sequence (docs/protocol/12-quirks-and-abuse.md §7). */
export const MAX_COMPRESSED_PATCH_BYTES = 2 * 1024 * 1024;
/** Larger tables than 2^21 slots are kept shrunk to this (docs/protocol/05-qrp.md §3). */
export const DEFAULT_MAX_TABLE_BITS = 21;
/** Compressed data may exceed the plain data by an eighth and this, for senders that compress without gain. */
const COMPRESSION_SLACK_BYTES = 1024;

/** Why a message was dropped: to be counted against the peer. */
export type QrpIgnoredReason = 'empty message' | 'bad RESET length' | 'short PATCH' | 'unknown variant';

/** Why the link must end: the text of a BYE 413. */
export type QrpFaultReason =
  | 'Invalid QRP table length'
  | 'QRP table too large'
  | 'Invalid QRP infinity'
  | 'QRP patch without table'
  | 'Invalid QRP sequence number'
  | 'Changed QRP sequence'
  | 'Invalid QRP entry bits'
  | 'Invalid QRP compressor'
  | 'QRP patch overflowed'
  | 'Compressed QRP patch too large'
  | 'QRP patch cannot be inflated'
  | 'Incomplete QRP patch';

/** What one QRP message means for the link's table. */
export type QrpEvent =
  /** The peer starts over. The installed table may answer until the new one is complete. */
  | { readonly kind: 'reset' }
  /** A slice was taken; more are to come. */
  | { readonly kind: 'partial' }
  /** The sequence is complete: this is the link's table from now on. */
  | { readonly kind: 'updated'; readonly table: SlotSet }
  /** Dropped: count it as bad. */
  | { readonly kind: 'ignored'; readonly reason: QrpIgnoredReason }
  /** End the link with BYE 413. */
  | { readonly kind: 'fault'; readonly reason: QrpFaultReason };

export interface QrpReceiverOptions {
  /** log2 of the largest table that is kept, 3…24; larger ones are shrunk. */
  readonly maxBits?: number;
}

const RESET_EVENT: QrpEvent = { kind: 'reset' };
const PARTIAL_EVENT: QrpEvent = { kind: 'partial' };

/** A patch sequence of which slices are outstanding. */
interface Sequence {
  readonly size: number;
  readonly compressor: number;
  readonly entryBits: EntryBits;
  readonly decoder: PatchDecoder;
  /** Of a compressed sequence in several slices. */
  readonly inflater: PatchInflater | undefined;
  next: number;
  compressedBytes: number;
}

/**
 * The receiving side of QRP on one link: takes payloads of function 0x30 and gives tables (docs/protocol/05-qrp.md
 * §2 and §3). Never throws on what a peer sends. After a fault everything is forgotten but a RESET starts anew.
 *
 * Slices are inflated and applied as they come, so that no more is held than the table and the window of the stream, and
 * a fault is found in the slice that it is in.
 */
export class QrpReceiver {
  readonly #maxBits: number;
  /** log2 of the size that the last RESET announced. */
  #bits: number | undefined;
  #table: SlotSet = SlotSet.empty(MIN_USEFUL_TABLE_BITS);
  #sequence: Sequence | undefined;

  /** Throws `bad-qrp` when `maxBits` is not within 3…24. */
  constructor(options: QrpReceiverOptions = {}) {
    const maxBits = options.maxBits ?? DEFAULT_MAX_TABLE_BITS;
    if (!Number.isInteger(maxBits) || maxBits < MIN_USEFUL_TABLE_BITS || maxBits > MAX_TABLE_BITS) {
      throw new GnutellaError(
        'bad-qrp',
        `maxBits ${maxBits} is not within ${MIN_USEFUL_TABLE_BITS} to ${MAX_TABLE_BITS}`,
      );
    }
    this.#maxBits = maxBits;
  }

  /** Whether a patch sequence has begun and is not complete. Its age is for the caller to watch; see `discard`. */
  get receiving(): boolean {
    return this.#sequence !== undefined;
  }

  /** Slots of the table that the last RESET announced: what a patch makes the receiver work through; 0 without one. */
  get announcedSlots(): number {
    return this.#bits === undefined ? 0 : 2 ** this.#bits;
  }

  /** Memory held for the sequence under way, in bytes. */
  get heldBytes(): number {
    const sequence = this.#sequence;
    return sequence === undefined
      ? 0
      : sequence.decoder.heldBytes + (sequence.inflater === undefined ? 0 : PATCH_INFLATER_BYTES);
  }

  /** Forgets the sequence under way; the table before it stays the base of the next one. */
  discard(): void {
    this.#sequence = undefined;
  }

  /** Takes the payload of one QRP message. Keeps no reference to `payload`. */
  receive(payload: Uint8Array): QrpEvent {
    switch (payload[0]) {
      case undefined:
        return { kind: 'ignored', reason: 'empty message' };
      case QrpVariant.RESET:
        return this.#reset(payload);
      case QrpVariant.PATCH:
        return this.#patch(payload);
      default:
        return { kind: 'ignored', reason: 'unknown variant' };
    }
  }

  #fault(reason: QrpFaultReason): QrpEvent {
    this.#bits = undefined;
    this.#sequence = undefined;
    this.#table = SlotSet.empty(MIN_USEFUL_TABLE_BITS);
    return { kind: 'fault', reason };
  }

  #reset(payload: Uint8Array): QrpEvent {
    if (payload.length !== RESET_BYTES) return { kind: 'ignored', reason: 'bad RESET length' };
    const [, b0 = 0, b1 = 0, b2 = 0, b3 = 0, infinity = 0] = payload;
    const slots = (b0 | (b1 << 8) | (b2 << 16) | (b3 << 24)) >>> 0;
    const bits = 31 - Math.clz32(slots);
    if (slots === 0 || slots !== 2 ** bits) return this.#fault('Invalid QRP table length');
    if (bits > MAX_TABLE_BITS) return this.#fault('QRP table too large');
    if (infinity === 0) return this.#fault('Invalid QRP infinity');
    this.#sequence = undefined;
    this.#bits = bits;
    this.#table = SlotSet.empty(Math.min(this.#maxBits, Math.max(bits, MIN_USEFUL_TABLE_BITS)));
    return RESET_EVENT;
  }

  #patch(payload: Uint8Array): QrpEvent {
    if (payload.length < MIN_PATCH_BYTES) return { kind: 'ignored', reason: 'short PATCH' };
    const bits = this.#bits;
    if (bits === undefined) return this.#fault('QRP patch without table');
    const [, number = 0, size = 0, compressor = 0, entryBits = 0] = payload;

    let sequence = this.#sequence;
    if (number !== (sequence?.next ?? 1) || number > size) return this.#fault('Invalid QRP sequence number');
    if (!isEntryBits(entryBits)) return this.#fault('Invalid QRP entry bits');
    if (sequence === undefined) {
      if (compressor !== Compressor.NONE && compressor !== Compressor.ZLIB) {
        return this.#fault('Invalid QRP compressor');
      }
      const decoder = new PatchDecoder(bits, entryBits, this.#table);
      const inflater = compressor === Compressor.ZLIB && size > 1 ? new PatchInflater(decoder) : undefined;
      sequence = { size, compressor, entryBits, decoder, inflater, next: 1, compressedBytes: 0 };
      this.#sequence = sequence;
    } else if (size !== sequence.size || compressor !== sequence.compressor || entryBits !== sequence.entryBits) {
      return this.#fault('Changed QRP sequence');
    }

    const data = payload.subarray(PATCH_HEADER_BYTES);
    const last = number === size;
    sequence.next++;
    if (sequence.compressor === Compressor.NONE) {
      if (!sequence.decoder.write(data)) return this.#fault('QRP patch overflowed');
    } else {
      const fault = inflate(sequence, data, patchDataBytes(bits, sequence.entryBits), last);
      if (fault !== undefined) return this.#fault(fault);
    }
    if (!last) return PARTIAL_EVENT;

    const table = sequence.decoder.finish();
    if (table === undefined) return this.#fault('Incomplete QRP patch');
    this.#sequence = undefined;
    this.#table = table;
    return { kind: 'updated', table };
  }
}

/** Inflates and applies a slice; gives the fault if that cannot be done. */
function inflate(sequence: Sequence, slice: Uint8Array, plainBytes: number, last: boolean): QrpFaultReason | undefined {
  const bound = Math.min(MAX_COMPRESSED_PATCH_BYTES, plainBytes + (plainBytes >>> 3) + COMPRESSION_SLACK_BYTES);
  sequence.compressedBytes += slice.length;
  if (sequence.compressedBytes > bound) return 'Compressed QRP patch too large';
  const verdict: InflateVerdict =
    sequence.inflater === undefined
      ? inflatePatch(slice, plainBytes, sequence.decoder)
      : sequence.inflater.write(slice);
  switch (verdict) {
    case 'more':
      return undefined;
    case 'end':
      // A stream that ends before the last slice is malformed.
      return last ? undefined : 'QRP patch cannot be inflated';
    case 'overflow':
      return 'QRP patch overflowed';
    case 'corrupt':
      return 'QRP patch cannot be inflated';
  }
}
