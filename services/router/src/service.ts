import type { Bus, Component, Logger, Metrics, RpcService } from '@filbert/kit';
import { Durations, randomEpoch } from '@filbert/kit';
import { routerControl } from './control.ts';
import { declareMetrics } from './metrics.ts';
import { Router } from './router.ts';

export interface RouterService {
  readonly component: Component;
  readonly control: RpcService;
}

export interface RouterDependencies {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The router service: the given shards in one process. */
export function createRouterService(shards: readonly number[], dependencies: RouterDependencies): RouterService {
  const { bus, logger, metrics } = dependencies;
  const ingressAge = new Durations();
  const clocks = { now: (): number => performance.now(), wallClock: Date.now };
  const routers = shards.map(
    (shard) => new Router({ bus, logger, shard, epoch: randomEpoch(), ...clocks, ingressAge }),
  );
  declareMetrics(metrics, routers, ingressAge);
  return {
    control: routerControl(routers),
    component: {
      name: 'router',
      start: async (signal) => {
        await Promise.all(routers.map((router) => router.start(signal)));
      },
      stop: () => {
        for (const router of routers) router.stop();
      },
    },
  };
}
