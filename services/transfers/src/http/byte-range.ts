// Ranges in requests and answers (docs/protocol/08-push-and-transfers.md §4.2). Ends are inclusive, as on the wire.

/** A range of bytes, both ends inclusive. */
export interface ByteSpan {
  readonly first: number;
  readonly last: number;
}

export type RangeResult =
  { readonly kind: 'whole' | 'malformed' | 'unsatisfiable' } | { readonly kind: 'span'; readonly span: ByteSpan };

// No two neighbouring parts may both take white space: else a line full of it takes the square or the cube of its length.
const RANGE = /^\s*bytes(?:\s*=\s*|\s+)(?:(\d{1,15})\s*)?-\s*(?:(\d{1,15})\s*)?(?:,.*)?$/i;
const CONTENT_RANGE = /^\s*bytes(?:\s*=\s*|\s+)(\d{1,15})\s*-\s*(\d{1,15})\s*\/\s*(\d{1,15}|\*)\s*$/i;

/**
 * What a `Range` header asks of a file of `size` bytes: `bytes=a-b`, `a-` or `-n`, of several the first. A suffix longer
 * than the file is the whole of it; an end beyond the file is cut.
 */
export function resolveRange(header: string | undefined, size: number): RangeResult {
  if (header === undefined) return { kind: 'whole' };
  const match = RANGE.exec(header);
  if (match === null) return { kind: 'malformed' };
  const [, from = '', to = ''] = match;
  if (from === '') {
    if (to === '') return { kind: 'malformed' };
    const count = Math.min(Number(to), size);
    return count === 0 ? { kind: 'unsatisfiable' } : spanOf(size - count, size - 1);
  }
  const first = Number(from);
  const last = to === '' ? size - 1 : Number(to);
  if (to !== '' && last < first) return { kind: 'malformed' };
  return first >= size ? { kind: 'unsatisfiable' } : spanOf(first, Math.min(last, size - 1));
}

/** Reads `Content-Range: bytes a-b/total`, the old `bytes=a-b/total` and an unknown total `*`; undefined for others. */
export function parseContentRange(
  header: string,
): { readonly span: ByteSpan; readonly total: number | undefined } | undefined {
  const match = CONTENT_RANGE.exec(header);
  if (match === null) return undefined;
  const span = { first: Number(match[1]), last: Number(match[2]) };
  const total = match[3] === '*' ? undefined : Number(match[3]);
  if (span.last < span.first || (total !== undefined && span.last >= total)) return undefined;
  return { span, total };
}

function spanOf(first: number, last: number): RangeResult {
  return { kind: 'span', span: { first, last } };
}
