import { allowPrivateOption, busName } from '@filbert/contracts';
import { byteSize, defineConfig, hostPort, integer, option, type ConfigOf } from '@filbert/kit';

/** Settings of the connections service. */
export const connectionsConfig = defineConfig({
  listen: option({
    flag: 'listen',
    env: 'FILBERT_LISTEN',
    schema: hostPort(),
    default: '0.0.0.0:6346',
    description: 'Where Gnutella peers connect.',
  }),
  maxLeaves: option({
    flag: 'max-leaves',
    env: 'FILBERT_MAX_LEAVES',
    schema: integer({ min: 0, max: 100_000 }),
    default: 1000,
    unit: 'links',
    description: 'Leaves that the whole node holds.',
  }),
  maxUltrapeers: option({
    flag: 'max-ultrapeers',
    env: 'FILBERT_MAX_ULTRAPEERS',
    schema: integer({ min: 0, max: 1000 }),
    default: 32,
    unit: 'links',
    description: 'Ultrapeers that the whole node is linked to.',
  }),
  allowPrivate: allowPrivateOption,
  deflateBudget: option({
    flag: 'deflate-budget',
    env: 'FILBERT_DEFLATE_BUDGET',
    schema: byteSize({ min: 0, max: 64 * 2 ** 30 }),
    default: '96MiB',
    unit: 'bytes',
    description: 'Memory that compressed links take together; links beyond it stay uncompressed.',
  }),
  maxHandshakes: option({
    flag: 'max-handshakes',
    env: 'FILBERT_MAX_HANDSHAKES',
    schema: integer({ min: 1, max: 10_000 }),
    default: 512,
    unit: 'connections',
    description: 'Incoming connections that may be in their handshake at one time.',
  }),
  edgeId: option({
    flag: 'edge-id',
    env: 'FILBERT_EDGE_ID',
    schema: busName(),
    default: 'edge-0',
    description: 'Name of this connections process on the bus.',
  }),
});

export type ConnectionsConfig = ConfigOf<typeof connectionsConfig>;
