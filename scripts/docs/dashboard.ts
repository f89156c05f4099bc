/** One line or stack of a panel. */
interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  /** What the panel tells, and what to do when it looks wrong. */
  readonly description: string;
  /** Of Grafana: short, Bps, bytes, s, ops, percentunit. */
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly stacked?: boolean;
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Every rate is over this window, which Grafana fits to the step. */
const WINDOW = '[$__rate_interval]';
const PANEL_WIDTH = 8;
const PANEL_HEIGHT = 8;
const GRID_WIDTH = 24;

const rate = (metric: string, by: string): string => `sum by (${by}) (rate(${metric}${WINDOW}))`;
const per = (metric: string, label: string): readonly Query[] => [
  { expr: rate(metric, label), legend: `{{${label}}}` },
];
/** The slowest hundredth, the slowest tenth and the median of a histogram. */
const latency = (metric: string, selector = ''): readonly Query[] =>
  (
    [
      ['99 %', 0.99],
      ['90 %', 0.9],
      ['median', 0.5],
    ] as const
  ).map(([legend, share]) => ({
    expr: `histogram_quantile(${share}, sum by (le) (rate(${metric}_bucket${selector}${WINDOW})))`,
    legend,
  }));
/** A metric that each process has under a name of its own. */
const anyService = (metric: string): string => `{__name__=~"filbert_.+_${metric}"}`;
/** The slowest hundredth of a histogram by one of its labels. */
const slowest = (metric: string, label: string, named = (name: string): string => name): readonly Query[] => [
  { expr: `histogram_quantile(0.99, ${rate(named(`${metric}_bucket`), `le, ${label}`)})`, legend: `{{${label}}}` },
];
const each = (metric: string): readonly Query[] => [{ expr: metric, legend: '{{instance}}' }];

