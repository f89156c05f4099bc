// Every bound of the handshake (docs/protocol/01-handshake.md §2 and §7, 12-quirks-and-abuse.md §11).

/** Longest line accepted in a peer's block, in bytes, without its line end. */
export const MAX_LINE_BYTES = 1024;

/** Most header lines accepted in a peer's block; continuation lines count, the start line does not. */
export const MAX_HEADER_LINES = 128;

/** Largest block accepted from a peer, in bytes, from the start line to the blank line. */
export const MAX_BLOCK_BYTES = 16_384;

/** Our own blocks stay below this many headers: LimeWire reads no more than 30. */
export const MAX_OWN_HEADERS = 29;

/** Our own blocks stay below this many bytes, the crawler's answer excepted. */
export const MAX_OWN_BLOCK_BYTES = 4095;

/** Most bytes that Peers and Leaves take together in the answer to a crawler (§7). */
export const MAX_CRAWLER_LIST_BYTES = 8192;

/** Most hosts put into one X-Try-Ultrapeers header (§4). */
export const MAX_HOSTS_SENT = 10;

/** Most addresses taken out of one header that names the peer's own addresses. */
export const MAX_LISTEN_ADDRESSES = 4;

/** Most tokens taken out of X-Features, Accept or a coding header. */
export const MAX_TOKENS_READ = 32;

/** Longest User-Agent kept, in characters. */
export const MAX_USER_AGENT_CHARS = 200;

/** Longest reason put on or kept from a status line, in characters. */
export const MAX_REASON_CHARS = 200;
