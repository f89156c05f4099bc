import { deflateSync, inflateSync } from 'node:zlib';

/** Query route tables as the raw peers write and read them (protocol page 05), apart from packages/gnutella's. */

/** The largest table a raw peer takes from the node, in slots: 2^21 (protocol page 05 §3). */
const MAX_SLOTS = 2 ** 21;

/** The slot of a word in a table of 2^`bits` slots (protocol page 05 §1.3). The word is lower-cased, not split. */
export function rawHash(word: string, bits: number): number {
  const text = word.toLowerCase();
  let x = 0;
  for (let i = 0; i < text.length; i++) x ^= (text.charCodeAt(i) & 0xff) << ((i * 8) & 24);
  return Math.imul(x, 0x4f1bbcdc) >>> (32 - bits);
}

/** A word and what gtk-gnutella inserts beside it: up to five cuts that leave over 3 bytes (protocol page 05 §1.2). */
export function rawPrefixes(word: string): string[] {
  const all = [word];
  const characters = [...word];
  for (let cut = 1; cut <= 5; cut++) {
    const shorter = characters.slice(0, Math.max(0, characters.length - cut)).join('');
    if (Buffer.byteLength(shorter) <= 3) break;
    all.push(shorter);
  }
  return all;
}

/** What a table holds. */
export interface RawTableContent {
  /** log2 of the number of slots. */
  bits: number;
  words?: readonly string[];
  /** Hashed whole, `urn:sha1:…`. */
  urns?: readonly string[];
  /** Whether the prefixes of the words are inserted too; default true. */
  prefixes?: boolean;
}

/** The slots that the content sets, ascending and once each. */
export function tableSlots(content: RawTableContent): number[] {
  const words = content.words ?? [];
  const strings = [...((content.prefixes ?? true) ? words.flatMap(rawPrefixes) : words), ...(content.urns ?? [])];
  return [...new Set(strings.map((string) => rawHash(string, content.bits)))].sort((a, b) => a - b);
}

/** How a patch is written. */
export interface RawPatchForm {
  /** Bits of an entry; default 4. With 1 the patch is an XOR mask. */
  entryBits?: 1 | 2 | 4 | 8;
  /** Whether the whole is one zlib stream; default true. */
  compress?: boolean;
  /** Number of messages that the data is cut into, 1 to 255; default 1. */
  slices?: number;
  /** The magnitude of an entry: 1 as gtk-gnutella (the default), 6 as LimeWire; 2-bit entries have only 1. */
  delta?: number;
}

/** The payload of a RESET (protocol page 05 §2). */
export function resetPayload(slots: number, infinity: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt32LE(slots, 1);
  payload[5] = infinity;
  return payload;
}

/**
 * The payloads of one patch sequence that sets and clears slots of a table of 2^`bits` slots (protocol page 05 §2).
 * In 8, 4 and 2 bits a negative entry sets and a positive one clears; in 1 bit both flip.
 */
export function patchPayloads(
  bits: number,
  set: readonly number[],
  clear: readonly number[],
  form: RawPatchForm = {},
): Buffer[] {
  const entryBits = form.entryBits ?? 4;
  const delta = form.delta ?? 1;
  const plain = Buffer.alloc(Math.max(1, (2 ** bits * entryBits) / 8));
  const put = (slot: number, value: number): void => {
    const bit = slot * entryBits;
    const shift = 8 - entryBits - (bit & 7);
    const at = bit >> 3;
    plain[at] = (plain[at] ?? 0) | ((value & (2 ** entryBits - 1)) << shift);
  };
  for (const slot of set) put(slot, entryBits === 1 ? 1 : -delta);
  for (const slot of clear) put(slot, delta);
  const compress = form.compress ?? true;
  const data = compress ? deflateSync(plain) : plain;
  const slices = form.slices ?? 1;
  const sliceBytes = Math.ceil(data.length / slices);
  return Array.from({ length: slices }, (_, i) =>
    Buffer.concat([
      Buffer.of(1, i + 1, slices, compress ? 1 : 0, entryBits),
      data.subarray(i * sliceBytes, (i + 1) * sliceBytes),
    ]),
  );
}

