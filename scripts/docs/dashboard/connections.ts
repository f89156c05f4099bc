import { each, latency, per, rate, sum, total, type Row } from './panel.ts';

/** The row "Connections". */
export const CONNECTIONS: Row = {
  title: 'Connections',
  panels: [
    {
      title: 'Handshakes',
      description: 'By result. Many "lost" or "failed" point at the network or at hostile peers.',
      unit: 'ops',
      queries: [
        {
          expr: rate('filbert_connections_handshakes_total', 'direction, result'),
          legend: '{{direction}} {{result}}',
        },
      ],
    },
    {
      title: 'Frames refused',
      description: 'Frames from peers that went no further, by reason.',
      unit: 'ops',
      queries: per('filbert_connections_frames_dropped_total', 'reason'),
    },
    {
      title: 'Frames for the router',
      description: 'Shed or without credit: the router cannot keep up. Disconnected: NATS is away.',
      unit: 'ops',
      queries: per('filbert_connections_ingress_frames_total', 'result'),
    },
    {
      title: 'Waiting for peers',
      description: 'Bytes queued for links of each edge.',
      unit: 'bytes',
      queries: each('filbert_connections_queued_bytes'),
    },
    {
      title: 'Dropped from queues',
      description: 'Peers read too slowly. Queries and pings are ordinary, hits and PUSHes are not.',
      unit: 'ops',
      queries: per('filbert_connections_queue_dropped_total', 'class'),
    },
    {
      title: 'Connections refused',
      description: 'Closed before a handshake, by reason.',
      unit: 'ops',
      queries: per('filbert_connections_connections_refused_total', 'reason'),
    },
    {
      title: 'Time of handshakes',
      description: 'Of those that led to a link. Slow ones are those of slow peers, unless all are.',
      unit: 's',
      queries: latency('filbert_connections_handshake_seconds', '{result="connected"}'),
    },
    {
      title: 'Age of batches at the edges',
      description: 'From a shard to the edge. Above some tens of milliseconds the edges or the bus are behind.',
      unit: 's',
      queries: latency('filbert_connections_egress_age_seconds'),
    },
    {
      title: 'Coming and going',
      description: 'Connections, dials, and links that ended. Many dials that fail: the hosts that we know are old.',
      unit: 'ops',
      queries: [
        total('filbert_connections_accepted_total', 'incoming'),
        total('filbert_connections_dials_total', 'dialled'),
        total('filbert_connections_dials_failed_total', 'dials failed'),
        total('filbert_connections_links_closed_total', 'links ended'),
      ],
    },
    {
      title: 'Links that we ended',
      description: 'By the code of the BYE; docs/limits.md says which rule each stands for.',
      unit: 'ops',
      queries: per('filbert_connections_byes_total', 'code'),
    },
    {
      title: 'Under way and waiting',
      description: 'Handshakes, links that wait to be read, and connections piped to transfers workers.',
      unit: 'short',
      queries: [
        sum('filbert_connections_handshaking', 'handshakes'),
        sum('filbert_connections_reads_waiting', 'reads that wait'),
        sum('filbert_connections_transfers_piped', 'piped'),
      ],
    },
    {
      title: 'Reading and flushing',
      description:
        'Links made to wait before they were read: they flood, or shards are behind. From 4,000 flushes a second on, frames to leaves wait.',
      unit: 'ops',
      queries: [
        { expr: rate('filbert_connections_read_waits_total', 'instance'), legend: 'waits, {{instance}}' },
        { expr: rate('filbert_connections_flushes_total', 'instance'), legend: 'flushes, {{instance}}' },
      ],
    },
    {
      title: 'Frames from the router',
      description: 'For links, by what became of them. Queue-full: peers read too slowly.',
      unit: 'ops',
      queries: per('filbert_connections_deliveries_total', 'result'),
    },
    {
      title: 'Memory for streams and tables',
      description: 'Compressed links, up to --deflate-budget, and tables that came in part.',
      unit: 'bytes',
      queries: [
        sum('filbert_connections_compression_bytes', 'compression'),
        sum('filbert_connections_half_patch_bytes', 'tables in part'),
      ],
    },
    {
      title: 'Streams denied, tables given up',
      description:
        'Denied: --deflate-budget is used up, at the cost of bandwidth. Tables given up for memory: too many come at once.',
      unit: 'ops',
      queries: [
        total('filbert_connections_compression_denied_total', 'compression denied'),
        ...per('filbert_connections_half_patches_dropped_total', 'reason', 'table, '),
      ],
    },
    {
      title: 'HTTP and GIV handed over',
      description: 'By what became of them. No-worker or worker-unreachable: transfers is away.',
      unit: 'ops',
      queries: per('filbert_connections_transfers_handed_over_total', 'result'),
    },
    {
      title: 'Cut and not passed on',
      description:
        'Greedy queries whose TTL was cut; hosts and votes of peers that bootstrap is not told: unusable, or too many.',
      unit: 'ops',
      queries: [
        total('filbert_connections_queries_trimmed_total', 'queries cut'),
        total('filbert_connections_hosts_refused_total', 'hosts'),
        total('filbert_connections_votes_refused_total', 'votes on our address'),
      ],
    },
  ],
};
