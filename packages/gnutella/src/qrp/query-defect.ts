/** Why a QUERY is dropped unread, docs/protocol/02-messages.md §9 and 03-ggep-huge.md §2, §6. */
export const QueryDefect = {
  /** Nothing is wrong. */
  none: 0,
  /** Payload under 4 bytes. */
  tooShort: 1,
  /** Payload over `MAX_QUERY_BYTES`. */
  tooLong: 2,
  /** The text has no NUL. */
  noTerminator: 3,
  /** The text is no UTF-8, or nothing but a byte order mark. */
  badUtf8: 4,
  /** The flags are zero. */
  noFlags: 5,
  /** The extension area contains runs of separators. */
  badExtensions: 6,
  /** A `urn:` or SHA-1 is malformed. */
  badUrn: 7,
  /** Under two bytes of text and no SHA-1. */
  tooLittle: 8,
  /** "What's New" together with a SHA-1. */
  whatsNewWithUrn: 9,
} as const;

export type QueryDefect = (typeof QueryDefect)[keyof typeof QueryDefect];
