import {
  callStream,
  callUnary,
  RpcError,
  type CallOptions,
  type createRpcClient,
  type RpcCall,
  type RpcErrorKind,
  type RpcMethod,
} from '@filbert/kit';

/** Longest time that one process may take to answer a unary call, ms: less than callers wait. */
const CHILD_CALL_TIMEOUT_MS = 3_000;
/** Code of the error that tells which process does not answer. */
export const SERVICE_AWAY = 'service-away';
/** Failures of one worker after which the others are asked. */
const ASKED_ON = new Set<RpcErrorKind>(['not-found', 'unavailable', 'deadline-exceeded']);

export type RpcClient = ReturnType<typeof createRpcClient>;

/** A service process as control reaches it. */
export interface ControlledProcess {
  readonly name: string;
  /** Undefined while it takes no calls. */
  readonly client: RpcClient | undefined;
}

/** Those that take calls. @throws RpcError where there is none */
export function reachable(processes: readonly ControlledProcess[]): ControlledProcess[] {
  const found = processes.filter(({ client }) => client !== undefined);
  if (found.length === 0) throw away(processes.map(({ name }) => name).join(', '));
  return found;
}

/** What each process answers, without those that do not. @throws RpcError where none does */
export async function ofAll<R>(
  processes: readonly ControlledProcess[],
  ask: (process: ControlledProcess) => Promise<R>,
): Promise<R[]> {
  const answers = await Promise.allSettled(reachable(processes).map(ask));
  const parts = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const [first] = answers;
  if (parts.length === 0 && first?.status === 'rejected') throw first.reason;
  return parts;
}

/**
 * The answer of the worker that knows what the call is about. One that does not answer may have lost its downloads to
 * another: the others are asked all the same.
 * @throws RpcError of the last one where none does, rather of one that did not answer
 */
export async function ofOwner<R>(
  workers: readonly ControlledProcess[],
  ask: (worker: ControlledProcess) => Promise<R>,
): Promise<R> {
  let failure: RpcError | undefined;
  for (const worker of reachable(workers)) {
    try {
      return await ask(worker);
    } catch (error) {
      if (!(error instanceof RpcError) || !ASKED_ON.has(error.kind)) throw error;
      if (failure === undefined || error.kind !== 'not-found') failure = error;
    }
  }
  throw failure ?? new RpcError('unavailable', 'no transfers process answers');
}

/** A unary call of one process. @throws RpcError; one that does not answer is named */
export async function unary<Q, R>(
  { name, client }: ControlledProcess,
  method: RpcMethod<Q, R, false>,
  request: Q,
  options: CallOptions,
): Promise<R> {
  if (client === undefined) throw away(name);
  try {
    return await callUnary(client, method, request, options);
  } catch (error) {
    const silent = error instanceof RpcError && error.code === 'deadline-exceeded';
    throw silent ? away(name, error) : named(name, error);
  }
}

/** A stream of one process. @throws as `unary` */
export async function* stream<Q, R>(
  { name, client }: ControlledProcess,
  method: RpcMethod<Q, R, true>,
  request: Q,
  options: CallOptions,
): AsyncGenerator<R, void, undefined> {
  if (client === undefined) throw away(name);
  try {
    yield* callStream(client, method, request, options);
  } catch (error) {
    throw named(name, error);
  }
}

/** A stream that ends where the process behind it fails, and notes why, unless the caller is the one who ended it. */
export async function* withoutFailures<R>(
  stream: AsyncIterable<R>,
  call: RpcCall,
  failures: unknown[],
): AsyncGenerator<R, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    if (call.signal.aborted) throw error;
    failures.push(error);
  }
}

/** What several streams yield, as it comes; ends when all have ended. */
export async function* merged<R>(
  streams: readonly AsyncGenerator<R, void, undefined>[],
): AsyncGenerator<R, void, undefined> {
  type Turn = { readonly stream: AsyncGenerator<R, void, undefined>; readonly result: IteratorResult<R, void> };
  const next = async (stream: AsyncGenerator<R, void, undefined>): Promise<Turn> => ({
    stream,
    result: await stream.next(),
  });
  const waiting = new Map<AsyncGenerator<R, void, undefined>, Promise<Turn>>();
  const wait = (stream: AsyncGenerator<R, void, undefined>): void => {
    const turn = next(stream);
    // While the reader is busy nobody looks at it: it may fail unseen, and does so again when it is looked at.
    turn.catch(() => undefined);
    waiting.set(stream, turn);
  };
  for (const stream of streams) wait(stream);
  try {
    while (waiting.size > 0) {
      const { stream, result } = await Promise.race(waiting.values());
      if (result.done === true) {
        waiting.delete(stream);
        continue;
      }
      wait(stream);
      yield result.value;
    }
  } finally {
    for (const stream of waiting.keys()) void stream.return();
  }
}

/** That a process does not answer. */
export function away(name: string, cause?: unknown): RpcError {
  return new RpcError('unavailable', `${name} does not answer; it may be starting`, { code: SERVICE_AWAY, cause });
}

/** An error that says which process did not answer; what one answered stays as it is. */
function named(name: string, error: unknown): unknown {
  return error instanceof RpcError && error.code === 'unavailable' ? away(name, error) : error;
}

/** A unary call of one process within the caller's own time. */
export function bounded(call: RpcCall): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: Math.min(CHILD_CALL_TIMEOUT_MS, remainingMs(call)), signal: call.signal };
}

/** A call as long as the caller's own. */
export function whole(call: RpcCall): { readonly timeoutMs: number; readonly signal: AbortSignal } {
  return { timeoutMs: remainingMs(call), signal: call.signal };
}

function remainingMs(call: RpcCall): number {
  return Math.max(1, call.deadlineMs - Date.now());
}
