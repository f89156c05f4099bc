import { z } from 'zod';

/** Most metrics of one process that are merged. */
export const MAX_MERGED_METRICS = 1_000;
/** Most values of one metric of one process that are merged. */
export const MAX_MERGED_VALUES = 20_000;

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$/;

const MetricJson = z.object({
  name: z.string().regex(NAME),
  help: z.string().max(1_000),
  type: z.enum(['counter', 'gauge', 'histogram', 'summary']),
  values: z
    .array(
      z.object({
        // JSON has no NaN: a gauge without a reading arrives as null.
        value: z.number().nullable(),
        labels: z.record(z.string().regex(NAME), z.union([z.string(), z.number()])).default({}),
        metricName: z.string().regex(NAME).optional(),
      }),
    )
    .max(MAX_MERGED_VALUES),
});
const MetricsJson = z.array(MetricJson).max(MAX_MERGED_METRICS);

/** The metrics of one process, as `/metrics.json` gives them. */
export type MetricsJson = z.output<typeof MetricsJson>;

/** Metrics with the process they came from. */
export interface ProcessMetrics {
  /** Short and one of few, such as `connections-2`. */
  readonly process: string;
  readonly json: MetricsJson;
}

/** Reads what another process's `/metrics.json` answered. */
export function parseMetricsJson(
  value: unknown,
): { readonly ok: true; readonly value: MetricsJson } | { readonly ok: false; readonly problem: string } {
  const parsed = MetricsJson.safeParse(value);
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, problem: z.prettifyError(parsed.error) };
}

/**
 * Several processes' metrics as one `/metrics.json`, each value with a label `process`. Nothing is summed: that is left to
 * queries. Where two processes disagree on a metric's type, the first one's is kept and the other's values are left out.
 */
export function mergeMetricsJson(processes: Iterable<ProcessMetrics>): MetricsJson {
  const families = new Map<string, MetricsJson[number]>();
  for (const { process, json } of processes) {
    for (const metric of json) {
      const family = families.get(metric.name) ?? { ...metric, values: [] };
      families.set(metric.name, family);
      if (family.type !== metric.type) continue;
      for (const value of metric.values) family.values.push({ ...value, labels: { ...value.labels, process } });
    }
  }
  return [...families.values()];
}

/** Prometheus text of several processes' metrics, merged as `mergeMetricsJson` does. */
export function mergeProcessMetrics(processes: Iterable<ProcessMetrics>): string {
  let text = '';
  for (const { name, help, type, values } of mergeMetricsJson(processes)) {
    text += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
    for (const { value, labels, metricName } of values) {
      const pairs = Object.entries(labels).map(([label, given]) => `${label}="${escaped(String(given))}"`);
      text += `${metricName ?? name}{${pairs.join(',')}} ${written(value)}\n`;
    }
  }
  return text;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function written(value: number | null): string {
  if (value === null || Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}
