import { bootstrapConfig } from '@filbert/bootstrap';
import { connectionsConfig } from '@filbert/connections';
import { searchIndexConfig } from '@filbert/search-index';
import { transfersConfig } from '@filbert/transfers';
import {
  adminOption,
  controlOption,
  controlTokenOption,
  defineConfig,
  integer,
  list,
  logLevelOption,
  mergeConfigs,
  option,
  toggle,
  tracingOptions,
  urlText,
  type ConfigOf,
} from '@filbert/kit';

/** Settings of the node as a whole. */
const upConfig = defineConfig({
  admin: adminOption,
  control: controlOption,
  controlToken: controlTokenOption,
  processes: option({
    flag: 'processes',
    env: 'FILBERT_PROCESSES',
    schema: toggle(),
    default: false,
    description: 'Run each service as a process of its own over NATS.',
  }),
  nats: option({
    flag: 'nats',
    env: 'FILBERT_NATS',
    schema: list(urlText({ schemes: ['nats:', 'tls:'] })),
    default: [],
    description: 'With --processes: the NATS server to use; otherwise one is started from the PATH.',
  }),
  connections: option({
    flag: 'connections',
    env: 'FILBERT_CONNECTIONS',
    schema: integer({ min: 1, max: 64 }),
    default: 1,
    unit: 'processes',
    description: 'With --processes: connections processes, which share the port.',
  }),
  transfers: option({
    flag: 'transfers',
    env: 'FILBERT_TRANSFERS',
    schema: integer({ min: 1, max: 64 }),
    default: 1,
    unit: 'processes',
    description: 'With --processes: transfers processes.',
  }),
  logLevel: logLevelOption,
  ...tracingOptions,
});

/** Every setting of `filbert up`. */
export const nodeConfig = mergeConfigs({
  up: upConfig,
  connections: connectionsConfig,
  bootstrap: bootstrapConfig,
  searchIndex: searchIndexConfig,
  transfers: transfersConfig,
});
export type NodeConfig = ConfigOf<typeof nodeConfig>;
