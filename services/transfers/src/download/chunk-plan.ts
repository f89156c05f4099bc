import type { Range, RangeSet } from './range-set.ts';

/** Longest stretch asked of one source at a time, in bytes: what a slow source can hold back. */
export const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * The next stretch to ask for: the first that is neither written nor being fetched.
 * @param size undefined while unknown: then one source finds out, and the others wait
 */
export function nextChunk(
  written: RangeSet,
  fetching: ReadonlySet<Range>,
  size: number | undefined,
): Range | undefined {
  if (size === undefined) return fetching.size > 0 ? undefined : { start: 0, end: CHUNK_BYTES };
  let from = 0;
  for (;;) {
    const gap = written.firstGap(from, size);
    if (gap === undefined) return undefined;
    const taken = firstOverlap(gap, fetching);
    if (taken === undefined || taken.start > gap.start) {
      const end = Math.min(gap.end, taken?.start ?? gap.end, gap.start + CHUNK_BYTES);
      return { start: gap.start, end };
    }
    from = taken.end;
  }
}

function firstOverlap(gap: Range, fetching: ReadonlySet<Range>): Range | undefined {
  let first: Range | undefined;
  for (const range of fetching) {
    const overlaps = range.start < gap.end && range.end > gap.start;
    if (overlaps && (first === undefined || range.start < first.start)) first = range;
  }
  return first;
}
