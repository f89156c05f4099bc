import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Bus, Component, KeyValueStore, Logger, Metrics, RpcService } from '@filbert/kit';
import type { TransfersConfig } from './config.ts';
import { transfersControl } from './control.ts';
import type { JobStore } from './jobs/job-store.ts';
import { KvJobStore } from './jobs/kv-job-store.ts';
import { openSqliteJobStore } from './jobs/sqlite-job-store.ts';
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
  /** Connects to the key-value buckets of NATS; absent where the node is one process without it. */
  readonly connectKeyValue?: (signal?: AbortSignal) => Promise<KeyValueStore>;
}

/**
 * The transfers service: one worker.
 * @throws Error with a sentence where the data folder cannot be used
 */
export function createTransfersService(config: TransfersConfig, dependencies: TransfersDependencies): TransfersService {
  const downloads = config.downloads ?? join(config.data, 'downloads');
  const transfers = new Transfers({
    bus: dependencies.bus,
    logger: dependencies.logger,
    workerId: config.workerId,
    store: jobStore(config, dependencies, downloads),
    downloads,
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

/** @throws Error with a sentence where it cannot be used */
function jobStore(
  { jobStore: chosen, workerId: worker, data }: TransfersConfig,
  { connectKeyValue: connect, logger }: TransfersDependencies,
  downloads: string,
): JobStore {
  if ((chosen ?? (connect === undefined ? 'sqlite' : 'jetstream')) === 'sqlite') {
    return openSqliteJobStore(join(data, 'transfers.sqlite'), worker);
  }
  if (connect === undefined) {
    throw new Error('FILBERT_JOB_STORE=jetstream needs NATS: run with --processes, or leave it out');
  }
  return new KvJobStore({ connect, worker, downloads, holder: randomBytes(8).toString('hex'), logger });
}
