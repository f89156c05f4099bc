import { ExitCode } from '../exit-codes.ts';

/** Why a command is to end early. */
export interface Interruption {
  /** The exit code that tells it; 0 where only nobody reads the output any more. */
  readonly exitCode: ExitCode;
}

/** Aborts when the command is to end early. */
export interface Interruptible {
  readonly signal: AbortSignal;
  /** Undefined until `signal` aborts. */
  readonly interruption: Interruption | undefined;
}

/**
 * Runs work that Ctrl-C, SIGTERM or a closed pipe behind stdout ends early. The work ends itself when the signal aborts;
 * a second Ctrl-C ends the process at once.
 */
export async function interruptible<T>(work: (state: Interruptible) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let interruption: Interruption | undefined;
  const interrupt = (exitCode: ExitCode): void => {
    interruption ??= { exitCode };
    controller.abort();
  };
  const onInt = (): void => interrupt(ExitCode.interrupted);
  const onTerm = (): void => interrupt(ExitCode.terminated);
  // Nobody reads on: nothing more to do, and no failure.
  const onClosedOutput = (): void => interrupt(ExitCode.ok);
  process.once('SIGINT', onInt);
  process.once('SIGTERM', onTerm);
  process.stdout.on('error', onClosedOutput);
  try {
    return await work({
      signal: controller.signal,
      get interruption() {
        return interruption;
      },
    });
  } finally {
    process.off('SIGINT', onInt);
    process.off('SIGTERM', onTerm);
    process.stdout.off('error', onClosedOutput);
  }
}

/** A stream that ends, and does not fail, when the signal aborts. */
export async function* untilAborted<R>(
  stream: AsyncIterable<R>,
  signal: AbortSignal,
): AsyncGenerator<R, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
