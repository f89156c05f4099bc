import { createBootstrapService } from '@filbert/bootstrap';
import { createConnectionsService } from '@filbert/connections';
import { createRouterService } from '@filbert/router';
import { createSearchIndexService } from '@filbert/search-index';
import { createTransfersService } from '@filbert/transfers';
import { USER_AGENT } from '@filbert/contracts';
import {
  collectBusCounters,
  collectProcessMetrics,
  collectSpanCounters,
  createAdminServer,
  createInProcessBus,
  createLifecycle,
  createLogger,
  createMetrics,
  createReadiness,
  createRpcServer,
  runService,
  startTelemetry,
  type Telemetry,
} from '@filbert/kit';
import type { NodeConfig } from '../node-config.ts';
import { sayStartFailed, serving, withControlFile, type OutputForm } from './serving.ts';

/** Runs all services in this process, on the in-process bus. Resolves with the exit code. */
export async function runEmbedded(config: NodeConfig, form: OutputForm): Promise<number> {
  const logger = createLogger({ level: config.up.logLevel, name: 'filbert' });
  const metrics = createMetrics({ service: 'node' });
  const { registry } = metrics;
  collectProcessMetrics(registry);
  collectSpanCounters(metrics);
  const readiness = createReadiness();
  const bus = createInProcessBus({
    onError: (error, topic) => logger.error({ err: error, topic }, 'a handler of bus messages failed'),
  });
  collectBusCounters(metrics, bus);

  const bootstrap = createBootstrapService(config.bootstrap, {
    bus,
    logger,
    metrics: createMetrics({ service: 'bootstrap', registry }),
  });
  const shards = Array.from({ length: config.bootstrap.routerShards }, (_, shard) => shard);
  const router = createRouterService(shards, { bus, logger, metrics: createMetrics({ service: 'router', registry }) });
  const gnutella = (): string => connections.edge.listenAddress;
  const searchIndex = createSearchIndexService(config.searchIndex, {
    bus,
    logger,
    metrics: createMetrics({ service: 'search_index', registry }),
  });
  const transfers = createTransfersService(config.transfers, {
    bus,
    logger,
    metrics: createMetrics({ service: 'transfers', registry }),
  });
  const connections = createConnectionsService(config.connections, {
    bus,
    logger,
    metrics: createMetrics({ service: 'connections', registry }),
    userAgent: USER_AGENT,
    reusePort: false,
    takeTransfer: (socket, first) => transfers.transfers.handOver(socket, first),
  });

  const admin = createAdminServer({ listen: config.up.admin, metrics: registry, readiness, logger });
  const control = createRpcServer({
    listen: config.up.control,
    services: [connections.control, router.control, bootstrap.control, searchIndex.control, transfers.control],
    health: readiness,
    logger,
    metrics,
    token: config.up.controlToken,
  });
  let telemetry: Telemetry | undefined;
  const lifecycle = createLifecycle({
    logger,
    readiness,
    components: [
      {
        name: 'admin',
        start: async () => {
          telemetry = await startTelemetry({
            enabled: config.up.tracing,
            endpoint: config.up.otlpEndpoint,
            serviceName: 'filbert',
            sampleRatio: config.up.traceRatio,
          });
          await admin.start();
        },
        stop: async () => {
          await admin.stop();
          await telemetry?.shutdown();
        },
      },
      { name: 'bus', stop: () => bus.drain() },
      bootstrap.component,
      router.component,
      searchIndex.component,
      transfers.component,
      connections.component,
      {
        name: 'control',
        start: async () => {
          await control.start();
        },
        stop: () => control.stop(),
      },
      withControlFile(config, () => ({
        control: control.address,
        admin: admin.address,
        gnutella: gnutella(),
      })),
    ],
  });
  serving(readiness, form, () => ({ gnutella: gnutella(), admin: admin.address }));
  return runService({ lifecycle, logger, onStartFailed: sayStartFailed });
}
