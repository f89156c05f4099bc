import { declareInternalEdge } from '@filbert/contracts';
import type { Metrics } from '@filbert/kit';
import {
  BLAME_REASONS,
  CONNECTION_REFUSALS,
  GIV_RESULTS,
  PUSH_RESULTS,
  REQUEST_RESULTS,
  UPLOAD_REFUSALS,
} from './counters.ts';
import type { DownloadState } from './download/download.ts';
import { PLACE_ENDS } from './slots/upload-slots.ts';
import type { Transfers } from './transfers.ts';

const STATES = [
  'queued',
  'running',
  'waiting',
  'verifying',
  'completed',
  'paused',
  'disk-full',
  'failed',
] as const satisfies readonly DownloadState[];

/** Declares what the transfers service tells: all of it is read from plain numbers at scrape time. */
export function declareMetrics(metrics: Metrics, transfers: Transfers): void {
  const { counters, slots, uploads, downloads } = transfers;
  declareInternalEdge(metrics, () => transfers.edge);
  metrics.gaugeFrom('connections', 'Connections of peers.', () => transfers.connections);
  metrics.gaugeFrom('uploads', 'Uploads under way.', () => uploads.uploads.size);
  metrics.gaugeFrom('upload_slots', 'Upload slots by use.', { use: ['free', 'taken'] }, () => [
    { labels: { use: 'free' }, value: slots.free },
    { labels: { use: 'taken' }, value: slots.total - slots.free },
  ]);
  metrics.gaugeFrom('uploads_queued', 'Places taken in the upload queue.', () => slots.queued);
  metrics.gaugeFrom('downloads', 'Downloads by state.', { state: STATES }, () => {
    const all = downloads.all();
    return STATES.map((state) => ({
      labels: { state },
      value: all.filter((download) => download.state === state).length,
    }));
  });
  metrics.gaugeFrom('download_sources_active', 'Connections to sources.', () => downloads.sessions);
  metrics.gaugeFrom('givs_awaited', 'Downloads that wait for a GIV.', () => transfers.givsAwaited);
  metrics.counterFrom('uploaded_bytes_total', 'Bytes of files and listings sent.', () => counters.uploadedBytes);
  metrics.counterFrom('downloaded_bytes_total', 'Bytes of files received.', () => counters.downloadedBytes);
  metrics.counterFrom(
    'discarded_bytes_total',
    'Bytes received and thrown away because the hash of the file was wrong.',
    () => counters.discardedBytes,
  );
  metrics.durationsFrom(
    'upload_first_byte_seconds',
    'Time from a request for a file to its first byte.',
    () => counters.uploadFirstByte,
  );
  metrics.durationsFrom(
    'request_seconds',
    'Time from an HTTP request to the end of the answer, by whether a file was sent.',
    { answer: ['file', 'other'] },
    () => [
      { labels: { answer: 'file' }, durations: counters.requestTook.file },
      { labels: { answer: 'other' }, durations: counters.requestTook.other },
    ],
  );
  metrics.durationsFrom(
    'download_first_byte_seconds',
    'Time from a request to a source to the first byte of the file.',
    () => counters.downloadFirstByte,
  );
  metrics.counterFrom('downloads_completed_total', 'Downloads that ended well.', () => counters.downloadsCompleted);
  metrics.counterFrom('hash_mismatches_total', 'Fetched files with a wrong hash.', () => counters.hashMismatches);
  metrics.counterFrom('pushes_sent_total', 'PUSHes sent to firewalled sources.', () => counters.pushesSent);
  const { jobs } = transfers;
  metrics.counterFrom(
    'download_takeovers_total',
    'Downloads of workers that were gone, taken over by this one.',
    () => jobs.takenOver,
  );
  metrics.counterFrom(
    'downloads_taken_away_total',
    'Downloads of this worker that another had taken over.',
    () => jobs.takenAway,
  );
  metrics.counterFrom(
    'download_records_unreadable_total',
    'Times that a record of a download could not be read and was passed over.',
    () => jobs.unreadable,
  );
  metrics.counterFrom(
    'download_notes_refused_total',
    'Times that the state of a download could not be noted.',
    () => jobs.refused,
  );
  byName(
    metrics,
    'requests_total',
    'HTTP requests by what was answered.',
    'result',
    REQUEST_RESULTS,
    counters.requests,
  );
  byName(
    metrics,
    'uploads_refused_total',
    'Requests for files that were queued or told to come back, by reason.',
    'reason',
    UPLOAD_REFUSALS,
    counters.uploadsRefused,
  );
  byName(
    metrics,
    'queue_places_ended_total',
    'Places in the upload queue that ended, by reason; all but "served" got no slot.',
    'reason',
    PLACE_ENDS,
    slots.placesEnded,
  );
  byName(metrics, 'pushes_received_total', 'PUSHes for the node by outcome.', 'result', PUSH_RESULTS, counters.pushes);
  byName(metrics, 'givs_total', 'GIVs by what became of them.', 'result', GIV_RESULTS, counters.givs);
  byName(
    metrics,
    'connections_refused_total',
    'Connections closed before they said what they want, by reason.',
    'reason',
    CONNECTION_REFUSALS,
    counters.refusedConnections,
  );
  byName(
    metrics,
    'source_faults_total',
    'Faults held against download sources, by reason.',
    'reason',
    BLAME_REASONS,
    counters.blames,
  );
}

function byName<K extends string, L extends 'result' | 'reason'>(
  metrics: Metrics,
  name: string,
  help: string,
  label: L,
  names: readonly K[],
  counts: Readonly<Record<K, number>>,
): void {
  const labels: Readonly<Record<string, readonly string[]>> = { [label]: names };
  metrics.counterFrom(name, help, labels, () => names.map((one) => ({ labels: { [label]: one }, value: counts[one] })));
}
