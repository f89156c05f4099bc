import { createAdminServer } from '../admin/admin-server.ts';
import type { Bus } from '../bus/bus.ts';
import { connectNatsBus } from '../bus/nats-bus.ts';
import { type ConfigDefinition, mergeConfigs } from '../config/definition.ts';
import { loadConfig } from '../config/load.ts';
import { formatHostPort } from '../config/values.ts';
import type { KeyValueStore } from '../kv/kv.ts';
import { connectNatsKeyValue } from '../kv/nats-kv.ts';
import { type Component, createLifecycle } from '../lifecycle/lifecycle.ts';
import { createReadiness } from '../lifecycle/readiness.ts';
import { runService } from '../lifecycle/run-service.ts';
import { createLogger, type Logger } from '../log/logger.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { collectBusCounters, collectProcessMetrics, collectSpanCounters } from '../metrics/process-metrics.ts';
import { createRpcServer, type RpcServer } from '../rpc/server.ts';
import type { RpcService } from '../rpc/service.ts';
import { startTelemetry, type Telemetry } from '../telemetry/telemetry.ts';
import { processConfig } from './process-config.ts';

/** Exit code of a process whose settings cannot be used (EX_CONFIG). */
export const EXIT_CONFIG = 78;
/** A bus may be waited for as long as it takes: the longest time that a timer takes. */
const FOR_EVER_MS = 2 ** 31 - 1;

/** What a service is given. */
export interface ServiceDependencies {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Connects to the key-value buckets of NATS, over a connection that the service closes. Waits for NATS. */
  readonly connectKeyValue: (signal?: AbortSignal) => Promise<KeyValueStore>;
}

/** What a service is made of. */
export interface CreatedService {
  readonly component: Component;
  readonly control: RpcService;
}

/**
 * Told to a parent process over IPC: `ready` each time the service begins to do its work, `waiting` each time it cannot
 * any more, `failed` with a sentence before it ends because it could not start.
 */
export type ServiceReport =
  | { readonly kind: 'ready'; readonly admin: string; readonly control: string }
  | { readonly kind: 'waiting'; readonly waitingFor: readonly string[] }
  | { readonly kind: 'failed'; readonly sentence: string };

