import { USER_AGENT } from '@filbert/contracts';
import { runServiceProcess } from '@filbert/kit';
import { connectionsConfig } from './config.ts';
import { createConnectionsService } from './service.ts';

await runServiceProcess({
  name: 'connections',
  config: connectionsConfig,
  create: (config, dependencies) =>
    createConnectionsService(config, { ...dependencies, userAgent: USER_AGENT, reusePort: true }),
});
