import type { PeerLink } from '../link/peer-link.ts';

/** Memory that patch sequences under way may hold, all links of the edge together (docs/protocol/12 §7). */
export const MAX_HALF_PATCH_BYTES = 64 * 1024 * 1024;

/** Why a patch sequence was forgotten before its end: labels of `filbert_connections_half_patches_dropped_total`. */
export const HALF_PATCH_DROP_REASONS = ['stalled', 'memory'] as const;
export type HalfPatchDropReason = (typeof HALF_PATCH_DROP_REASONS)[number];

/**
 * The links of which a patch sequence is under way, the one longest without a slice first, and what these hold. Each
 * sequence takes a window and a table, so that many slow peers together could take more than one of them may.
 */
export class HalfPatches {
  readonly dropped: Record<HalfPatchDropReason, number> = { stalled: 0, memory: 0 };
  readonly #maxBytes: number;
  readonly #held = new Map<PeerLink, number>();
  #bytes = 0;

  constructor(maxBytes = MAX_HALF_PATCH_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes held by all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A slice of this link's sequence was taken; where memory runs out, those longest without one are forgotten. */
  progressed(link: PeerLink): void {
    this.finished(link);
    const bytes = link.tables.heldBytes;
    this.#held.set(link, bytes);
    this.#bytes += bytes;
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.drop(oldest, 'memory');
    }
  }

  /** The link has no sequence under way any more. */
  finished(link: PeerLink): void {
    this.#bytes -= this.#held.get(link) ?? 0;
    this.#held.delete(link);
  }

  /** Forgets the sequence: a further slice of it is one out of order. */
  drop(link: PeerLink, reason: HalfPatchDropReason): void {
    this.finished(link);
    this.dropped[reason]++;
    link.halfPatchAt = undefined;
    link.tables.discard();
  }
}
