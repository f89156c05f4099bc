export { searchIndexConfig, type SearchIndexConfig } from './config.ts';
export { createSearchIndexService, type SearchIndexDependencies, type SearchIndexService } from './service.ts';
