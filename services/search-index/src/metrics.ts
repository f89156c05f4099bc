import { declareInternalEdge } from '@filbert/contracts';
import type { Durations, Metrics } from '@filbert/kit';
import type { HashFailure } from './hash/hash-messages.ts';
import { QUERY_RESULTS } from './link/library-link.ts';
import { LEFT_OUT_REASONS } from './scan/left-out.ts';
import type { SearchIndex } from './search-index.ts';
import { HIT_VERDICTS } from './search/judge-hit.ts';

const HASH_FAILURES = [
  'changed',
  'vanished',
  'unreadable',
  'not-a-file',
  'stalled',
] as const satisfies readonly HashFailure[];

/**
 * Declares what search-index tells: all of it is read from plain numbers at scrape time.
 * @param matching what the index counts the time of each match in
 */
export function declareMetrics(metrics: Metrics, index: SearchIndex, matching: Durations): void {
  declareInternalEdge(metrics, () => index.edge);
  metrics.durationsFrom('match_seconds', 'Time to find the files that answer a query.', () => matching);
  const gauge = (name: string, help: string, read: (parts: NonNullable<SearchIndex['parts']>) => number): void =>
    metrics.gaugeFrom(name, help, () => (index.parts === undefined ? 0 : read(index.parts)));
  const counter = (name: string, help: string, read: (parts: NonNullable<SearchIndex['parts']>) => number): void =>
    metrics.counterFrom(name, help, () => (index.parts === undefined ? 0 : read(index.parts)));

  gauge('shared_files', 'Files that are shared.', ({ library }) => library.size);
  gauge('shared_bytes', 'Bytes that are shared.', ({ library }) => library.bytes);
  gauge('words', 'Different words of their names.', ({ library }) => library.names.words);
  gauge('table_slots', 'Slots of the library’s query route table.', ({ link }) => link.tableSlots);
  gauge('table_slots_set', 'Slots of that table that are set.', ({ link }) => link.tableSlotsSet);
  gauge('hash_queue', 'Files that wait to be hashed.', ({ pool }) => pool.waiting);
  gauge(
    'unsettled_files',
    'Files that changed lately and are left alone for a while.',
    ({ scanner }) => scanner.unsettled,
  );
  gauge('watched_folders', 'Folders whose changes the system reports.', ({ watcher }) => watcher.watched);
  gauge('scanning', '1 while share folders are looked through.', ({ scanner }) => (scanner.isScanning ? 1 : 0));
  gauge('searches', 'Searches of people under way.', ({ searches }) => searches.active);
  counter('tables_total', 'Query route tables made.', ({ link }) => link.counters.tables);
  counter('hits_total', 'QUERY HITs sent.', ({ link }) => link.counters.hits);
  counter('hit_bytes_total', 'Bytes of QUERY HITs sent.', ({ link }) => link.counters.hitBytes);
  counter('hit_records_total', 'Files named in QUERY HITs sent.', ({ link }) => link.counters.records);
  counter(
    'matches_cut_total',
    'Queries with so many candidates that not all were looked at.',
    ({ library }) => library.names.truncated,
  );
  counter('hashed_files_total', 'Files hashed.', ({ pool }) => pool.filesHashed);
  counter('hashed_bytes_total', 'Bytes hashed.', ({ pool }) => pool.bytesHashed);
  counter(
    'hash_refused_total',
    'Files that found the queue full; they are found again later.',
    ({ pool }) => pool.refused,
  );
  counter(
    'catalogue_errors_total',
    'Times that the catalogue could not be written.',
    ({ library }) => library.catalogueErrors,
  );
  counter('searches_total', 'Searches of people begun.', ({ searches }) => searches.counters.searches);
  counter('search_sources_total', 'Sources that searches found.', ({ searches }) => searches.counters.sources);
  counter(
    'search_recalled_total',
    'Sources that searches by hash took from what earlier ones had found.',
    ({ searches }) => searches.counters.recalled,
  );
  gauge(
    'search_remembered_sources',
    'Sources remembered from searches, for searches by hash.',
    ({ searches }) => searches.remembered,
  );
  counter(
    'search_dropped_total',
    'Sources dropped because nobody took them.',
    ({ searches }) => searches.counters.dropped,
  );

  metrics.counterFrom('scans_total', 'Looks through share folders that ended.', { extent: ['full', 'partial'] }, () => [
    { labels: { extent: 'full' as const }, value: index.parts?.scanner.scans.full ?? 0 },
    { labels: { extent: 'partial' as const }, value: index.parts?.scanner.scans.partial ?? 0 },
  ]);
  metrics.gaugeFrom('left_out', 'What the last full look left out, by reason.', { reason: LEFT_OUT_REASONS }, () =>
    LEFT_OUT_REASONS.map((reason) => ({ labels: { reason }, value: index.parts?.scanner.leftOut[reason] ?? 0 })),
  );
  metrics.counterFrom('hash_failures_total', 'Files not hashed, by reason.', { reason: HASH_FAILURES }, () =>
    HASH_FAILURES.map((reason) => ({ labels: { reason }, value: index.parts?.pool.failures[reason] ?? 0 })),
  );
  metrics.counterFrom(
    'queries_total',
    'Queries from the router, by what became of them.',
    { result: QUERY_RESULTS },
    () =>
      QUERY_RESULTS.map((result) => ({ labels: { result }, value: index.parts?.link.counters.queries[result] ?? 0 })),
  );
  metrics.counterFrom(
    'search_hits_total',
    'QUERY HITs for people’s searches, by verdict.',
    { verdict: HIT_VERDICTS },
    () =>
      HIT_VERDICTS.map((verdict) => ({
        labels: { verdict },
        value: index.parts?.searches.counters.hits[verdict] ?? 0,
      })),
  );
}
