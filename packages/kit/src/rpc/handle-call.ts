import { once } from 'node:events';
import type { handleServerStreamingCall, handleUnaryCall, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { startSpan } from '../telemetry/spans.ts';
import { type ErrorKinds, RpcError, toRpcError, toStatus } from './errors.ts';
import { MAX_CALLS_PER_SERVER, MAX_STREAM_CALL_MS, MAX_UNARY_CALL_MS } from './limits.ts';
import type { RpcCall, ServeContext } from './rpc-call.ts';

/** Metadata that carries a W3C traceparent. */
export const TRACEPARENT_KEY = 'traceparent';

type ServerCall = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;

/** Makes a grpc-js handler of an async function, with a deadline. */
export function handleUnary(
  path: string,
  handler: (request: unknown, call: RpcCall) => unknown,
  errors: ErrorKinds,
  context: ServeContext,
): handleUnaryCall<unknown, unknown> {
  return (call, callback) => {
    const work = async (rpcCall: RpcCall): Promise<void> => {
      const { signal } = rpcCall;
      const response = await orAborted(new Promise((done) => done(handler(call.request, rpcCall))), signal);
      callback(null, response);
    };
    void serve(path, call, MAX_UNARY_CALL_MS, errors, context, work, (error) => callback(toStatus(error)));
  };
}

/** Makes a grpc-js handler of an async iterable, with a deadline and back-pressure. */
export function handleStream(
  path: string,
  handler: (request: unknown, call: RpcCall) => AsyncIterable<unknown>,
  errors: ErrorKinds,
  context: ServeContext,
): handleServerStreamingCall<unknown, unknown> {
  return (call) => {
    const work = async (rpcCall: RpcCall): Promise<void> => {
      const { signal } = rpcCall;
      const messages = handler(call.request, rpcCall)[Symbol.asyncIterator]();
      let ended = false;
      try {
        for (;;) {
          const next = await orAborted(messages.next(), signal);
          if (next.done === true) break;
          if (!call.write(next.value)) await once(call, 'drain', { signal });
        }
        ended = true;
        call.end();
      } finally {
        // Lets the handler clean up. It is not waited for: it may hang in the very wait that the deadline cut short.
        if (!ended) void messages.return?.().catch(() => {});
      }
    };
    void serve(path, call, MAX_STREAM_CALL_MS, errors, context, work, (error) => call.emit('error', toStatus(error)));
  };
}

/** Runs one call between its beginning and its deadline, and answers with what goes wrong. Never rejects. */
async function serve(
  path: string,
  call: ServerCall,
  maxMs: number,
  errors: ErrorKinds,
  context: ServeContext,
  work: (call: RpcCall) => Promise<void>,
  fail: (error: RpcError) => void,
): Promise<void> {
  if (context.active >= MAX_CALLS_PER_SERVER) {
    fail(new RpcError('resource-exhausted', `over ${MAX_CALLS_PER_SERVER} calls under way`));
    return;
  }
  context.active++;
  const { clock, timers, closing, logger } = context;
  const abort = new AbortController();
  const startedMs = clock.monotonic();
  const nowMs = clock.now();
  const deadlineMs = Math.min(Number(call.getDeadline()), nowMs + maxMs);
  const onLate = (): void => abort.abort(new RpcError('deadline-exceeded', 'the deadline has passed'));
  const onCancelled = (): void => abort.abort(new RpcError('cancelled', 'the caller cancelled'));
  const onClosing = (): void => abort.abort(new RpcError('unavailable', 'the server is stopping'));
  const timer = timers.setTimeout(onLate, Math.max(0, deadlineMs - nowMs));
  call.on('cancelled', onCancelled);
  closing.addEventListener('abort', onClosing);

  const [parent] = call.metadata.get(TRACEPARENT_KEY);
  const span = startSpan(path, { kind: 'server', parent: typeof parent === 'string' ? parent : undefined });
  const { signal } = abort;
  try {
    await span.run(() => work({ signal, deadlineMs, peer: call.getPeer(), metadata: call.metadata }));
  } catch (thrown) {
    // Once aborted, the reason for that is the answer, whatever the handler threw on its way out.
    const error = toRpcError(signal.aborted ? signal.reason : thrown, errors);
    if (error.kind === 'internal') logger.error({ err: thrown, path }, 'call failed');
    span.fail(error);
    fail(error);
  } finally {
    span.end();
    timers.clearTimeout(timer);
    closing.removeEventListener('abort', onClosing);
    context.active--;
    context.durations.get(path)?.observe((clock.monotonic() - startedMs) / 1_000);
  }
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as that aborts. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(toRpcError(signal.reason));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
