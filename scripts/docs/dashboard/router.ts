import { each, latency, per, sum, total, type Row } from './panel.ts';

/** The row "Router". */
export const ROUTER: Row = {
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
      queries: [sum('filbert_router_leaf_searches', 'searches')],
    },
    {
      title: 'Replays of link records',
      description: 'A steady rate means that the bus loses messages.',
      unit: 'ops',
      queries: [...per('filbert_router_replays_asked_total', 'instance')],
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
        total('filbert_router_received_bytes_total', 'from edges'),
        total('filbert_router_sent_bytes_total', 'to edges'),
      ],
    },
    {
      title: 'Batches held',
      description: 'They wait for link records, 0.2 s at most. More than a few for long: the bus loses messages.',
      unit: 'short',
      queries: each('filbert_router_held_batches'),
    },
    {
      title: 'Links known',
      description: 'Links and edges of each shard, and leaves whose table can be used.',
      unit: 'short',
      queries: [
        { expr: 'filbert_router_links', legend: 'links, {{instance}}' },
        { expr: 'filbert_router_leaf_tables', legend: 'leaves with a table, {{instance}}' },
        { expr: 'filbert_router_edges', legend: 'edges, {{instance}}' },
        sum('filbert_search_index_links', 'own: library and searches'),
        sum('filbert_transfers_links', 'own: PUSHes'),
      ],
    },
    {
      title: 'Links ended for the node',
      description:
        'Links that break a rule of the whole node, by rule: one GUID, or too many of an address or a network.',
      unit: 'ops',
      queries: per('filbert_router_kicks_total', 'reason'),
    },
    {
      title: 'PUSHes over HTTP',
      description: 'Asked for by peers, by what became of them.',
      unit: 'ops',
      queries: per('filbert_router_push_proxy_requests_total', 'result'),
    },
    {
      title: 'Routes forgotten',
      description:
        'With their generation, in time; and generations that were full before their time, whose hits find no way back.',
      unit: 'ops',
      queries: [
        ...per('filbert_router_routes_expired_total', 'table', 'routes, '),
        ...per('filbert_router_route_generations_full_total', 'table', 'full generations, '),
      ],
    },
    {
      title: 'Links that the filter finds',
      description:
        'And of these those that the exact table refuses: a large share means that tables are folded or full.',
      unit: 'ops',
      queries: [
        total('filbert_router_candidates_total', 'found'),
        total('filbert_router_candidates_refused_total', 'refused'),
      ],
    },
    {
      title: 'Merged table',
      description: 'Slots set in what ultrapeers get, of 65,536 to 1,048,576.',
      unit: 'short',
      queries: each('filbert_router_merged_table_slots'),
    },
  ],
};