/**
 * The table that the node sends to a peer, decoded message by message (protocol page 05 §2 and §3). A sequence takes
 * effect when its last slice came; what breaks the page's rules is kept in `errors`.
 */
export class RawTable {
  /** log2 of the slots, or undefined before the first RESET. */
  bits: number | undefined;
  /** The slots that are set. */
  slots = new Set<number>();
  /** Patch sequences completed since the start. */
  completed = 0;
  resets = 0;
  readonly errors: string[] = [];
  #slices: Buffer[] = [];
  #form = '';

  /** Whether the word's slot is set. */
  has(word: string): boolean {
    return this.bits !== undefined && this.slots.has(rawHash(word, this.bits));
  }

  /** Takes the payload of one QRP message. */
  apply(payload: Buffer): void {
    if (payload[0] === 0) this.#reset(payload);
    else if (payload[0] === 1) this.#patch(payload);
    else this.errors.push(`sub-type ${payload[0] ?? -1}`);
  }

  #reset(payload: Buffer): void {
    const slots = payload.length === 6 ? payload.readUInt32LE(1) : 0;
    if (slots === 0 || slots > MAX_SLOTS || (slots & (slots - 1)) !== 0 || payload[5] === 0) {
      this.errors.push(`RESET ${payload.toString('hex')}`);
      return;
    }
    this.resets++;
    this.bits = Math.log2(slots);
    this.slots = new Set();
    this.#slices = [];
  }

  #patch(payload: Buffer): void {
    if (this.bits === undefined || payload.length < 5) {
      this.errors.push(this.bits === undefined ? 'PATCH before RESET' : 'short PATCH');
      return;
    }
    const [, number, count, compressor, entryBits] = payload;
    const form = `${count ?? 0} ${compressor ?? 0} ${entryBits ?? 0}`;
    if (number !== this.#slices.length + 1 || (this.#slices.length > 0 && form !== this.#form)) {
      this.errors.push(`PATCH ${number ?? 0} of ${form} after ${this.#slices.length} of ${this.#form}`);
      return;
    }
    this.#form = form;
    this.#slices.push(payload.subarray(5));
    if (number !== count) return;
    const data = Buffer.concat(this.#slices);
    this.#slices = [];
    this.#install(data, compressor === 1, entryBits ?? 0, this.bits);
  }

  #install(data: Buffer, compressed: boolean, entryBits: number, bits: number): void {
    if (![1, 2, 4, 8].includes(entryBits)) {
      this.errors.push(`entries of ${entryBits} bits`);
      return;
    }
    const expected = Math.max(1, (2 ** bits * entryBits) / 8);
    let plain = data;
    if (compressed) {
      try {
        plain = inflateSync(data, { maxOutputLength: expected + 1 });
      } catch (error) {
        this.errors.push(`zlib: ${String(error)}`);
        return;
      }
    }
    if (plain.length !== expected) {
      this.errors.push(`PATCH of ${plain.length} bytes for ${expected}`);
      return;
    }
    for (let at = 0; at < plain.length; at++) {
      const byte = plain[at] ?? 0;
      if (byte === 0) continue;
      for (let shift = 8 - entryBits, slot = (at * 8) / entryBits; shift >= 0; shift -= entryBits, slot++) {
        this.#entry(slot, (byte >> shift) & (2 ** entryBits - 1), entryBits);
      }
    }
    this.completed++;
  }

  #entry(slot: number, value: number, entryBits: number): void {
    if (value === 0) return;
    const sets = entryBits === 1 ? !this.slots.has(slot) : value >= 2 ** (entryBits - 1);
    if (sets) this.slots.add(slot);
    else this.slots.delete(slot);
  }
}
