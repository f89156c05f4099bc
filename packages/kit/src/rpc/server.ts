import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { listenError } from '../admin/listen-error.ts';
import { type Clock, systemClock, systemTimers, type Timers } from '../clock/clock.ts';
import { formatHostPort, type HostPort } from '../config/values.ts';
import type { Readiness } from '../lifecycle/readiness.ts';
import type { Logger } from '../log/logger.ts';
import { Durations } from '../metrics/durations.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { isLoopback, requireToken } from './auth.ts';
import { MAX_RPC_MESSAGE_BYTES, MAX_STREAMS_PER_CONNECTION, MIN_TOKEN_CHARS, RPC_DRAIN_MS } from './limits.ts';
import type { ServeContext } from './rpc-call.ts';
import type { RpcService } from './service.ts';

/** Why a server was refused before it listened; the message is a sentence for the operator. */
export class RpcServerError extends Error {
  readonly code: 'token-needed' | 'token-too-short';

  constructor(code: RpcServerError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RpcServerError';
    this.code = code;
  }
}

export interface RpcServerOptions {
  /** Default 127.0.0.1 with a port that the system chooses. Other than loopback only with a token. */
  readonly listen?: HostPort;
  readonly services: readonly RpcService[];
  /** What grpc.health.v1 reports, for the whole server and for each service. */
  readonly health: Readiness;
  readonly logger: Logger;
  /** Gets `rpc_call_seconds{service,method}`; without it nobody sees how long calls take. */
  readonly metrics?: Metrics;
  /** Each call must then carry it as `authorization: Bearer <token>`; health checks need none. */
  readonly token?: string | undefined;
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** How long `stop` lets calls end by themselves, in ms; default `RPC_DRAIN_MS`. */
  readonly drainMs?: number;
}

/** A gRPC server for control. */
export interface RpcServer {
  /** Where it listens, once started. */
  readonly address: HostPort | undefined;
  /** Begins to listen and returns where. @throws ListenError */
  start(): Promise<HostPort>;
  /** Reports not serving, takes no new calls, lets those under way end within the drain bound, then cuts them off. */
  stop(): Promise<void>;
}

/**
 * Makes a gRPC server.
 * @throws RpcServerError `token-needed` for an address that others can reach without a token, `token-too-short`
 */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { listen = { host: '127.0.0.1', port: 0 }, services, health, logger, token } = options;
  const { clock = systemClock, timers = systemTimers, drainMs = RPC_DRAIN_MS } = options;
  if (token === undefined && !isLoopback(listen.host))
    throw new RpcServerError(
      'token-needed',
      `control address ${formatHostPort(listen)} can be reached from other machines: configure a token, or a loopback address.`,
    );
  if (token !== undefined && token.length < MIN_TOKEN_CHARS)
    throw new RpcServerError('token-too-short', `the control token must have at least ${MIN_TOKEN_CHARS} characters.`);

  // Its lines would go to stderr beside ours; what matters of them comes back as errors.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.max_receive_message_length': MAX_RPC_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_RPC_MESSAGE_BYTES,
    'grpc.max_concurrent_streams': MAX_STREAMS_PER_CONNECTION,
    'grpc.so_reuseport': 0,
    interceptors: token === undefined ? [] : [requireToken(token)],
  });
  const closing = new AbortController();
  const durations = new Map(
    services.flatMap(({ definition }) => Object.values(definition).map(({ path }) => [path, new Durations()] as const)),
  );
  if (options.metrics !== undefined) declareDurations(options.metrics, durations);
  const context: ServeContext = { logger, clock, timers, closing: closing.signal, active: 0, durations };
  for (const service of services) server.addService(service.definition, service.implement(context));

  let report = (_serving: boolean): void => undefined;
  const stopReporting = health.onChange((ready) => report(ready));

  let address: HostPort | undefined;
  return {
    get address() {
      return address;
    },
    async start() {
      // Loaded only now, beside what the process started before: it takes longer than all else that serves calls.
      const { HealthImplementation } = await import('grpc-health-check');
      const healthService = new HealthImplementation();
      report = (serving) => {
        for (const name of ['', ...services.map((service) => service.name)])
          healthService.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
      };
      healthService.addToServer(server);
      report(health.isReady());
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(formatHostPort(listen), ServerCredentials.createInsecure(), (error, bound) => {
          if (error === null) resolve(bound);
          else reject(listenError('control', listen, error));
        });
      });
      address = { host: listen.host, port };
      logger.info({ ...address }, 'control server listens');
      return address;
    },
    async stop() {
      address = undefined;
      stopReporting();
      report(false);
      await new Promise<void>((resolve) => {
        const timer = timers.setTimeout(() => {
          closing.abort();
          server.forceShutdown();
          resolve();
        }, drainMs);
        server.tryShutdown(() => {
          timers.clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}

/** Declares how long calls took; the labels are the services and methods that the server has. */
function declareDurations(metrics: Metrics, durations: ReadonlyMap<string, Durations>): void {
  const methods = Array.from(durations, ([path, taken]) => {
    // "/filbert.router.v1.RouterService/GetStats"
    const [, service = '', method = ''] = path.split('/');
    return { labels: { service, method }, durations: taken };
  });
  const named = (label: 'service' | 'method'): string[] => [...new Set(methods.map(({ labels }) => labels[label]))];
  metrics.durationsFrom(
    'rpc_call_seconds',
    'Time that gRPC calls took, by service and method; streams count with all of their time.',
    { service: named('service'), method: named('method') },
    () => methods,
  );
}