export interface ServiceProcessOptions<V> {
  /** Of the metrics, the log and the bus connection: `connections`, `search_index`. */
  readonly name: string;
  readonly config: ConfigDefinition<V>;
  readonly create: (config: V, dependencies: ServiceDependencies) => CreatedService;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs one service as a process of its own over NATS, from its environment to its exit: admin server first, so that what is
 * being waited for can be seen, then the bus, the service, and control. Where a parent process started it with an IPC channel
 * it reports to that, and stops when the parent is gone. Resolves with the exit code.
 */
export async function runServiceProcess<V>(options: ServiceProcessOptions<V>): Promise<number> {
  const definition = mergeConfigs({ process: processConfig, service: options.config });
  const loaded = loadConfig(definition, { env: options.env ?? process.env });
  if (!loaded.ok) {
    for (const problem of loaded.problems) process.stderr.write(`${options.name}: ${problem}\n`);
    report({ kind: 'failed', sentence: loaded.problems.join(' ') });
    // The channel to a parent would keep the process.
    process.channel?.unref();
    process.exitCode = EXIT_CONFIG;
    return EXIT_CONFIG;
  }
  // The merged definition keeps each part's value type under its name.
  const config = loaded.value.process;
  const serviceConfig = loaded.value.service;
  const logger = createLogger({ level: config.logLevel, name: options.name });
  const metrics = createMetrics({ service: options.name });
  collectProcessMetrics(metrics.registry);
  collectSpanCounters(metrics);
  const readiness = createReadiness(['bus', options.name]);
  const admin = createAdminServer({ listen: config.admin, metrics: metrics.registry, readiness, logger });

  let telemetry: Telemetry | undefined;
  let bus: Bus | undefined;
  let service: CreatedService | undefined;
  let rpc: RpcServer | undefined;
  const lifecycle = createLifecycle({
    logger,
    readiness,
    components: [
      {
        name: 'admin',
        start: async () => {
          telemetry = await startTelemetry({
            enabled: config.tracing,
            endpoint: config.otlpEndpoint,
            serviceName: `filbert-${options.name}`,
            sampleRatio: config.traceRatio,
          });
          await admin.start();
        },
        stop: async () => {
          await admin.stop();
          await telemetry?.shutdown();
        },
      },
      {
        name: 'bus',
        timeoutsMs: { start: FOR_EVER_MS },
        start: async (signal) => {
          bus = await connectNatsBus({
            servers: config.nats,
            name: options.name,
            signal,
            onWaiting: (sentence) => logger.warn(sentence),
            onError: (error, topic) => logger.error({ err: error, topic }, 'a handler of bus messages failed'),
            onServerError: (reason) => logger.error({ reason }, 'the NATS server complains'),
          });
          readiness.set('bus', bus.status === 'connected');
          const connected = bus;
          collectBusCounters(metrics, connected);
          connected.onStatus((status) => {
            readiness.set('bus', status === 'connected');
            if (status === 'disconnected') logger.warn('NATS is away: frames are dropped until it is back');
            if (status === 'connected') logger.info('NATS is back');
          });
        },
        stop: async () => {
          await bus?.drain();
        },
      },
      {
        name: options.name,
        timeoutsMs: { start: FOR_EVER_MS },
        start: async (signal) => {
          if (bus === undefined) throw new Error('the bus is missing');
          const connectKeyValue = (keyValueSignal?: AbortSignal): Promise<KeyValueStore> =>
            connectNatsKeyValue({
              servers: config.nats,
              name: `${options.name} kv`,
              ...(keyValueSignal === undefined ? {} : { signal: keyValueSignal }),
              onWaiting: (sentence) => logger.warn(sentence),
              onServerError: (reason) => logger.error({ reason }, 'the NATS server complains'),
              onError: (error) => logger.error({ err: error }, 'a listener to the key-value store failed'),
            });
          service = options.create(serviceConfig, { bus, logger, metrics, connectKeyValue });
          await service.component.start?.(signal);
          readiness.set(options.name, true);
        },
        drain: () => service?.component.drain?.(),
        stop: () => service?.component.stop?.(),
      },
      {
        name: 'control',
        start: async () => {
          if (service === undefined) throw new Error('the service is missing');
          rpc = createRpcServer({
            listen: config.control,
            services: [service.control],
            health: readiness,
            logger,
            metrics,
            token: config.controlToken,
          });
          await rpc.start();
        },
        stop: async () => {
          await rpc?.stop();
        },
      },
    ],
  });
  readiness.onChange((ready) => {
    if (!ready) {
      report({ kind: 'waiting', waitingFor: readiness.waitingFor() });
    } else if (admin.address !== undefined && rpc?.address !== undefined) {
      const addresses = { admin: formatHostPort(admin.address), control: formatHostPort(rpc.address) };
      logger.info(addresses, `${options.name} serves`);
      report({ kind: 'ready', ...addresses });
    }
  });
  return runService({
    lifecycle,
    logger,
    stopOn: parentGone(),
    onStartFailed: ({ message, cause }) => {
      const sentence = cause instanceof Error ? cause.message : message;
      // The parent shows the sentence; without one the log has to.
      if (process.connected) report({ kind: 'failed', sentence });
      else logger.fatal(`cannot start: ${sentence}`);
    },
  });
}

function report(message: ServiceReport): void {
  // A parent that is gone is noticed by `parentGone`; what could not be told to it is of no interest.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Aborts when the process that started this one with an IPC channel is gone; undefined where there was none. */
function parentGone(): AbortSignal | undefined {
  if (process.send === undefined) return undefined;
  const gone = new AbortController();
  const onGone = (): void => gone.abort('the parent process is gone');
  process.once('disconnect', onGone);
  // It may have gone while the modules were being loaded.
  if (!process.connected) onGone();
  return gone.signal;
}
