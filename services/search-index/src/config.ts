import { allowPrivateOption, dataOption, shareOption, busName } from '@filbert/contracts';
import { defineConfig, duration, integer, option, type ConfigOf } from '@filbert/kit';

/** Settings of the search-index service. */
export const searchIndexConfig = defineConfig({
  data: dataOption,
  share: shareOption,
  hashWorkers: option({
    flag: 'hash-workers',
    env: 'FILBERT_HASH_WORKERS',
    schema: integer({ min: 1, max: 16 }),
    default: 1,
    unit: 'threads',
    description: 'Threads that hash shared files.',
  }),
  rescanInterval: option({
    flag: 'rescan-interval',
    env: 'FILBERT_RESCAN_INTERVAL',
    schema: duration({ min: 1_000, max: 7 * 24 * 3_600_000 }),
    default: '10m',
    description: 'How often the share folders are looked through besides the changes that the system reports.',
  }),
  allowPrivate: allowPrivateOption,
  libraryEdgeId: option({
    flag: 'library-edge-id',
    env: 'FILBERT_LIBRARY_EDGE_ID',
    schema: busName(),
    default: 'library',
    description: 'Name of this part of the library on the bus; each search-index process needs its own.',
  }),
});

export type SearchIndexConfig = ConfigOf<typeof searchIndexConfig>;
