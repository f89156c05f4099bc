import { deflateSync } from 'node:zlib';
import { GnutellaError } from '../errors.ts';
import { Descriptor, GUID_BYTES, HEADER_BYTES, MAX_PAYLOAD_BYTES, writeHeader } from '../header.ts';
import { difference } from './slot-set-operations.ts';
import { MAX_TABLE_BITS, type SlotSet } from './slot-set.ts';
import { Compressor, MIN_USEFUL_TABLE_BITS, PATCH_HEADER_BYTES, QrpVariant, RESET_BYTES } from './qrp-layout.ts';

const DEFAULT_INFINITY = 2;
const DEFAULT_SLICE_BYTES = 512;
/** The sequence size is one byte. */
const MAX_SLICES = 255;
const ENTRY_BITS = 4;
/** −1: from infinity 2 to 1, present. */
const SET_NIBBLE = 0xf;
/** +1: from 1 to infinity 2, absent. */
const CLEAR_NIBBLE = 0x1;
const ZERO_GUID = new Uint8Array(GUID_BYTES);

function frame(payloadBytes: number, guid: Uint8Array): Buffer {
  if (guid.length !== GUID_BYTES) throw new GnutellaError('bad-guid', `a GUID has 16 bytes, not ${guid.length}`);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payloadBytes);
  writeHeader(bytes, 0, guid, Descriptor.QRP, 1, 0, payloadBytes);
  return bytes;
}

function checkTableBits(bits: number): void {
  if (!Number.isInteger(bits) || bits < MIN_USEFUL_TABLE_BITS || bits > MAX_TABLE_BITS) {
    throw new GnutellaError('bad-qrp', `a table of 2^${bits} slots cannot be sent`);
  }
}

/**
 * A whole RESET frame (TTL 1, hops 0) that announces an empty table of 2^`bits` slots (docs/protocol/05-qrp.md §2).
 * Throws `bad-qrp` when `bits` is not within 3…24 or `infinity` not within 1…255.
 */
export function encodeReset(bits: number, infinity = DEFAULT_INFINITY, guid: Uint8Array = ZERO_GUID): Buffer {
  checkTableBits(bits);
  if (!Number.isInteger(infinity) || infinity < 1 || infinity > 0xff) {
    throw new GnutellaError('bad-qrp', `infinity ${infinity} is not within 1 to 255`);
  }
  const bytes = frame(RESET_BYTES, guid);
  bytes[HEADER_BYTES] = QrpVariant.RESET;
  bytes.writeUInt32LE(2 ** bits, HEADER_BYTES + 1);
  bytes[HEADER_BYTES + 5] = infinity;
  return bytes;
}

export interface PatchOptions {
  /** GUID of the frames; all zero if not given. */
  readonly guid?: Uint8Array;
  /** Data bytes per frame, 512 if not given; more where 255 frames would not suffice. */
  readonly sliceBytes?: number;
}

/**
 * Whole PATCH frames (TTL 1, hops 0) that turn the table `from`, which the peer has, into `to`: 4-bit entries, one
 * zlib stream where that is smaller (docs/protocol/05-qrp.md §2, gtk-gnutella's form).
 * @param from undefined right after a RESET: then an empty `to` gives an all-zero patch, else no change gives no frame
 * Throws `bad-qrp` when the sizes differ, for which a RESET is needed, or `to` has fewer than 8 slots.
 */
export function encodePatches(from: SlotSet | undefined, to: SlotSet, options: PatchOptions = {}): Buffer[] {
  checkTableBits(to.bits);
  if (from !== undefined && from.bits !== to.bits) {
    throw new GnutellaError('bad-qrp', `no patch leads from 2^${from.bits} to 2^${to.bits} slots`);
  }
  const { set, cleared } = difference(from, to);
  if (from !== undefined && set.length === 0 && cleared.length === 0) return [];

  const entries = new Uint8Array((2 ** to.bits * ENTRY_BITS) / 8);
  writeNibbles(entries, set, SET_NIBBLE);
  writeNibbles(entries, cleared, CLEAR_NIBBLE);
  const deflated = deflateSync(entries);
  const smaller = deflated.length < entries.length;
  const data = smaller ? deflated : entries;
  return slicePatch(data, smaller ? Compressor.ZLIB : Compressor.NONE, options);
}

/** High nibble first: slot 0 is the high nibble of byte 0. */
function writeNibbles(entries: Uint8Array, slots: Uint32Array, nibble: number): void {
  for (const slot of slots) {
    entries[slot >> 1] = (entries[slot >> 1] as number) | ((slot & 1) === 0 ? nibble << 4 : nibble);
  }
}

function slicePatch(data: Uint8Array, compressor: number, options: PatchOptions): Buffer[] {
  const guid = options.guid ?? ZERO_GUID;
  const wanted = Math.floor(options.sliceBytes ?? DEFAULT_SLICE_BYTES);
  const needed = Math.ceil(data.length / MAX_SLICES);
  const sliceBytes = Math.min(Math.max(1, wanted, needed), MAX_PAYLOAD_BYTES - PATCH_HEADER_BYTES);
  const total = Math.ceil(data.length / sliceBytes);
  const frames: Buffer[] = [];
  for (let sequence = 1; sequence <= total; sequence++) {
    const slice = data.subarray((sequence - 1) * sliceBytes, sequence * sliceBytes);
    const bytes = frame(PATCH_HEADER_BYTES + slice.length, guid);
    bytes[HEADER_BYTES] = QrpVariant.PATCH;
    bytes[HEADER_BYTES + 1] = sequence;
    bytes[HEADER_BYTES + 2] = total;
    bytes[HEADER_BYTES + 3] = compressor;
    bytes[HEADER_BYTES + 4] = ENTRY_BITS;
    bytes.set(slice, HEADER_BYTES + PATCH_HEADER_BYTES);
    frames.push(bytes);
  }
  return frames;
}
