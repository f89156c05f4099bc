import { runServiceProcess } from '@filbert/kit';
import { routerConfig } from './config.ts';
import { createRouterService } from './service.ts';

await runServiceProcess({
  name: 'router',
  config: routerConfig,
  create: (config, dependencies) => createRouterService([config.shard], dependencies),
});
