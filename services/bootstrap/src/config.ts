import {
  defineConfig,
  filePath,
  hostPort,
  integer,
  list,
  option,
  plainText,
  toggle,
  type ConfigOf,
} from '@filbert/kit';

/** Settings of the bootstrap service. */
export const bootstrapConfig = defineConfig({
  data: option({
    flag: 'data',
    env: 'FILBERT_DATA',
    schema: filePath(),
    default: './data',
    description: 'Folder for what must survive a restart: identity and known hosts.',
  }),
  connect: option({
    flag: 'connect',
    env: 'FILBERT_CONNECT',
    schema: list(hostPort({ minPort: 1 })),
    default: [],
    description: 'Ultrapeers to stay linked to.',
  }),
  seeds: option({
    flag: 'seeds',
    env: 'FILBERT_SEEDS',
    schema: plainText({ min: 1, max: 16_384 }),
    default: 'default',
    description: 'First ultrapeers to try: default (the built-in list), none, or HOST:PORT,…',
  }),
  advertise: option({
    flag: 'advertise',
    env: 'FILBERT_ADVERTISE',
    schema: hostPort({ minPort: 1 }),
    description: 'Address that peers are told to reach this node at; otherwise the one that they reached.',
  }),
  routerShards: option({
    flag: 'router-shards',
    env: 'FILBERT_ROUTER_SHARDS',
    schema: integer({ min: 1, max: 64 }),
    default: 1,
    unit: 'shards',
    description: 'Router shards that share the GUIDs.',
  }),
  allowPrivate: option({
    flag: 'allow-private',
    env: 'FILBERT_ALLOW_PRIVATE',
    schema: toggle(),
    default: false,
    description:
      'Accept loopback and private addresses as peers; on by itself when the node listens on such an address.',
  }),
});

export type BootstrapConfig = ConfigOf<typeof bootstrapConfig>;
