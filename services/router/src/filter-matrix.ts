import type { SlotSet } from '@filbert/gnutella';

/** log2 of the rows: a table of any size is folded onto this many slots. */
export const ROW_BITS = 14;
/** Columns (links) of one block. A block is 8 MiB and is never copied. */
export const BLOCK_COLUMNS = 4096;
const WORDS = BLOCK_COLUMNS / 32;
const ROWS = 1 << ROW_BITS;
const ROW_SHIFT = 32 - ROW_BITS;

interface Block {
  readonly rows: Uint32Array;
  /** Columns in use. */
  readonly used: Uint32Array;
  usedCount: number;
  /** One past the last word that holds a column in use. */
  words: number;
}

/**
 * A bit for every folded slot (row) of every link's table (column). A query's words are ANDed over whole rows, so one pass
 * finds the few links that can match at all; each is then confirmed on its exact table (docs/architecture.md, "Matching").
 */
export class FilterMatrix {
  readonly #blocks: Block[] = [];
  readonly #row = new Uint32Array(WORDS);

  /** Columns that exist: the least length of `find`'s output. */
  get columns(): number {
    return this.#blocks.length * BLOCK_COLUMNS;
  }

  /** Takes the lowest free column, so that few words have to be read; adds a block where all are taken. */
  allocate(): number {
    for (let b = 0; b < this.#blocks.length; b++) {
      const block = this.#blocks[b] as Block;
      if (block.usedCount < BLOCK_COLUMNS) return b * BLOCK_COLUMNS + takeFree(block);
    }
    const block: Block = {
      rows: new Uint32Array(ROWS * WORDS),
      used: new Uint32Array(WORDS),
      usedCount: 0,
      words: 0,
    };
    this.#blocks.push(block);
    return (this.#blocks.length - 1) * BLOCK_COLUMNS + takeFree(block);
  }

  /** Gives a column back. Its table must have been cleared. */
  release(column: number): void {
    const block = this.#blocks[Math.floor(column / BLOCK_COLUMNS)] as Block;
    const local = column % BLOCK_COLUMNS;
    block.used[local >>> 5] = (block.used[local >>> 5] as number) & ~(1 << (local & 31));
    block.usedCount--;
    while (block.words > 0 && block.used[block.words - 1] === 0) block.words--;
  }

  /** Writes the table into its column. */
  set(column: number, table: SlotSet): void {
    this.#write(column, table, true);
  }

  /** Clears a column by the very table that was written into it. */
  clear(column: number, table: SlotSet): void {
    this.#write(column, table, false);
  }

  /**
   * Columns whose folded table holds every word, or any of the URNs.
   * @param wordHashes full 32-bit QRP hashes, of which the first `words` count; likewise `urnHashes`
   * @param out at least `columns` long
   * @returns how many columns were written to `out`
   */
  find(wordHashes: Uint32Array, words: number, urnHashes: Uint32Array, urns: number, out: Uint32Array): number {
    let found = 0;
    const row = this.#row;
    for (let b = 0; b < this.#blocks.length; b++) {
      const { rows, words: width } = this.#blocks[b] as Block;
      if (words > 0) {
        let at = ((wordHashes[0] as number) >>> ROW_SHIFT) * WORDS;
        for (let i = 0; i < width; i++) row[i] = rows[at + i] as number;
        for (let w = 1; w < words; w++) {
          at = ((wordHashes[w] as number) >>> ROW_SHIFT) * WORDS;
          for (let i = 0; i < width; i++) row[i] = (row[i] as number) & (rows[at + i] as number);
        }
      } else {
        row.fill(0, 0, width);
      }
      for (let u = 0; u < urns; u++) {
        const at = ((urnHashes[u] as number) >>> ROW_SHIFT) * WORDS;
        for (let i = 0; i < width; i++) row[i] = (row[i] as number) | (rows[at + i] as number);
      }
      const base = b * BLOCK_COLUMNS;
      for (let i = 0; i < width; i++) {
        let bits = row[i] as number;
        while (bits !== 0) {
          const low = bits & -bits;
          out[found++] = base + (i << 5) + (31 - Math.clz32(low));
          bits ^= low;
        }
      }
    }
    return found;
  }

  #write(column: number, table: SlotSet, present: boolean): void {
    const { rows } = this.#blocks[Math.floor(column / BLOCK_COLUMNS)] as Block;
    const local = column % BLOCK_COLUMNS;
    const word = local >>> 5;
    const bit = 1 << (local & 31);
    const fold = table.bits - ROW_BITS;
    let done = -1;
    table.forEach((slot) => {
      const first = fold >= 0 ? slot >>> fold : slot << -fold;
      // Slots come in order: many of a large table fold onto one row.
      if (first === done) return;
      done = first;
      const last = fold >= 0 ? first : first + (1 << -fold) - 1;
      for (let r = first; r <= last; r++) {
        const at = r * WORDS + word;
        rows[at] = present ? (rows[at] as number) | bit : (rows[at] as number) & ~bit;
      }
    });
  }
}

function takeFree(block: Block): number {
  for (let i = 0; i < WORDS; i++) {
    const used = block.used[i] as number;
    if (used === 0xffffffff) continue;
    const free = ~used;
    const low = free & -free;
    block.used[i] = used | low;
    block.usedCount++;
    if (i >= block.words) block.words = i + 1;
    return (i << 5) + (31 - Math.clz32(low));
  }
  throw new Error('a block without a free column was asked for one');
}
