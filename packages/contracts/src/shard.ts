// Which shard owns a GUID.

/** Offset of the four GUID bytes that no known vendor or out-of-band form rewrites. */
export const SHARD_BYTES_OFFSET = 9;

/** Length of the node secret that keys the shard hash, in bytes. */
export const NODE_SECRET_BYTES = 16;

/** Maps GUIDs to shards by a keyed hash, so that peers cannot aim their GUIDs at one shard. */
export class ShardMap {
  readonly shards: number;
  readonly version: number;
  readonly #key0: number;
  readonly #key1: number;

  /** @param nodeSecret `NODE_SECRET_BYTES` bytes, the same in every service of the node */
  constructor(shards: number, version: number, nodeSecret: Uint8Array) {
    const view = new DataView(nodeSecret.buffer, nodeSecret.byteOffset, nodeSecret.byteLength);
    this.shards = shards;
    this.version = version;
    this.#key0 = view.getUint32(0, true);
    this.#key1 = view.getUint32(4, true) | 1;
  }

  /** The shard of the 16-byte GUID that starts at `start`. */
  shardOf(bytes: Uint8Array, start: number): number {
    if (this.shards === 1) return 0;
    const at = start + SHARD_BYTES_OFFSET;
    let h =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    h = Math.imul(h ^ this.#key0, this.#key1);
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return ((h ^ (h >>> 16)) >>> 0) % this.shards;
  }
}
