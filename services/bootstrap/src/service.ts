import { systemTimers, type Bus, type Component, type Logger, type Metrics, type RpcService } from '@filbert/kit';
import type { BootstrapConfig } from './config.ts';
import { bootstrapControl } from './control.ts';
import { declareMetrics } from './metrics.ts';
import { NodeBootstrap } from './node-bootstrap.ts';

export interface BootstrapService {
  readonly component: Component;
  readonly control: RpcService;
}

export interface BootstrapDependencies {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The bootstrap service: identity, facts and known hosts. */
export function createBootstrapService(config: BootstrapConfig, dependencies: BootstrapDependencies): BootstrapService {
  const { bus, logger, metrics } = dependencies;
  const bootstrap = new NodeBootstrap({
    bus,
    logger,
    data: config.data,
    connect: config.connect,
    seeds: config.seeds.addresses,
    advertise: config.advertise,
    routerShards: config.routerShards,
    allowPrivate: config.allowPrivate,
    now: Date.now,
    timers: systemTimers,
  });
  declareMetrics(metrics, bootstrap);
  return {
    control: bootstrapControl(bootstrap),
    component: { name: 'bootstrap', start: () => bootstrap.start(), stop: () => bootstrap.stop() },
  };
}
