import { fileURLToPath } from 'node:url';
import { bootstrapConfig } from '@filbert/bootstrap';
import { connectionsConfig } from '@filbert/connections';
import { routerConfig } from '@filbert/router';
import { searchIndexConfig } from '@filbert/search-index';
import { transfersConfig } from '@filbert/transfers';
import {
  configEnvironment,
  ENV_PREFIX,
  mergeConfigs,
  processConfig,
  type HostPort,
  type ProcessConfig,
} from '@filbert/kit';
import type { NodeConfig } from '../node-config.ts';
import { numberedName } from './plan.ts';
import type { ServicePlan } from './service-child.ts';

/** Where a service's own servers listen: for the supervisor only, on a port that the system chooses. */
const OWN_PORT: HostPort = { host: '127.0.0.1', port: 0 };

export interface PlanOptions {
  readonly config: NodeConfig;
  /** NATS servers of the node; asked for when a service starts. */
  readonly nats: () => readonly string[];
  /** Where Gnutella peers connect, with the port decided. */
  readonly listen: HostPort;
  /** What control calls to the services must carry. */
  readonly controlToken: string;
  /** Where a service that is started now finds what was compiled before; empty while there is nothing. */
  readonly cacheEnv: () => Readonly<Record<string, string>>;
  /** The supervisor's environment: the services get it without Filbert's own variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The service processes of a node, in order of their start. */
export interface ServicePlans {
  readonly bootstrap: ServicePlan;
  readonly routers: readonly ServicePlan[];
  readonly searchIndex: ServicePlan;
  readonly transfers: readonly ServicePlan[];
  readonly connections: readonly ServicePlan[];
}

/** Decides which processes make up the node, and what each is told: its own settings and no others. */
export function planServices({ config, nats, listen, controlToken, cacheEnv, env }: PlanOptions): ServicePlans {
  const { up, bootstrap, connections, searchIndex, transfers } = config;
  const process = (): ProcessConfig => ({
    nats: [...nats()],
    admin: OWN_PORT,
    control: OWN_PORT,
    controlToken,
    logLevel: up.logLevel,
    tracing: up.tracing,
    otlpEndpoint: up.otlpEndpoint,
    traceRatio: up.traceRatio,
  });
  const inherited: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !name.startsWith(ENV_PREFIX)) inherited[name] = value;
  }
  const environment = (): Record<string, string> => ({ ...cacheEnv(), ...inherited });

  const bootstrapDefinition = mergeConfigs({ process: processConfig, service: bootstrapConfig });
  const routerDefinition = mergeConfigs({ process: processConfig, service: routerConfig });
  const connectionsDefinition = mergeConfigs({ process: processConfig, service: connectionsConfig });
  const searchIndexDefinition = mergeConfigs({ process: processConfig, service: searchIndexConfig });
  const transfersDefinition = mergeConfigs({ process: processConfig, service: transfersConfig });
  return {
    bootstrap: {
      name: 'bootstrap',
      kind: 'bootstrap',
      entry: fileURLToPath(import.meta.resolve('@filbert/bootstrap/main')),
      env: () => ({
        ...environment(),
        ...configEnvironment(bootstrapDefinition, { process: process(), service: bootstrap }),
      }),
    },
    routers: Array.from({ length: bootstrap.routerShards }, (_, shard) => ({
      name: `router-${shard}`,
      kind: 'router',
      entry: fileURLToPath(import.meta.resolve('@filbert/router/main')),
      env: () => ({
        ...environment(),
        ...configEnvironment(routerDefinition, { process: process(), service: { shard } }),
      }),
    })),
    searchIndex: {
      name: 'search-index',
      kind: 'search-index',
      entry: fileURLToPath(import.meta.resolve('@filbert/search-index/main')),
      env: () => ({
        ...environment(),
        ...configEnvironment(searchIndexDefinition, { process: process(), service: searchIndex }),
      }),
    },
    transfers: Array.from({ length: up.transfers }, (_, index) => {
      const workerId = numberedName(transfers.workerId, index);
      return {
        name: workerId,
        kind: 'transfers',
        entry: fileURLToPath(import.meta.resolve('@filbert/transfers/main')),
        env: () => ({
          ...environment(),
          ...configEnvironment(transfersDefinition, {
            process: process(),
            service: {
              ...transfers,
              workerId,
              internalListen: OWN_PORT,
              // One port has one owner; the others serve what connections processes hand over.
              transfersListen: index === 0 ? transfers.transfersListen : undefined,
            },
          }),
        }),
      };
    }),
    connections: Array.from({ length: up.connections }, (_, index) => {
      const edgeId = numberedName(connections.edgeId, index);
      return {
        name: edgeId,
        kind: 'connections',
        entry: fileURLToPath(import.meta.resolve('@filbert/connections/main')),
        env: () => ({
          ...environment(),
          ...configEnvironment(connectionsDefinition, {
            process: process(),
            service: { ...connections, listen, edgeId },
          }),
        }),
      };
    }),
  };
}
