/** What one inflating stream costs, bytes: its window and state. */
export const INFLATE_BYTES = 44 * 1024;
/** What one deflating stream costs with the window and memory level of `LinkDeflater`, bytes. */
export const DEFLATE_BYTES = 72 * 1024;

/** What one link took from the budget. */
export interface CompressionGrant {
  readonly inflate: boolean;
  readonly deflate: boolean;
  /** Gives it all back; further calls do nothing. */
  release(): void;
  /** Gives back what the handshake did not make use of. */
  keepOnly(used: { readonly inflate: boolean; readonly deflate: boolean }): void;
}

/** Bounds the memory that compressed links take together: a link that finds none left stays uncompressed. */
export class CompressionBudget {
  /** Links that were denied a stream. */
  denied = 0;
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes what there is for one link: first the inflating stream, which lets the peer save, then the other. */
  grant(): CompressionGrant {
    let inflate = this.#take(INFLATE_BYTES);
    let deflate = this.#take(DEFLATE_BYTES);
    return {
      get inflate() {
        return inflate;
      },
      get deflate() {
        return deflate;
      },
      release: () => {
        if (inflate) this.#usedBytes -= INFLATE_BYTES;
        if (deflate) this.#usedBytes -= DEFLATE_BYTES;
        inflate = false;
        deflate = false;
      },
      keepOnly: (used) => {
        if (inflate && !used.inflate) {
          this.#usedBytes -= INFLATE_BYTES;
          inflate = false;
        }
        if (deflate && !used.deflate) {
          this.#usedBytes -= DEFLATE_BYTES;
          deflate = false;
        }
      },
    };
  }

  #take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#limitBytes) {
      this.denied++;
      return false;
    }
    this.#usedBytes += bytes;
    return true;
  }
}
