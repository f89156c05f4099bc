import { connect, type ConnectionOptions, ErrorCode, type NatsConnection } from 'nats';
import { type Clock, systemClock, systemTimers, type Timers } from '../clock/clock.ts';
import { BusError } from './bus.ts';
import {
  NATS_CONNECT_TIMEOUT_MS,
  NATS_PING_INTERVAL_MS,
  NATS_PINGS_UNANSWERED,
  NATS_RECONNECT_JITTER_MS,
  NATS_RECONNECT_WAIT_MS,
  NATS_WAITING_INTERVAL_MS,
} from './limits.ts';

/** How to reach NATS. */
export interface NatsConnectOptions {
  /** `nats://host:port`, one or several of one cluster. */
  readonly servers: string | readonly string[];
  /** Shown in the server's list of connections. */
  readonly name: string;
  /** How to prove who we are, and TLS, as the `nats` package takes them. */
  readonly security?: Pick<ConnectionOptions, 'user' | 'pass' | 'token' | 'authenticator' | 'tls'>;
  /** Whether to wait for a server that is not there yet. Default true. */
  readonly waitForServer?: boolean;
  /** Told what is being waited for and why, at the first failure and then every 5 s. */
  readonly onWaiting?: (sentence: string) => void;
  /** Time before another attempt, in ms, and the most jitter added to it. Default 100 each. */
  readonly reconnectWaitMs?: number;
  readonly reconnectJitterMs?: number;
  /** Ends the waiting (an attempt under way ends within 2 s). Without effect once connected. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** Draws the jitter: from 0 to below 1. */
  readonly random?: () => number;
}

/**
 * Connects to NATS, and from then on reconnects for ever.
 * @throws BusError `connect-failed` when `waitForServer` is false and no server can be reached, or the signal fired
 */
export async function connectNats(options: NatsConnectOptions): Promise<NatsConnection> {
  const clock = options.clock ?? systemClock;
  const servers = typeof options.servers === 'string' ? [options.servers] : [...options.servers];
  const where = servers.map(withoutCredentials).join(', ');
  let nextSentenceMs = clock.monotonic();
  for (;;) {
    if (options.signal?.aborted === true)
      throw new BusError('connect-failed', `gave up connecting to NATS at ${where}`, { cause: options.signal.reason });
    try {
      return await connect(connectionOptions(options, servers));
    } catch (error) {
      const reason = reasonOf(error);
      if (options.waitForServer === false)
        throw new BusError('connect-failed', `cannot connect to NATS at ${where}: ${reason}`, { cause: error });
      if (clock.monotonic() >= nextSentenceMs) {
        nextSentenceMs = clock.monotonic() + NATS_WAITING_INTERVAL_MS;
        options.onWaiting?.(`waiting for NATS at ${where}: ${reason}`);
      }
    }
    await pause(options);
  }
}

function connectionOptions(options: NatsConnectOptions, servers: string[]): ConnectionOptions {
  return {
    ...options.security,
    servers,
    name: options.name,
    timeout: NATS_CONNECT_TIMEOUT_MS,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: options.reconnectWaitMs ?? NATS_RECONNECT_WAIT_MS,
    reconnectJitter: options.reconnectJitterMs ?? NATS_RECONNECT_JITTER_MS,
    reconnectJitterTLS: options.reconnectJitterMs ?? NATS_RECONNECT_JITTER_MS,
    // Credentials may be put right on the server while we wait.
    ignoreAuthErrorAbort: true,
    pingInterval: NATS_PING_INTERVAL_MS,
    maxPingOut: NATS_PINGS_UNANSWERED,
    noAsyncTraces: true,
  };
}

/** Waits before the next attempt, or until the signal fires. */
function pause(options: NatsConnectOptions): Promise<void> {
  const timers = options.timers ?? systemTimers;
  const { signal } = options;
  const jitter = (options.random ?? Math.random)() * (options.reconnectJitterMs ?? NATS_RECONNECT_JITTER_MS);
  return new Promise((resolve) => {
    const end = (): void => {
      timers.clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = timers.setTimeout(end, (options.reconnectWaitMs ?? NATS_RECONNECT_WAIT_MS) + jitter);
    signal?.addEventListener('abort', end);
  });
}

/** A server's address as it may be shown: without user and password. */
function withoutCredentials(server: string): string {
  return server.replace(/^([^/]*\/\/)?[^@]*@/, '$1');
}

const REASONS: Readonly<Record<string, string>> = {
  [ErrorCode.ConnectionRefused]: 'connection refused',
  [ErrorCode.Timeout]: 'no answer',
  [ErrorCode.ConnectionTimeout]: 'no answer',
  [ErrorCode.AuthorizationViolation]: 'not authorized',
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'name resolution failed',
  ECONNRESET: 'connection reset',
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'connection closed';
  const code: unknown = 'code' in error ? error.code : undefined;
  return (typeof code === 'string' ? REASONS[code] : undefined) ?? error.message;
}
