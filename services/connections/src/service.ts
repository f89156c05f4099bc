import type { Socket } from 'node:net';
import type { Bus, Component, Logger, Metrics, RpcService } from '@filbert/kit';
import { randomEpoch } from '@filbert/kit';
import type { ConnectionsConfig } from './config.ts';
import { connectionsControl } from './control.ts';
import { Edge } from './edge.ts';
import { declareMetrics } from './metrics.ts';

export interface ConnectionsService {
  readonly component: Component;
  readonly control: RpcService;
  readonly edge: Edge;
}

export interface ConnectionsDependencies {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What the node calls itself in handshakes. */
  readonly userAgent: string;
  /** Several processes share the port. */
  readonly reusePort: boolean;
  /** Takes HTTP and GIV connections in this process; without it they go to transfers workers over TCP. */
  readonly takeTransfer?: (socket: Socket, first: Buffer) => void;
}

/** The connections service: one edge. */
export function createConnectionsService(
  config: ConnectionsConfig,
  dependencies: ConnectionsDependencies,
): ConnectionsService {
  const edge = new Edge({
    bus: dependencies.bus,
    logger: dependencies.logger,
    edgeId: config.edgeId,
    epoch: randomEpoch(),
    listen: config.listen,
    reusePort: dependencies.reusePort,
    userAgent: dependencies.userAgent,
    maxLeaves: config.maxLeaves,
    maxUltrapeers: config.maxUltrapeers,
    allowPrivate: config.allowPrivate,
    deflateBudgetBytes: config.deflateBudget,
    maxHandshakes: config.maxHandshakes,
    ...(dependencies.takeTransfer !== undefined && { takeTransfer: dependencies.takeTransfer }),
  });
  declareMetrics(dependencies.metrics, edge);
  return {
    edge,
    control: connectionsControl(edge),
    component: {
      name: 'connections',
      start: (signal) => edge.start(signal),
      drain: () => edge.drain(),
      stop: () => edge.stop(),
    },
  };
}
