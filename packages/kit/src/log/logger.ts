import { type DestinationStream, destination as pinoDestination, type Logger as PinoLogger, pino } from 'pino';
import { activeTraceIds } from '../telemetry/spans.ts';
import { REDACTED, redactedPaths } from './redaction.ts';
import { terminalDestination } from './terminal.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Writes log lines. Errors go under the key `err`. */
export type Logger = PinoLogger;

export interface LoggerOptions {
  readonly level: LogLevel;
  /** The service, or the process where it runs several. */
  readonly name: string;
  /** Where lines go; by default stderr: JSON lines, or lines for people where it is a terminal. */
  readonly destination?: DestinationStream;
}

const STDERR_FD = 2;

/**
 * Makes a logger. Lines carry `trace_id` and `span_id` while a span is active. Query text and secrets are never logged: see
 * `REDACTED_KEYS`.
 */
export function createLogger({ level, name, destination }: LoggerOptions): Logger {
  return pino(
    {
      level,
      name,
      base: { pid: process.pid },
      redact: { paths: redactedPaths(), censor: REDACTED },
      mixin: () => activeTraceIds() ?? {},
    },
    destination ?? standardDestination(),
  );
}

/** A logger for one part of a service: its lines carry `component`. */
export function componentLogger(logger: Logger, component: string): Logger {
  return logger.child({ component });
}

/** Synchronous on purpose: the last lines before an exit are the ones that matter. */
function standardDestination(): DestinationStream {
  return process.stderr.isTTY ? terminalDestination(process.stderr) : pinoDestination({ dest: STDERR_FD, sync: true });
}
