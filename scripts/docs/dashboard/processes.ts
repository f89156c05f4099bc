import { BUS_EVENTS } from '@filbert/kit';
import { anyService, each, per, slowest, total, WINDOW, type Row } from './panel.ts';

/** Events of the bus that cost a message. */
const TROUBLE = `event=~"${BUS_EVENTS.filter((event) => event !== 'published' && event !== 'delivered').join('|')}"`;

/** The row "Hosts and processes". */
export const PROCESSES: Row = {
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
    {
      title: 'Hosts refused and forgotten',
      description:
        'By reason. Report-too-long: an edge learns more than bootstrap takes. Full: the cache is at its bound.',
      unit: 'ops',
      queries: [
        ...per('filbert_bootstrap_hosts_refused_total', 'reason', 'refused, '),
        ...per('filbert_bootstrap_hosts_forgotten_total', 'reason', 'forgotten, '),
      ],
    },
    {
      title: 'Votes on our address',
      description:
        'What peers see us as and is not counted, by reason. Unusable ones are ordinary where peers are behind the same NAT.',
      unit: 'ops',
      queries: [
        ...per('filbert_bootstrap_votes_refused_total', 'reason', 'refused, '),
        ...per('filbert_bootstrap_votes_forgotten_total', 'reason', 'forgotten, '),
      ],
    },
    {
      title: 'Heartbeats not followed',
      description: 'Of edges, library parts and workers beyond 256. Any: processes start anew all the time.',
      unit: 'ops',
      queries: per('filbert_bootstrap_summaries_refused_total', 'kind'),
    },
    {
      title: 'Trouble on the bus',
      description: 'Messages that were dropped or whose handler failed, by event.',
      unit: 'ops',
      queries: per(anyService('bus_events_total', TROUBLE), 'event'),
    },
    {
      title: 'Waiting in streams of the bus',
      description: 'Bytes sent that their readers have not done yet, by topic. At 1 MiB a writer, frames are shed.',
      unit: 'bytes',
      queries: [{ expr: `sum by (topic) (${anyService('bus_outstanding_bytes')})`, legend: '{{topic}}' }],
    },
    {
      title: 'Spans of traces',
      description: 'Ended, sent, and failed to be sent; ended and neither: dropped, the collector is too slow.',
      unit: 'ops',
      queries: per(anyService('spans_total'), 'event'),
    },
    {
      title: 'Samples refused',
      description: 'Values that metrics left out: any is a mistake in the program, please report it.',
      unit: 'ops',
      queries: ['connections', 'router', 'bootstrap', 'search_index', 'transfers', 'node', 'supervisor'].map(
        (service) => total(`filbert_${service}_refused_samples_total`, service),
      ),
    },
    {
      title: 'Processes of the supervisor',
      description: 'Only with filbert up --processes: those that live and do their work.',
      unit: 'short',
      queries: [{ expr: 'sum by (kind) (filbert_supervisor_children_up)', legend: '{{kind}}' }],
    },
    {
      title: 'Processes started again',
      description:
        'Only with filbert up --processes: the log says why they ended. Missing: one lives and does not tell its metrics.',
      unit: 'ops',
      queries: [
        ...per('filbert_supervisor_child_restarts_total', 'kind'),
        total('filbert_supervisor_metrics_missing_total', 'metrics missing'),
      ],
    },
  ],
};
