import {
  Durations,
  randomEpoch,
  systemClock,
  systemTimers,
  type Bus,
  type Component,
  type Logger,
  type Metrics,
  type RpcService,
} from '@filbert/kit';
import type { SearchIndexConfig } from './config.ts';
import { searchIndexControl } from './control.ts';
import { declareMetrics } from './metrics.ts';
import { SearchIndex } from './search-index.ts';

export interface SearchIndexService {
  readonly component: Component;
  readonly control: RpcService;
  readonly index: SearchIndex;
}

export interface SearchIndexDependencies {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** The search-index service: the shared library and a person's searches. */
export function createSearchIndexService(
  config: SearchIndexConfig,
  dependencies: SearchIndexDependencies,
): SearchIndexService {
  const { bus, logger, metrics } = dependencies;
  const matching = new Durations();
  const index = new SearchIndex({
    bus,
    logger,
    clock: systemClock,
    timers: systemTimers,
    edgeId: config.libraryEdgeId,
    epoch: randomEpoch(),
    data: config.data,
    share: config.share,
    hashWorkers: config.hashWorkers,
    rescanIntervalMs: config.rescanInterval,
    allowPrivate: config.allowPrivate,
    onMatched: (seconds) => matching.observe(seconds),
  });
  declareMetrics(metrics, index, matching);
  return {
    index,
    control: searchIndexControl(index, systemTimers),
    component: {
      name: 'search-index',
      start: (signal) => index.start(signal),
      stop: () => index.stop(),
    },
  };
}
