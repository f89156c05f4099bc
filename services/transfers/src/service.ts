import { join } from 'node:path';
import type { Bus, Component, Logger, Metrics, RpcService } from '@filbert/kit';
import type { TransfersConfig } from './config.ts';
import { transfersControl } from './control.ts';
import { declareMetrics } from './metrics.ts';
import { Transfers } from './transfers.ts';

export interface TransfersService {
  readonly component: Component;
  readonly control: RpcService;
  readonly transfers: Transfers;
}

export interface TransfersDependencies {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * The transfers service: one worker.
 * @throws Error with a sentence where the data folder cannot be used
 */
export function createTransfersService(config: TransfersConfig, dependencies: TransfersDependencies): TransfersService {
  const transfers = new Transfers({
    bus: dependencies.bus,
    logger: dependencies.logger,
    workerId: config.workerId,
    data: config.data,
    downloads: config.downloads ?? join(config.data, 'downloads'),
    shareFolders: config.share,
    listen: config.transfersListen,
    internalListen: config.internalListen,
    allowPrivate: config.allowPrivate,
    uploadSlots: config.uploadSlots,
    uploadsPerHost: config.uploadsPerHost,
    uploadRate: config.uploadRate,
    downloadRate: config.downloadRate,
  });
  declareMetrics(dependencies.metrics, transfers);
  return {
    transfers,
    control: transfersControl(transfers),
    component: {
      name: 'transfers',
      start: (signal) => transfers.start(signal),
      drain: () => transfers.drain(),
      stop: () => transfers.stop(),
    },
  };
}
