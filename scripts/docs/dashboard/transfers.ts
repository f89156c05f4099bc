import { latency, ownFrames, per, slowest, sum, total, type Row } from './panel.ts';

/** The row "Transfers". */
export const TRANSFERS: Row = {
  title: 'Transfers',
  panels: [
    {
      title: 'Bytes of files',
      description: 'Sent, received, and thrown away since the hash of the file was wrong.',
      unit: 'Bps',
      queries: [
        total('filbert_transfers_uploaded_bytes_total', 'uploaded'),
        total('filbert_transfers_downloaded_bytes_total', 'downloaded'),
        total('filbert_transfers_discarded_bytes_total', 'discarded'),
      ],
    },
    {
      title: 'Uploads',
      description: 'Under way, waiting in the queue, and free slots.',
      unit: 'short',
      queries: [
        sum('filbert_transfers_uploads', 'under way'),
        sum('filbert_transfers_uploads_queued', 'queued'),
        { expr: 'sum(filbert_transfers_upload_slots{use="free"})', legend: 'free slots' },
      ],
    },
    {
      title: 'Downloads',
      description: 'By state.',
      unit: 'short',
      stacked: true,
      queries: [{ expr: 'sum by (state) (filbert_transfers_downloads)', legend: '{{state}}' }],
    },
    {
      title: 'Downloads between workers',
      description:
        'Taken over from workers that were gone, taken away from this one, and notes that could not be written.',
      unit: 'short',
      queries: [
        { expr: 'sum(increase(filbert_transfers_download_takeovers_total[5m]))', legend: 'taken over' },
        { expr: 'sum(increase(filbert_transfers_downloads_taken_away_total[5m]))', legend: 'taken away' },
        { expr: 'sum(increase(filbert_transfers_download_notes_refused_total[5m]))', legend: 'notes refused' },
        { expr: 'sum(increase(filbert_transfers_download_records_unreadable_total[5m]))', legend: 'unreadable' },
      ],
    },
    {
      title: 'Requests',
      description: 'HTTP requests by what was answered.',
      unit: 'ops',
      queries: per('filbert_transfers_requests_total', 'result'),
    },
    {
      title: 'Faults of sources',
      description: 'Held against hosts that files are fetched from.',
      unit: 'ops',
      queries: per('filbert_transfers_source_faults_total', 'reason'),
    },
    {
      title: 'PUSH and GIV',
      description: 'PUSHes for the node by outcome, PUSHes sent to sources, and what became of GIVs.',
      unit: 'ops',
      queries: [
        total('filbert_transfers_pushes_sent_total', 'PUSH sent'),
        ...per('filbert_transfers_pushes_received_total', 'result', 'PUSH '),
        ...per('filbert_transfers_givs_total', 'result', 'GIV '),
      ],
    },
    {
      title: 'First byte of uploads',
      description: 'From a request to the first byte of the file: the library, the slots and the disk.',
      unit: 's',
      queries: latency('filbert_transfers_upload_first_byte_seconds'),
    },
    {
      title: 'First byte of downloads',
      description: 'From our request to the first byte of the file: the sources and the way to them.',
      unit: 's',
      queries: latency('filbert_transfers_download_first_byte_seconds'),
    },
    {
      title: 'Time of requests',
      description: '99 % by answer. With a file it is the time of the whole upload.',
      unit: 's',
      queries: slowest('filbert_transfers_request_seconds', 'answer'),
    },
    {
      title: 'Connections of peers',
      description: 'Open ones, those to sources of downloads, and downloads that wait for a GIV.',
      unit: 'short',
      queries: [
        sum('filbert_transfers_connections', 'of peers'),
        sum('filbert_transfers_download_sources_active', 'to sources'),
        sum('filbert_transfers_givs_awaited', 'GIVs awaited'),
      ],
    },
    {
      title: 'Transfers connections refused',
      description: 'Closed before they said what they want, by reason.',
      unit: 'ops',
      queries: per('filbert_transfers_connections_refused_total', 'reason'),
    },
    {
      title: 'Uploads refused or queued',
      description:
        'By reason. Queue-full: more slots or more bandwidth are wanted. Library-away: search-index or NATS is.',
      unit: 'ops',
      queries: per('filbert_transfers_uploads_refused_total', 'reason'),
    },
    {
      title: 'Places in the upload queue',
      description: 'By how they ended. Mostly expired: clients do not come back, slots go to few.',
      unit: 'ops',
      queries: per('filbert_transfers_queue_places_ended_total', 'reason'),
    },
    {
      title: 'Downloads that ended',
      description: 'Well, or with a wrong hash: then a source sent something else.',
      unit: 'ops',
      queries: [
        total('filbert_transfers_downloads_completed_total', 'completed'),
        total('filbert_transfers_hash_mismatches_total', 'wrong hash'),
      ],
    },
    {
      title: 'Frames of PUSHes',
      description: 'No-credit or shed: the router cannot keep up. Disconnected: NATS is away.',
      unit: 'ops',
      queries: ownFrames('transfers'),
    },
  ],
};
