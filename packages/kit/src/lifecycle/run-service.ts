import { systemTimers, type Timers } from '../clock/clock.ts';
import type { Logger } from '../log/logger.ts';
import { LifecycleError } from './errors.ts';
import type { Lifecycle } from './lifecycle.ts';

/**
 * How a process ends:
 *
 * | code | when |
 * |---|---|
 * | 0 | SIGTERM or SIGINT, everything drained and stopped |
 * | 1 | start failed, something was thrown that nobody caught, or a stop that did not end well or in time |
 * | 130 | a second signal, SIGINT, forced the exit |
 * | 143 | a second signal, SIGTERM, forced the exit |
 */
export const EXIT_CODES = { ok: 0, failed: 1, forcedBySigint: 130, forcedBySigterm: 143 } as const;

/** Longest time from the first signal to the exit, in ms. A pod's termination grace period must be longer. */
export const SHUTDOWN_TIMEOUT_MS = 50_000;

/** The part of `process` that is used; injected, so that tests can play it. */
export interface ProcessEvents {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
  exit(code: number): void;
}

export interface RunServiceOptions {
  readonly lifecycle: Lifecycle;
  readonly logger: Logger;
  readonly process?: ProcessEvents;
  readonly timers?: Timers;
  /** Bound of the whole stop in ms; default `SHUTDOWN_TIMEOUT_MS`. */
  readonly shutdownTimeoutMs?: number;
  /** Stops the process as a first signal would when it aborts: what the process serves is gone. */
  readonly stopOn?: AbortSignal | undefined;
  /** Told why the start failed, to show its message. Where given, the log has the details at level `debug` only. */
  readonly onStartFailed?: ((error: Error) => void) | undefined;
}

const systemProcess: ProcessEvents = {
  on: (event, listener) => process.on(event, listener),
  off: (event, listener) => process.off(event, listener),
  // The one place where a process of Filbert ends itself.
  exit: (code) => process.exit(code),
};

/**
 * Runs a process from its start to its exit: SIGTERM or SIGINT drains and stops, a second signal exits at once; what nobody
 * caught is logged as fatal and leads to an orderly stop. Resolves with the exit code, see `EXIT_CODES`, after
 * `process.exit` was called with it. Never rejects.
 */
export function runService(options: RunServiceOptions): Promise<number> {
  const { lifecycle, logger, process = systemProcess, timers = systemTimers } = options;
  const { shutdownTimeoutMs = SHUTDOWN_TIMEOUT_MS, stopOn, onStartFailed } = options;

  return new Promise((resolve) => {
    let code: number = EXIT_CODES.ok;
    let signalled = false;
    let stopping = false;
    let exited = false;

    const exit = (exitCode: number): void => {
      if (exited) return;
      exited = true;
      for (const [event, listener] of listeners) process.off(event, listener);
      stopOn?.removeEventListener('abort', onStop);
      process.exit(exitCode);
      resolve(exitCode);
    };

    const shutDown = async (): Promise<void> => {
      if (stopping) return;
      stopping = true;
      const timer = timers.setTimeout(() => {
        logger.fatal({ shutdownTimeoutMs }, 'the stop took too long');
        exit(EXIT_CODES.failed);
      }, shutdownTimeoutMs);
      const { failed, timedOut } = await lifecycle.stop();
      timers.clearTimeout(timer);
      if (failed.length + timedOut.length > 0) code = EXIT_CODES.failed;
      logger.info({ code }, 'stopped');
      exit(code);
    };

    const onSignal = (signal: 'SIGTERM' | 'SIGINT') => (): void => {
      if (signalled) {
        logger.warn({ signal }, 'second signal: exit without waiting');
        exit(signal === 'SIGINT' ? EXIT_CODES.forcedBySigint : EXIT_CODES.forcedBySigterm);
        return;
      }
      signalled = true;
      logger.info({ signal }, 'signal: drain, then stop');
      void shutDown();
    };

    const onStop = (): void => {
      logger.warn({ reason: String(stopOn?.reason) }, 'not wanted any more: drain, then stop');
      void shutDown();
    };

    const onUncaught =
      (message: string) =>
      (error: unknown): void => {
        logger.fatal({ err: error }, message);
        code = EXIT_CODES.failed;
        void shutDown();
      };

    const listeners: readonly (readonly [string, (...args: unknown[]) => void])[] = [
      ['SIGTERM', onSignal('SIGTERM')],
      ['SIGINT', onSignal('SIGINT')],
      ['uncaughtException', onUncaught('uncaught exception')],
      ['unhandledRejection', onUncaught('unhandled rejection')],
    ];
    for (const [event, listener] of listeners) process.on(event, listener);

    lifecycle.start().then(
      () => logger.info('started'),
      (error: unknown) => {
        // A signal during the start is an ordinary stop; shutDown is under way then.
        if (!(error instanceof LifecycleError && error.code === 'interrupted')) {
          logger[onStartFailed === undefined ? 'fatal' : 'debug']({ err: error }, 'start failed');
          onStartFailed?.(error instanceof Error ? error : new Error(String(error)));
          code = EXIT_CODES.failed;
        }
        void shutDown();
      },
    );
    // Only now: a lifecycle that was stopped before its start would take that for a failure.
    stopOn?.addEventListener('abort', onStop, { once: true });
    if (stopOn?.aborted === true) onStop();
  });
}
