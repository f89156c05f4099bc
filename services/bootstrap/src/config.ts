import { allowPrivateOption, dataOption, routerShardsOption } from '@filbert/contracts';
import { defineConfig, hostPort, list, option, parsedText, type ConfigOf } from '@filbert/kit';
import { formatSeeds, parseSeeds, SEEDS_ALLOWED } from './seeds.ts';

/** Settings of the bootstrap service. */
export const bootstrapConfig = defineConfig({
  data: dataOption,
  connect: option({
    flag: 'connect',
    env: 'FILBERT_CONNECT',
    schema: list(hostPort({ minPort: 1 })),
    default: [],
    description: 'Ultrapeers to stay linked to, by address or name.',
  }),
  seeds: option({
    flag: 'seeds',
    env: 'FILBERT_SEEDS',
    schema: parsedText(SEEDS_ALLOWED, parseSeeds, formatSeeds),
    default: 'default',
    description: 'First ultrapeers to try; default is the built-in list.',
  }),
  advertise: option({
    flag: 'advertise',
    env: 'FILBERT_ADVERTISE',
    schema: hostPort({ minPort: 1 }),
    description: 'Address or name that peers are told to reach this node at; otherwise it finds out by itself.',
  }),
  routerShards: routerShardsOption,
  allowPrivate: allowPrivateOption,
});

export type BootstrapConfig = ConfigOf<typeof bootstrapConfig>;
