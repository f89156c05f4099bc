export { componentLogger, createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel } from './logger.ts';
export { REDACTED, REDACTED_KEYS } from './redaction.ts';
export { formatForTerminal, terminalDestination } from './terminal.ts';
