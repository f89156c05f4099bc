// Every bound of the bus, in one place.

/** Messages that may wait for one subscription of the in-process bus. Further ones are dropped for that subscription. */
export const IN_PROCESS_QUEUE_MESSAGES = 8192;

/** Deliveries of the in-process bus after which the event loop gets a turn, so that a busy bus cannot starve sockets. */
export const IN_PROCESS_DELIVERIES_PER_TURN = 512;

/** Subjects whose subscribers the in-process bus remembers; found anew once forgotten. */
export const IN_PROCESS_CACHED_ROUTES = 4096;

/** Handlers that may be under way (their promises not settled) on one bus. Messages for further ones are dropped. */
export const MAX_HANDLERS_IN_PROGRESS = 10_000;

/** Requests that one bus may have under way. Further ones fail with `refused`. */
export const MAX_PENDING_REQUESTS = 10_000;

/** Topic names counted apart; any further ones are counted together as `other`. */
export const MAX_COUNTED_TOPICS = 256;

/** Longest time that `drain` takes. */
export const DRAIN_TIMEOUT_MS = 5000;

/** Bytes a stream writer may have outstanding, unless its options say otherwise. */
export const DEFAULT_OUTSTANDING_BYTES = 1024 * 1024;

/** Age of the oldest outstanding message from which a stream writer has no credit, unless its options say otherwise. */
export const DEFAULT_OUTSTANDING_MS = 250;

/** Messages that a stream writer may have outstanding, whatever their size. */
export const OUTSTANDING_MESSAGES = 2048;

/** How often a writer without credit lets one message through, for a reader that came back to report. */
export const PROBE_INTERVAL_MS = 100;

/** How often a stream reader reports to its writers what it has done. */
export const REPORT_INTERVAL_MS = 20;

/** Messages of one writer whose handlers may be under way at a stream reader. Further ones are dropped. */
export const READER_IN_FLIGHT_MESSAGES = 2048;

/** Writers that one stream reader keeps track of. The one heard of first is forgotten for a new one. */
export const READER_TRACKED_WRITERS = 1024;

/** Bytes published over one NATS connection that the server has not yet confirmed to have read. Further ones are dropped. */
export const NATS_UNCONFIRMED_BYTES = 16 * 1024 * 1024;

/** Unconfirmed bytes from which the server is asked to confirm. */
export const NATS_CONFIRM_BYTES = 1024 * 1024;

/** Time between the pings that find a dead NATS connection, and how many may stay without an answer. */
export const NATS_PING_INTERVAL_MS = 2000;
export const NATS_PINGS_UNANSWERED = 2;

/** Longest time that one attempt to connect to one NATS server takes. */
export const NATS_CONNECT_TIMEOUT_MS = 2000;

/** Time before the next attempt to connect to NATS, to which up to as much jitter is added, unless options say otherwise. */
export const NATS_RECONNECT_WAIT_MS = 100;
export const NATS_RECONNECT_JITTER_MS = 100;

/** How often the sentence about waiting for NATS is repeated. */
export const NATS_WAITING_INTERVAL_MS = 5000;
