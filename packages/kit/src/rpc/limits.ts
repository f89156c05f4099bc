/** Largest message that is sent or taken, in bytes. Lists are streams, so single messages are small. */
export const MAX_RPC_MESSAGE_BYTES = 1024 * 1024;
/** Most calls under way on one connection. */
export const MAX_STREAMS_PER_CONNECTION = 64;
/** Most calls under way on one server; further ones are refused as `resource-exhausted`. */
export const MAX_CALLS_PER_SERVER = 256;
/** Longest time a unary call may take on the server, whatever its caller allows, in ms. */
export const MAX_UNARY_CALL_MS = 60_000;
/** Longest time a stream may be open on the server, whatever its caller allows, in ms. */
export const MAX_STREAM_CALL_MS = 24 * 3_600_000;
/** Most messages that a caller takes from one stream unless it says otherwise. */
export const MAX_STREAM_MESSAGES = 100_000;
/** How long a stopping server lets calls end by themselves, in ms. */
export const RPC_DRAIN_MS = 5_000;
/** Shortest token that is worth the name, in characters. */
export const MIN_TOKEN_CHARS = 16;
