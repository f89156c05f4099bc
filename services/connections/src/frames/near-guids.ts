import { GUID_BYTES } from '@filbert/gnutella';

/** GUIDs of one link's queries that a new one is compared to, and for how long (conformance 183). */
export const NEAR_GUIDS = 20;
export const NEAR_GUID_MS = 500;
/** GUIDs that differ in so many bytes or fewer were counted up, not drawn at random. */
const NEAR_BYTES = 2;

const WORDS = GUID_BYTES / 4;
/** Words of an entry: the GUID, its hops plus one (0 is a free entry), the time in ms, which may wrap. */
const ENTRY = WORDS + 2;
const HOPS = WORDS;
const SEEN_AT = WORDS + 1;

/** The GUIDs of the last queries of one link, in a ring. */
export class NearGuids {
  readonly #entries = new Int32Array(NEAR_GUIDS * ENTRY);
  readonly #guid = new Int32Array(WORDS);
  /** Where the newest is. */
  #newest = 0;

  /**
   * Whether the GUID at `start` differs in one or two bytes from one that came just before with the same hops. If not, it is
   * noted. One that is the very same is not near: it is for the shard to know what to do with it.
   * @param now ms
   */
  isNear(bytes: Uint8Array, start: number, hops: number, now: number): boolean {
    const guid = this.#guid;
    for (let word = 0; word < WORDS; word++) guid[word] = wordAt(bytes, start + word * 4);
    const time = now | 0;
    const entries = this.#entries;
    let at = this.#newest;
    for (let i = 0; i < NEAR_GUIDS; i++) {
      const seenHops = entries[at + HOPS] as number;
      // The older ones came no later.
      if (seenHops === 0 || ((time - (entries[at + SEEN_AT] as number)) | 0) > NEAR_GUID_MS) break;
      if (seenHops === hops + 1) {
        const differ = bytesThatDiffer(entries, at, guid);
        if (differ > 0 && differ <= NEAR_BYTES) return true;
      }
      at = at === 0 ? entries.length - ENTRY : at - ENTRY;
    }
    const next = this.#newest + ENTRY;
    this.#newest = next === entries.length ? 0 : next;
    entries.set(guid, this.#newest);
    entries[this.#newest + HOPS] = hops + 1;
    entries[this.#newest + SEEN_AT] = time;
    return false;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** How many bytes of two GUIDs differ; counts no further than it takes to know that they are not near. */
function bytesThatDiffer(entries: Int32Array, at: number, guid: Int32Array): number {
  let differ = 0;
  for (let word = 0; word < WORDS && differ <= NEAR_BYTES; word++) {
    for (let bits = (entries[at + word] as number) ^ (guid[word] as number); bits !== 0; bits >>>= 8) {
      if ((bits & 0xff) !== 0) differ++;
    }
  }
  return differ;
}
