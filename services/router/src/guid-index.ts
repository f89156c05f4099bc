import { randomBytes } from 'node:crypto';
import { GUID_BYTES } from '@filbert/gnutella';

interface Entry<T> {
  readonly guid: Uint8Array;
  value: T;
  next: Entry<T> | undefined;
}

/**
 * Values by GUID, looked up by its bytes where they lie: a look-up makes neither string nor object. The hash is keyed, so
 * that peers cannot make GUIDs collide on purpose. Holds what its owner puts in and takes out again.
 */
export class GuidIndex<T> {
  readonly #buckets = new Map<number, Entry<T>>();
  readonly #secret0: number;
  readonly #secret1: number;
  #size = 0;

  constructor() {
    const secret = randomBytes(8);
    this.#secret0 = secret.readInt32LE(0);
    this.#secret1 = secret.readInt32LE(4) | 1;
  }

  get size(): number {
    return this.#size;
  }

  /** The value of the 16-byte GUID at `start`. */
  get(bytes: Uint8Array, start: number): T | undefined {
    return this.#find(bytes, start)?.value;
  }

  /** Sets the value of a GUID, 16 bytes. They are copied. */
  set(guid: Uint8Array, value: T): void {
    const known = this.#find(guid, 0);
    if (known !== undefined) {
      known.value = value;
      return;
    }
    const hash = this.#hash(guid, 0);
    const next = this.#buckets.get(hash);
    this.#buckets.set(hash, { guid: new Uint8Array(guid.subarray(0, GUID_BYTES)), value, next });
    this.#size++;
  }

  delete(guid: Uint8Array): void {
    const hash = this.#hash(guid, 0);
    let before: Entry<T> | undefined;
    for (let entry = this.#buckets.get(hash); entry !== undefined; before = entry, entry = entry.next) {
      if (!isAt(guid, 0, entry.guid)) continue;
      if (before !== undefined) before.next = entry.next;
      else if (entry.next !== undefined) this.#buckets.set(hash, entry.next);
      else this.#buckets.delete(hash);
      this.#size--;
      return;
    }
  }

  #find(bytes: Uint8Array, start: number): Entry<T> | undefined {
    let entry = this.#buckets.get(this.#hash(bytes, start));
    while (entry !== undefined && !isAt(bytes, start, entry.guid)) entry = entry.next;
    return entry;
  }

  /** 30 bits, so that it is a small integer. */
  #hash(bytes: Uint8Array, start: number): number {
    let hash = this.#secret0;
    for (let i = 0; i < GUID_BYTES; i++) {
      hash = Math.imul(hash ^ (bytes[start + i] as number), this.#secret1);
      hash ^= hash >>> 15;
    }
    return hash & 0x3fffffff;
  }
}

function isAt(bytes: Uint8Array, start: number, guid: Uint8Array): boolean {
  for (let i = 0; i < GUID_BYTES; i++) if (bytes[start + i] !== guid[i]) return false;
  return true;
}
