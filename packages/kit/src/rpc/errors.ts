import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { BusErrorCode } from '../bus/bus.ts';

/** What kind of failure a call met: the gRPC status codes other than OK, under stable names. */
export type RpcErrorKind =
  | 'cancelled'
  | 'unknown'
  | 'invalid-argument'
  | 'deadline-exceeded'
  | 'not-found'
  | 'already-exists'
  | 'permission-denied'
  | 'resource-exhausted'
  | 'failed-precondition'
  | 'aborted'
  | 'out-of-range'
  | 'unimplemented'
  | 'internal'
  | 'unavailable'
  | 'data-loss'
  | 'unauthenticated';

/** The one table between kinds of failure and gRPC statuses, read in both directions. */
const STATUS_OF_KIND: Readonly<Record<RpcErrorKind, status>> = {
  cancelled: status.CANCELLED,
  unknown: status.UNKNOWN,
  'invalid-argument': status.INVALID_ARGUMENT,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'permission-denied': status.PERMISSION_DENIED,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  'failed-precondition': status.FAILED_PRECONDITION,
  aborted: status.ABORTED,
  'out-of-range': status.OUT_OF_RANGE,
  unimplemented: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
  unavailable: status.UNAVAILABLE,
  'data-loss': status.DATA_LOSS,
  unauthenticated: status.UNAUTHENTICATED,
};
const KIND_OF_STATUS = new Map<number, RpcErrorKind>();
for (const kind in STATUS_OF_KIND) {
  // Keys of the table above are its kinds.
  KIND_OF_STATUS.set(STATUS_OF_KIND[kind as RpcErrorKind], kind as RpcErrorKind);
}

/** Stable error codes of a service, with the kind of failure each is. */
export type ErrorKinds = Readonly<Record<string, RpcErrorKind>>;

/** Codes of errors that any service may pass on: those of the bus. */
export const COMMON_ERROR_KINDS = {
  timeout: 'deadline-exceeded',
  'no-responders': 'unavailable',
  disconnected: 'unavailable',
  closed: 'unavailable',
  'bad-reply': 'internal',
  refused: 'resource-exhausted',
  'connect-failed': 'unavailable',
} as const satisfies Readonly<Record<BusErrorCode, RpcErrorKind>>;

/** Trailing metadata that carries a service's own error code. */
const CODE_KEY = 'filbert-error-code';
/** Longest message that is sent to or taken from the other side, in characters. */
const MAX_MESSAGE_CHARS = 1_000;

/** A call that did not succeed. Handlers may throw it; callers get it whatever went wrong. */
export class RpcError extends Error {
  readonly kind: RpcErrorKind;
  /** The service's own stable code, or the kind where it gave none. */
  readonly code: string;

  constructor(kind: RpcErrorKind, message: string, options: ErrorOptions & { readonly code?: string } = {}) {
    super(message, options);
    this.name = 'RpcError';
    this.kind = kind;
    this.code = options.code ?? kind;
  }
}

/** What goes over the wire for a failed call. */
export interface RpcStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/**
 * What a thrown error says to the caller. An error whose `code` is in the tables is told with its code and message; any
 * other is `internal` and nothing of it is told, for its text was not written for callers.
 */
export function toRpcError(error: unknown, kinds: ErrorKinds = {}): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const { code } = error;
    for (const table of [kinds, COMMON_ERROR_KINDS] as readonly ErrorKinds[]) {
      const kind = Object.hasOwn(table, code) ? table[code] : undefined;
      if (kind !== undefined) return new RpcError(kind, error.message, { code, cause: error });
    }
  }
  return new RpcError('internal', 'internal error', { cause: error });
}

/** Writes an error as a gRPC status. */
export function toStatus({ kind, code, message }: RpcError): RpcStatus {
  const metadata = new Metadata();
  if (code !== kind && /^[a-z0-9-]{1,64}$/.test(code)) metadata.set(CODE_KEY, code);
  return { code: STATUS_OF_KIND[kind], details: message.slice(0, MAX_MESSAGE_CHARS), metadata };
}

/** Reads the error that a gRPC client reports. */
export function fromServiceError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (!(error instanceof Error) || !isServiceError(error))
    return new RpcError('unknown', 'call failed', { cause: error });
  const kind = KIND_OF_STATUS.get(error.code) ?? 'unknown';
  const code = error.metadata?.get(CODE_KEY)[0];
  const message = (error.details || error.message).slice(0, MAX_MESSAGE_CHARS);
  return new RpcError(kind, message, { cause: error, ...(typeof code === 'string' && { code }) });
}

function isServiceError(error: Error): error is Omit<ServiceError, 'metadata'> & { readonly metadata?: Metadata } {
  return 'code' in error && typeof error.code === 'number' && 'details' in error && typeof error.details === 'string';
}
