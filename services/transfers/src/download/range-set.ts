/** Ranges of one set; far more than sources and chunks leave behind. Beyond it `add` refuses. */
export const MAX_RANGES = 16_384;

/** Bytes `[start, end)`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A set of bytes of a file, as ascending ranges that do not touch. */
export class RangeSet {
  #ranges: Range[] = [];
  #bytes = 0;

  /** The set of those ranges; what is no range of whole numbers is left out. */
  static from(ranges: Iterable<Range>): RangeSet {
    const set = new RangeSet();
    for (const { start, end } of ranges) {
      if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0) set.add(start, end);
    }
    return set;
  }

  /** Number of bytes in the set. */
  get bytes(): number {
    return this.#bytes;
  }

  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** Adds `[start, end)`. False where the set has too many ranges to take another. */
  add(start: number, end: number): boolean {
    if (end <= start) return true;
    const from = this.#firstEndingAt(start);
    let to = from;
    let merged: Range = { start, end };
    for (let range = this.#ranges[to]; range !== undefined && range.start <= end; range = this.#ranges[++to]) {
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
      this.#bytes -= range.end - range.start;
    }
    if (from === to && this.#ranges.length >= MAX_RANGES) return false;
    this.#ranges.splice(from, to - from, merged);
    this.#bytes += merged.end - merged.start;
    return true;
  }

  /** Whether all of `[start, end)` is in the set. */
  covers(start: number, end: number): boolean {
    if (end <= start) return true;
    const range = this.#ranges[this.#firstEndingAt(start + 1)];
    return range !== undefined && range.start <= start && range.end >= end;
  }

  /** The first stretch within `[from, size)` that is not in the set. */
  firstGap(from: number, size: number): Range | undefined {
    let start = from;
    for (let i = this.#firstEndingAt(from); i < this.#ranges.length; i++) {
      const range = this.#ranges[i];
      if (range === undefined || range.start >= size) break;
      if (range.start > start) return { start, end: range.start };
      start = Math.max(start, range.end);
    }
    return start < size ? { start, end: size } : undefined;
  }

  /** The bytes of the set that lie before `size`. */
  cutAt(size: number): RangeSet {
    return RangeSet.from(this.#ranges.map(({ start, end }) => ({ start, end: Math.min(end, size) })));
  }

  /** Index of the first range whose end is at `at` or behind it. */
  #firstEndingAt(at: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.end ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
