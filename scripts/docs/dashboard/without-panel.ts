/** Metrics that are on no panel and in no alert, and why. A pattern stands for whole names. */
export interface WithoutPanel {
  readonly names: RegExp;
  readonly why: string;
}

/** All of them: test/k8s/monitoring.test.ts holds the dashboard and the alerts to it. */
export const WITHOUT_PANEL: readonly WithoutPanel[] = [
  {
    names: /^filbert_connections_pongs_cached$/,
    why: 'goes up and down with the lifetime of the cache, 20 s, and calls for nothing',
  },
  {
    names: /^filbert_bootstrap_hosts_proven$/,
    why: 'what the panel of hosts by state tells, but for those that rest',
  },
  {
    names: /^filbert_bootstrap_facts_version$/,
    why: 'a number to compare two processes by; what changes with it is on other panels',
  },
  {
    names: /^filbert_search_index_words$/,
    why: 'grows with the shared files, which have a panel',
  },
  {
    names: /^filbert_search_index_hit_bytes_total$/,
    why: 'hits and the files in them have a panel, and all bytes to peers',
  },
  {
    names: /^filbert_search_index_search_remembered_sources$/,
    why: 'a memory of 2,000 at most, of use to a person’s next search only',
  },
  {
    names: /^nodejs_eventloop_lag_(?:seconds|(?:min|max|mean|stddev|p50|p90)_seconds)$/,
    why: 'the 99th percentile has a panel and an alert',
  },
  {
    names: /^nodejs_(?:active_.+|gc_duration_seconds|version_info)$/,
    why: 'for whoever looks into one process',
  },
  {
    names: /^(?:nodejs_(?:heap|external)_.+|process_(?:heap|virtual_memory)_bytes)$/,
    why: 'parts of the memory, which has a panel as a whole',
  },
  {
    names: /^process_cpu_(?:system|user)_seconds_total$/,
    why: 'parts of the CPU, which has a panel as a whole',
  },
  {
    names: /^process_start_time_seconds$/,
    why: 'restarts are counted by Kubernetes, or by the supervisor',
  },
];
