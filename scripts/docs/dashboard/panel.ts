// What the rows of the dashboard are written with.

/** One line or stack of a panel. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** What the panel tells, and what to do when it looks wrong. */
  readonly description: string;
  /** Of Grafana: short, Bps, bytes, s, ops, percentunit. */
  readonly unit: string;
  readonly queries: readonly Query[];
  readonly stacked?: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Every rate is over this window, which Grafana fits to the step. */
export const WINDOW = '[$__rate_interval]';

/** The rate of a counter by labels. */
export const rate = (metric: string, by: string): string => `sum by (${by}) (rate(${metric}${WINDOW}))`;

/** The same, a line for each value of the label; what all lines share of their legend stands before it. */
export const per = (metric: string, label: string, before = ''): readonly Query[] => [
  { expr: rate(metric, label), legend: `${before}{{${label}}}` },
];

/** The rate of a counter over all processes and labels. */
export const total = (metric: string, legend: string): Query => ({ expr: `sum(rate(${metric}${WINDOW}))`, legend });

/** A gauge, summed over all processes and labels. */
export const sum = (metric: string, legend: string): Query => ({ expr: `sum(${metric})`, legend });

/** The slowest hundredth, the slowest tenth and the median of a histogram. */
export const latency = (metric: string, selector = ''): readonly Query[] =>
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
export const anyService = (metric: string, matchers = ''): string =>
  `{__name__=~"filbert_.+_${metric}"${matchers === '' ? '' : `, ${matchers}`}}`;

/** The slowest hundredth of a histogram by one of its labels. */
export const slowest = (metric: string, label: string, named = (name: string): string => name): readonly Query[] => [
  { expr: `histogram_quantile(0.99, ${rate(named(`${metric}_bucket`), `le, ${label}`)})`, legend: `{{${label}}}` },
];

/** A gauge of each process. */
export const each = (metric: string): readonly Query[] => [{ expr: metric, legend: '{{instance}}' }];

/** What became of the frames that a service sends and gets over its own links of the router. */
export const ownFrames = (service: string): readonly Query[] => [
  ...per(`filbert_${service}_ingress_frames_total`, 'result', 'to the router, '),
  ...per(`filbert_${service}_deliveries_total`, 'result', 'from the router, '),
  total(`filbert_${service}_links_refused_total`, 'links refused'),
];
