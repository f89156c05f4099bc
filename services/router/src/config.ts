import { defineConfig, integer, option, type ConfigOf } from '@filbert/kit';

/** Settings of one router shard. */
export const routerConfig = defineConfig({
  shard: option({
    flag: 'shard',
    env: 'FILBERT_SHARD',
    schema: integer({ min: 0, max: 63 }),
    default: 0,
    description: 'Which of the router shards this process is.',
  }),
});

export type RouterConfig = ConfigOf<typeof routerConfig>;
