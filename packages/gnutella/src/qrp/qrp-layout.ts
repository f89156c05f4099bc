// Layout of the two QRP messages, docs/protocol/05-qrp.md §2.

/** Byte 0 of the payload. */
export const QrpVariant = { RESET: 0, PATCH: 1 } as const;

/** Byte 3 of a PATCH. */
export const Compressor = { NONE: 0, ZLIB: 1 } as const;

/** A RESET's payload has exactly this many bytes. */
export const RESET_BYTES = 6;
/** Bytes of a PATCH before its data. */
export const PATCH_HEADER_BYTES = 5;
/** A PATCH's payload has at least this many bytes. */
export const MIN_PATCH_BYTES = 6;
/** Tables of fewer than 2^3 slots are useless: never routed by, never merged (§3). */
export const MIN_USEFUL_TABLE_BITS = 3;
