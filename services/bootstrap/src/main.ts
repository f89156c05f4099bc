import { runServiceProcess } from '@filbert/kit';
import { bootstrapConfig } from './config.ts';
import { createBootstrapService } from './service.ts';

await runServiceProcess({ name: 'bootstrap', config: bootstrapConfig, create: createBootstrapService });
