import { Client, type ClientOptions, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { formatHostPort, type HostPort } from '../config/values.ts';
import { activeTraceparent } from '../telemetry/spans.ts';
import { sendToken } from './auth.ts';
import { fromServiceError, RpcError } from './errors.ts';
import { TRACEPARENT_KEY } from './handle-call.ts';
import { MAX_RPC_MESSAGE_BYTES, MAX_STREAM_MESSAGES } from './limits.ts';
import type { RpcMethod } from './service.ts';

export interface RpcClientOptions {
  readonly address: HostPort;
  readonly token?: string | undefined;
}

export interface CallOptions {
  /** Longest time for the whole call, in ms. */
  readonly timeoutMs: number;
  /** Cancels the call when it aborts. */
  readonly signal?: AbortSignal;
}

export interface StreamCallOptions extends CallOptions {
  /** Most messages to take; the stream then fails as `resource-exhausted`. Default `MAX_STREAM_MESSAGES`. */
  readonly maxMessages?: number;
}

/** A connection to a server, good for every service on it; close it after use. It connects with the first call. */
export function createRpcClient({ address, token }: RpcClientOptions): Client {
  return new Client(formatHostPort(address), credentials.createInsecure(), rpcClientOptions({ token }));
}

/** Options with the limits and the token, for the constructor of a generated client. */
export function rpcClientOptions({ token }: { readonly token?: string | undefined } = {}): ClientOptions {
  return {
    'grpc.max_receive_message_length': MAX_RPC_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_RPC_MESSAGE_BYTES,
    ...(token !== undefined && { interceptors: [sendToken(token)] }),
  };
}

/**
 * Calls a unary method: `callUnary(client, ConnectionsServiceService.connect, { address }, { timeoutMs: 5000 })`.
 * @throws RpcError whatever went wrong; `deadline-exceeded` after `timeoutMs`, `cancelled` when the signal aborts
 */
export function callUnary<Q, R>(
  client: Client,
  method: RpcMethod<Q, R, false>,
  request: Q,
  { timeoutMs, signal }: CallOptions,
): Promise<R> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new RpcError('cancelled', 'cancelled before the call'));
      return;
    }
    const onAbort = (): void => call.cancel();
    const onEnd = (error: ServiceError | null, response?: R): void => {
      signal?.removeEventListener('abort', onAbort);
      if (error !== null) reject(fromServiceError(error));
      else if (response === undefined) reject(new RpcError('internal', 'neither a response nor an error'));
      else resolve(response);
    };
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      traceMetadata(),
      { deadline: Date.now() + timeoutMs },
      onEnd,
    );
    signal?.addEventListener('abort', onAbort);
  });
}

/**
 * Calls a server-streaming method and yields its messages; the server is held back while the consumer is slow. Leaving the
 * loop cancels the call. The time runs from the first message asked for.
 * @throws RpcError as `callUnary`, and `resource-exhausted` after `maxMessages`
 */
export async function* callStream<Q, R>(
  client: Client,
  method: RpcMethod<Q, R, true>,
  request: Q,
  { timeoutMs, signal, maxMessages = MAX_STREAM_MESSAGES }: StreamCallOptions,
): AsyncGenerator<R, void, undefined> {
  if (signal?.aborted === true) throw new RpcError('cancelled', 'cancelled before the call');
  const call = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    traceMetadata(),
    { deadline: Date.now() + timeoutMs },
  );
  // Cancelling after the loop was left reports an error that nobody waits for any more.
  call.on('error', () => {});
  const onAbort = (): void => call.cancel();
  signal?.addEventListener('abort', onAbort);
  let taken = 0;
  try {
    for await (const message of call) {
      if (++taken > maxMessages)
        throw new RpcError('resource-exhausted', `the stream has over ${maxMessages} messages`);
      // The stream yields what the method's own deserializer made.
      yield message as R;
    }
  } catch (error) {
    throw fromServiceError(error);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    call.cancel();
  }
}

function traceMetadata(): Metadata {
  const metadata = new Metadata();
  const traceparent = activeTraceparent();
  if (traceparent !== undefined) metadata.set(TRACEPARENT_KEY, traceparent);
  return metadata;
}
