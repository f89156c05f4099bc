import { runServiceProcess } from '@filbert/kit';
import { transfersConfig } from './config.ts';
import { createTransfersService } from './service.ts';

await runServiceProcess({ name: 'transfers', config: transfersConfig, create: createTransfersService });
