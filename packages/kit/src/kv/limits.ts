/** Longest time that the server may take to answer one call, in ms. */
export const KV_CALL_TIMEOUT_MS = 2_000;

/** Records of one bucket that are read at one time while it is listed. */
export const KV_READS_AT_ONCE = 32;

/** Longest value of any bucket, in bytes: below the 1 MiB that a NATS server takes in one message unless told otherwise. */
export const KV_MAX_VALUE_BYTES = 768 * 1024;

/** What a message of a bucket carries beside the value, in bytes: the headers of a conditional write. */
export const KV_HEADER_BYTES = 1024;

/** Between two attempts to open a bucket, in ms. */
export const KV_OPEN_INTERVAL_MS = 500;
