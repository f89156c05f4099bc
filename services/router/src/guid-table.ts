import { randomBytes } from 'node:crypto';

const EMPTY = 0;
const USED = 1;
/** Share of the slots that may be in use before a generation counts as full. */
const MAX_LOAD = 0.75;

export interface GuidTableOptions {
  /** Most entries of one generation; the table holds two generations. */
  readonly maxEntries: number;
  /** u32 values kept with each GUID. */
  readonly width: number;
  /** A generation older than this is replaced at the next insertion, ms. */
  readonly generationMs: number;
  readonly now: () => number;
}

/**
 * GUIDs with a few numbers each, in two generations: an entry lives through one change of generations and dies at the
 * second unless it was promoted (docs/protocol/06 §1, conformance 23 and 24). Open addressing in typed arrays, keyed so
 * that peers cannot make GUIDs collide on purpose; no object an entry.
 *
 * A handle is good until the next `insert` or `promote`.
 */
export class GuidTable {
  /** Entries that left because their generation was replaced. */
  expired = 0;
  /** Generations replaced because they were full and not because of their age. */
  fullRotations = 0;

  readonly #capacity: number;
  readonly #mask: number;
  readonly #maxEntries: number;
  readonly #width: number;
  readonly #generationMs: number;
  readonly #now: () => number;
  readonly #keys: Uint32Array;
  readonly #state: Uint8Array;
  readonly #values: Uint32Array;
  readonly #counts = [0, 0];
  /** Values of the entry that is being promoted. */
  readonly #saved: Uint32Array;
  /** Entries of the older generation that live on in the younger one. */
  #promoted = 0;
  readonly #secret0: number;
  readonly #secret1: number;
  #young = 0;
  #youngSince: number;
  #w0 = 0;
  #w1 = 0;
  #w2 = 0;
  #w3 = 0;

  constructor(options: GuidTableOptions) {
    let capacity = 16;
    while (capacity * MAX_LOAD < options.maxEntries) capacity *= 2;
    this.#capacity = capacity;
    this.#mask = capacity - 1;
    this.#maxEntries = options.maxEntries;
    this.#width = options.width;
    this.#generationMs = options.generationMs;
    this.#now = options.now;
    this.#keys = new Uint32Array(capacity * 2 * 4);
    this.#state = new Uint8Array(capacity * 2);
    this.#values = new Uint32Array(capacity * 2 * options.width);
    this.#saved = new Uint32Array(options.width);
    const secret = randomBytes(8);
    this.#secret0 = secret.readInt32LE(0);
    this.#secret1 = secret.readInt32LE(4) | 1;
    this.#youngSince = options.now();
  }

  /** GUIDs held. */
  get size(): number {
    return (this.#counts[0] as number) + (this.#counts[1] as number) - this.#promoted;
  }

  /** @returns a handle for the 16-byte GUID at `start`, or -1 */
  find(bytes: Uint8Array, start: number): number {
    const slot = this.#load(bytes, start);
    const young = this.#probe(this.#young, slot);
    return young >= 0 ? young : this.#probe(1 - this.#young, slot);
  }

  /** Adds a GUID that is not there, all values 0. Replaces the older generation where the younger is full or old. */
  insert(bytes: Uint8Array, start: number): number {
    this.#rotateIfDue();
    return this.#place(this.#load(bytes, start));
  }

  /** Moves an entry to the younger generation, because it proved useful. */
  promote(handle: number): number {
    if (this.#generationOf(handle) === this.#young) return handle;
    const from = handle * this.#width;
    for (let i = 0; i < this.#width; i++) this.#saved[i] = this.#values[from + i] as number;
    const key = handle * 4;
    this.#w0 = this.#keys[key] as number;
    this.#w1 = this.#keys[key + 1] as number;
    this.#w2 = this.#keys[key + 2] as number;
    this.#w3 = this.#keys[key + 3] as number;
    // The old copy stays where it is and dies with its generation: the younger one is always found first.
    if (this.#rotateIfDue()) this.expired--;
    else this.#promoted++;
    const moved = this.#place(this.#slot());
    this.#values.set(this.#saved, moved * this.#width);
    return moved;
  }

  get(handle: number, column: number): number {
    return this.#values[handle * this.#width + column] as number;
  }

  set(handle: number, column: number, value: number): void {
    this.#values[handle * this.#width + column] = value;
  }

  /**
   * Replaces the older generation where its time has come.
   * @returns whether it did
   */
  #rotateIfDue(): boolean {
    const full = (this.#counts[this.#young] as number) >= this.#maxEntries;
    if (!full && this.#now() - this.#youngSince < this.#generationMs) return false;
    if (full) this.fullRotations++;
    const old = 1 - this.#young;
    this.expired += (this.#counts[old] as number) - this.#promoted;
    this.#promoted = 0;
    this.#counts[old] = 0;
    this.#state.fill(EMPTY, old * this.#capacity, (old + 1) * this.#capacity);
    this.#young = old;
    this.#youngSince = this.#now();
    return true;
  }

  #generationOf(handle: number): number {
    return handle < this.#capacity ? 0 : 1;
  }

  #load(bytes: Uint8Array, start: number): number {
    this.#w0 = word(bytes, start);
    this.#w1 = word(bytes, start + 4);
    this.#w2 = word(bytes, start + 8);
    this.#w3 = word(bytes, start + 12);
    return this.#slot();
  }

  #slot(): number {
    let h = Math.imul(this.#w0 ^ this.#secret0, this.#secret1);
    h = Math.imul(h ^ this.#w1 ^ (h >>> 15), 0x85ebca6b);
    h = Math.imul(h ^ this.#w2 ^ (h >>> 13), 0xc2b2ae35);
    h = Math.imul(h ^ this.#w3 ^ (h >>> 16), 0x27d4eb2f);
    return (h ^ (h >>> 15)) & this.#mask;
  }

  #probe(generation: number, first: number): number {
    const base = generation * this.#capacity;
    for (let slot = first; ; slot = (slot + 1) & this.#mask) {
      const handle = base + slot;
      if (this.#state[handle] === EMPTY) return -1;
      const key = handle * 4;
      if (
        this.#keys[key] === this.#w0 &&
        this.#keys[key + 1] === this.#w1 &&
        this.#keys[key + 2] === this.#w2 &&
        this.#keys[key + 3] === this.#w3
      ) {
        return handle;
      }
    }
  }

  #place(first: number): number {
    const base = this.#young * this.#capacity;
    let slot = first;
    while (this.#state[base + slot] !== EMPTY) slot = (slot + 1) & this.#mask;
    const handle = base + slot;
    this.#state[handle] = USED;
    const key = handle * 4;
    this.#keys[key] = this.#w0;
    this.#keys[key + 1] = this.#w1;
    this.#keys[key + 2] = this.#w2;
    this.#keys[key + 3] = this.#w3;
    this.#values.fill(0, handle * this.#width, (handle + 1) * this.#width);
    (this.#counts[this.#young] as number)++;
    return handle;
  }
}

function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}
