/**
 * Keys under which text that a person searched for, or a secret, could reach a log line. Their values are never logged, at
 * the top of the logged object or up to two levels inside it. What is logged of a query are its lengths and counts.
 */
export const REDACTED_KEYS = [
  'query',
  'queryText',
  'searchText',
  'searchTerms',
  'criteria',
  'keywords',
  'words',
  'token',
  'password',
  'authorization',
  'secret',
] as const;

/** Stands where a redacted value was. */
export const REDACTED = '[redacted]';

/** Paths in pino's syntax for `REDACTED_KEYS` at each level. */
export function redactedPaths(): string[] {
  return REDACTED_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);
}
