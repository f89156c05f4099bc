import { latency, ownFrames, per, sum, total, type Row } from './panel.ts';

/** The row "Library". */
export const LIBRARY: Row = {
  title: 'Library',
  panels: [
    {
      title: 'Shared files',
      description: 'Files in the library and files that wait to be hashed.',
      unit: 'short',
      queries: [
        sum('filbert_search_index_shared_files', 'shared'),
        sum('filbert_search_index_hash_queue', 'to be hashed'),
      ],
    },
    {
      title: 'Queries to the library',
      description: 'By what became of them. Cut: not all candidates were looked at.',
      unit: 'ops',
      queries: [
        ...per('filbert_search_index_queries_total', 'result'),
        total('filbert_search_index_matches_cut_total', 'search cut'),
      ],
    },
    {
      title: 'Time to match',
      description: 'Of a query with the index.',
      unit: 's',
      queries: latency('filbert_search_index_match_seconds'),
    },
    {
      title: 'Bytes shared',
      description: 'In the library.',
      unit: 'bytes',
      queries: [sum('filbert_search_index_shared_bytes', 'shared')],
    },
    {
      title: 'Hashing',
      description: 'Bytes hashed. Nothing while files wait: the disk stands still.',
      unit: 'Bps',
      queries: [total('filbert_search_index_hashed_bytes_total', 'hashed')],
    },
    {
      title: 'Files hashed, and not',
      description: 'By reason. Queue full: found again later. Stalled: a disk or a network share does not answer.',
      unit: 'ops',
      queries: [
        total('filbert_search_index_hashed_files_total', 'hashed'),
        ...per('filbert_search_index_hash_failures_total', 'reason'),
        total('filbert_search_index_hash_refused_total', 'queue full'),
      ],
    },
    {
      title: 'Left out',
      description: 'Of the last full look through the share folders, by reason. Unreadable: permissions.',
      unit: 'short',
      stacked: true,
      queries: [{ expr: 'sum by (reason) (filbert_search_index_left_out)', legend: '{{reason}}' }],
    },
    {
      title: 'Share folders',
      description: 'Folders watched, files left alone since they keep changing, and whether a look is under way.',
      unit: 'short',
      queries: [
        sum('filbert_search_index_watched_folders', 'watched'),
        sum('filbert_search_index_unsettled_files', 'unsettled files'),
        sum('filbert_search_index_scanning', 'looking'),
      ],
    },
    {
      title: 'Looks and tables',
      description:
        'Looks that ended, by extent, and query route tables made. Full ones again and again: too much changes to be watched.',
      unit: 'ops',
      queries: [
        ...per('filbert_search_index_scans_total', 'extent', 'look, '),
        total('filbert_search_index_tables_total', 'tables'),
      ],
    },
    {
      title: 'Fill of the library’s table',
      description: 'Share of slots that are set. A full table brings every query here.',
      unit: 'percentunit',
      queries: [
        {
          expr: 'filbert_search_index_table_slots_set / filbert_search_index_table_slots',
          legend: '{{instance}}',
        },
      ],
    },
    {
      title: 'Hits sent',
      description: 'QUERY HITs of the library, and files that they name.',
      unit: 'ops',
      queries: [
        total('filbert_search_index_hits_total', 'hits'),
        total('filbert_search_index_hit_records_total', 'files'),
      ],
    },
    {
      title: 'Frames of the library and searches',
      description: 'No-credit or shed: the router cannot keep up. Disconnected: NATS is away.',
      unit: 'ops',
      queries: ownFrames('search_index'),
    },
    {
      title: 'Searches of people',
      description: 'Under way; at 64 a further one is refused.',
      unit: 'short',
      queries: [sum('filbert_search_index_searches', 'searches')],
    },
    {
      title: 'What searches find',
      description: 'Searches begun, sources found, recalled from earlier ones, and dropped because nobody took them.',
      unit: 'ops',
      queries: [
        total('filbert_search_index_searches_total', 'searches'),
        total('filbert_search_index_search_sources_total', 'found'),
        total('filbert_search_index_search_recalled_total', 'recalled'),
        total('filbert_search_index_search_dropped_total', 'dropped'),
      ],
    },
    {
      title: 'Hits for searches',
      description: 'By verdict. Much other than good: somebody answers with spam.',
      unit: 'ops',
      queries: per('filbert_search_index_search_hits_total', 'verdict'),
    },
  ],
};
