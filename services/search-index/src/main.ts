import { runServiceProcess } from '@filbert/kit';
import { searchIndexConfig } from './config.ts';
import { createSearchIndexService } from './service.ts';

await runServiceProcess({ name: 'search_index', config: searchIndexConfig, create: createSearchIndexService });
