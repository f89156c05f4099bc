/** What a W3C `traceparent` says (https://www.w3.org/TR/trace-context/, version 00). */
export interface TraceParent {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero. */
  readonly spanId: string;
  readonly sampled: boolean;
}

const SAMPLED_FLAG = 1;
/** A version-00 header has exactly this length; later versions may add to it. */
const HEADER_CHARS = 55;
/** Longest header of a later version that is looked at. */
const MAX_HEADER_CHARS = 256;

/** Reads a `traceparent`; undefined where it is not one. Of later versions the known part is read, as the standard asks. */
export function parseTraceparent(text: string): TraceParent | undefined {
  if (text.length < HEADER_CHARS || text.length > MAX_HEADER_CHARS) return undefined;
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text);
  if (match === null) return undefined;
  const [, version = '', traceId = '', spanId = '', flags = '', rest] = match;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED_FLAG) !== 0 };
}

/** Writes a version-00 `traceparent`. */
export function formatTraceparent({ traceId, spanId, sampled }: TraceParent): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}