const ROWS: readonly Row[] = [
  {
    title: 'The node',
    panels: [
      {
        title: 'Links',
        description: 'Neighbours by role, and the slots that there are.',
        unit: 'short',
        queries: [
          { expr: 'sum by (role) (filbert_connections_links)', legend: '{{role}}' },
          { expr: 'max by (role) (filbert_connections_slots)', legend: '{{role}} slots' },
        ],
      },
      {
        title: 'Traffic',
        description: 'Bytes from and to peers.',
        unit: 'Bps',
        queries: [
          { expr: `sum(rate(filbert_connections_received_bytes_total${WINDOW}))`, legend: 'received' },
          { expr: `sum(rate(filbert_connections_sent_bytes_total${WINDOW}))`, legend: 'sent' },
        ],
      },
      {
        title: 'Messages',
        description: 'Messages from and to peers.',
        unit: 'ops',
        queries: [
          { expr: `sum(rate(filbert_connections_received_messages_total${WINDOW}))`, legend: 'received' },
          { expr: `sum(rate(filbert_connections_sent_messages_total${WINDOW}))`, legend: 'sent' },
        ],
      },
    ],
  },
  {
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
    ],
  },
  {
    title: 'Router',
    panels: [
      {
        title: 'Frames routed',
        description: 'Frames that the shards took, by type.',
        unit: 'ops',
        queries: per('filbert_router_frames_total', 'type'),
      },
      {
        title: 'Copies delivered',
        description: 'Copies handed to links, by type.',
        unit: 'ops',
        queries: per('filbert_router_deliveries_total', 'type'),
      },
      {
        title: 'Frames dropped',
        description: 'By reason. Duplicates are ordinary.',
        unit: 'ops',
        queries: per('filbert_router_dropped_total', 'reason'),
      },
      {
        title: 'Routes remembered',
        description: 'Query and servent GUIDs, per shard.',
        unit: 'short',
        queries: [
          { expr: 'filbert_router_query_routes', legend: 'queries, {{instance}}' },
          { expr: 'filbert_router_push_routes', legend: 'servents, {{instance}}' },
        ],
      },
      {
        title: 'Searches for leaves',
        description: 'Under way.',
        unit: 'short',
        queries: [{ expr: 'sum(filbert_router_leaf_searches)', legend: 'searches' }],
      },
      {
        title: 'Replays of link records',
        description: 'A steady rate means that the bus loses messages.',
        unit: 'ops',
        queries: [{ expr: rate('filbert_router_replays_asked_total', 'instance'), legend: '{{instance}}' }],
      },
      {
        title: 'Age of batches at the shards',
        description: 'From an edge to the shard, waits included. Near 0.25 s the edges begin to shed.',
        unit: 's',
        queries: latency('filbert_router_ingress_age_seconds'),
      },
      {
        title: 'Bytes of frames',
        description: 'From and to the edges; a frame for many links counts once.',
        unit: 'Bps',
        queries: [
          { expr: `sum(rate(filbert_router_received_bytes_total${WINDOW}))`, legend: 'from edges' },
          { expr: `sum(rate(filbert_router_sent_bytes_total${WINDOW}))`, legend: 'to edges' },
        ],
      },
      {
        title: 'Batches held',
        description: 'They wait for link records, 0.2 s at most. More than a few for long: the bus loses messages.',
        unit: 'short',
        queries: each('filbert_router_held_batches'),
      },
    ],
  },
  {
    title: 'Library',
    panels: [
      {
        title: 'Shared files',
        description: 'Files in the library and files that wait to be hashed.',
        unit: 'short',
        queries: [
          { expr: 'sum(filbert_search_index_shared_files)', legend: 'shared' },
          { expr: 'sum(filbert_search_index_hash_queue)', legend: 'to be hashed' },
        ],
      },
      {
        title: 'Queries to the library',
        description: 'By what became of them.',
        unit: 'ops',
        queries: per('filbert_search_index_queries_total', 'result'),
      },
      {
        title: 'Time to match',
        description: 'Of a query with the index.',
        unit: 's',
        queries: latency('filbert_search_index_match_seconds'),
      },
    ],
  },
  {
    title: 'Transfers',
    panels: [
      {
        title: 'Bytes of files',
        description: 'Sent and received.',
        unit: 'Bps',
        queries: [
          { expr: `sum(rate(filbert_transfers_uploaded_bytes_total${WINDOW}))`, legend: 'uploaded' },
          { expr: `sum(rate(filbert_transfers_downloaded_bytes_total${WINDOW}))`, legend: 'downloaded' },
        ],
      },
      {
        title: 'Uploads',
        description: 'Under way, waiting in the queue, and free slots.',
        unit: 'short',
        queries: [
          { expr: 'sum(filbert_transfers_uploads)', legend: 'under way' },
          { expr: 'sum(filbert_transfers_uploads_queued)', legend: 'queued' },
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
        description: 'PUSHes for the node by outcome, and what became of GIVs.',
        unit: 'ops',
        queries: [
          { expr: rate('filbert_transfers_pushes_received_total', 'result'), legend: 'PUSH {{result}}' },
          { expr: rate('filbert_transfers_givs_total', 'result'), legend: 'GIV {{result}}' },
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
    ],
  },
  {
    title: 'Hosts and processes',
    panels: [
      {
        title: 'Hosts known',
        description: 'In the host cache, by state. None that is untried or proven: nobody is left to dial.',
        unit: 'short',
        stacked: true,
        queries: [{ expr: 'max by (state) (filbert_bootstrap_hosts)', legend: '{{state}}' }],
      },
      {
        title: 'Parts of the node',
        description: 'Edges, library parts and transfers workers that bootstrap hears of.',
        unit: 'short',
        queries: [
          { expr: 'max(filbert_bootstrap_edges)', legend: 'edges' },
          { expr: 'max(filbert_bootstrap_library_parts)', legend: 'library parts' },
          { expr: 'max(filbert_bootstrap_transfers_workers)', legend: 'transfers workers' },
        ],
      },
      {
        title: 'Requests over the bus',
        description: '99 % by topic. Near the time-out of a topic its responder is away.',
        unit: 's',
        queries: slowest('bus_request_seconds', 'topic', anyService),
      },
      {
        title: 'gRPC calls',
        description: '99 % by method. Streams count with all of their time.',
        unit: 's',
        queries: slowest('rpc_call_seconds', 'method', anyService),
      },
      {
        title: 'CPU',
        description: 'Cores used by each process.',
        unit: 'short',
        queries: [{ expr: `rate(process_cpu_seconds_total${WINDOW})`, legend: '{{instance}}' }],
      },
      {
        title: 'Memory',
        description: 'Resident, of each process.',
        unit: 'bytes',
        queries: each('process_resident_memory_bytes'),
      },
      {
        title: 'Event loop',
        description: 'Lag, 99 %. Above some tens of milliseconds a process is at its limit.',
        unit: 's',
        queries: each('nodejs_eventloop_lag_p99_seconds'),
      },
      {
        title: 'File handles',
        description: 'Share in use.',
        unit: 'percentunit',
        queries: [{ expr: 'process_open_fds / process_max_fds', legend: '{{instance}}' }],
      },
    ],
  },
];

/** Grafana's dashboard of a node, as JSON. */
export function dashboard(): string {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: own } of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      gridPos: { x: 0, y: y++, w: GRID_WIDTH, h: 1 },
      panels: [],
    });
    own.forEach((panel, index) => {
      const x = (index * PANEL_WIDTH) % GRID_WIDTH;
      if (index > 0 && x === 0) y += PANEL_HEIGHT;
      panels.push(timeSeries(panel, panels.length + 1, x, y));
    });
    y += PANEL_HEIGHT;
  }
  return `${JSON.stringify(
    {
      uid: 'filbert',
      title: 'Filbert',
      tags: ['filbert'],
      schemaVersion: 39,
      editable: true,
      refresh: '30s',
      time: { from: 'now-3h', to: 'now' },
      templating: {
        list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
      },
      panels,
    },
    undefined,
    2,
  )}\n`;
}

function timeSeries(
  { title, description, unit, queries, stacked = false }: Panel,
  id: number,
  x: number,
  y: number,
): object {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  return {
    id,
    type: 'timeseries',
    title,
    description,
    gridPos: { x, y, w: PANEL_WIDTH, h: PANEL_HEIGHT },
    datasource,
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        custom: { fillOpacity: stacked ? 30 : 0, stacking: { mode: stacked ? 'normal' : 'none' } },
      },
      overrides: [],
    },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource,
      expr,
      legendFormat: legend,
    })),
  };
}
