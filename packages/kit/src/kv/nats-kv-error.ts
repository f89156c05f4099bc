import { ErrorCode, NatsError } from 'nats';
import { KvError } from './kv.ts';

/** Error codes of JetStream's API that mean something to us (nats-server, server/errors.json). */
const WRONG_LAST_SEQUENCE = 10071;
const MESSAGE_TOO_LARGE = 10054;
const STREAM_FULL = new Set([10047, 10077]);
const STREAM_NOT_FOUND = 10059;
const MESSAGE_NOT_FOUND = 10037;

/** What the `nats` package threw, in our terms. */
export function kvError(what: string, error: unknown): KvError {
  const cause = { cause: error };
  const code = apiCode(error);
  if (code === WRONG_LAST_SEQUENCE) return new KvError('conflict', `${what}: it has another revision`, cause);
  if (code === MESSAGE_TOO_LARGE) return new KvError('too-large', `${what}: the value is too long`, cause);
  if (code !== undefined && STREAM_FULL.has(code)) return new KvError('full', `${what}: the server has no room`, cause);
  if (error instanceof NatsError && error.code === String(ErrorCode.MaxPayloadExceeded)) {
    return new KvError('too-large', `${what}: the server takes no message of this size`, cause);
  }
  return new KvError('unavailable', `${what}: ${reasonOf(error)}`, cause);
}

/** Whether the server said that there is no such record. */
export function isNoRecord(error: unknown): boolean {
  return apiCode(error) === MESSAGE_NOT_FOUND;
}

/** Whether the server may have no such bucket: it says so, or nobody listens to what was written to one. */
export function isNoBucket(error: unknown): boolean {
  return apiCode(error) === STREAM_NOT_FOUND || isNobody(error);
}

/** Whether nobody at the server listens: without a bucket, or without JetStream. */
export function isNobody(error: unknown): boolean {
  return error instanceof NatsError && apiCode(error) === undefined && error.code === String(ErrorCode.NoResponders);
}

/** What the server itself gives as its reason; undefined where it gave none. */
export function refusalOf(error: unknown): string | undefined {
  return error instanceof NatsError ? error.api_error?.description : undefined;
}

function apiCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

function reasonOf(error: unknown): string {
  if (isNobody(error)) return 'the server has no JetStream, or lost the bucket';
  if (error instanceof NatsError && error.code === String(ErrorCode.Timeout)) return 'no answer';
  return refusalOf(error) ?? (error instanceof Error ? error.message : String(error));
}
