import { get } from 'node:http';
import {
  mergeMetricsJson,
  mergeProcessMetrics,
  parseMetricsJson,
  type HostPort,
  type MetricsSource,
  type ProcessMetrics,
} from '@filbert/kit';

/** Longest time that a process may take to tell its metrics, ms. */
export const GATHER_TIMEOUT_MS = 2_000;
/** Largest answer of one process, bytes. */
export const MAX_METRICS_BYTES = 8 * 2 ** 20;

/** The name under which the supervisor's own metrics stand. */
const SUPERVISOR = 'supervisor';

/** A process whose /metrics.json is gathered. */
export interface MetricsProcess {
  readonly name: string;
  /** Undefined while it does not answer. */
  readonly admin: HostPort | undefined;
}

export interface GatheredMetricsOptions {
  /** The supervisor's own. */
  readonly own: MetricsSource;
  readonly processes: readonly MetricsProcess[];
  /** A process that lives did not answer in time, or not with metrics: it is left out. */
  readonly onMissing: (process: string, problem: string) => void;
}

/** The metrics of all processes of a node, each value with the label `process`. */
export function gatheredMetrics({ own, processes, onMissing }: GatheredMetricsOptions): MetricsSource {
  const gather = async (): Promise<ProcessMetrics[]> => {
    const mine = parseMetricsJson(JSON.parse(JSON.stringify(await own.getMetricsAsJSON())));
    const theirs = await Promise.all(
      processes.map(async ({ name, admin }) => {
        if (admin === undefined) return undefined;
        try {
          const parsed = parseMetricsJson(JSON.parse(await getText(admin, '/metrics.json')));
          if (parsed.ok) return { process: name, json: parsed.value };
          onMissing(name, parsed.problem);
        } catch (error) {
          onMissing(name, error instanceof Error ? error.message : String(error));
        }
        return undefined;
      }),
    );
    return [
      ...(mine.ok ? [{ process: SUPERVISOR, json: mine.value }] : []),
      ...theirs.filter((one) => one !== undefined),
    ];
  };
  return {
    contentType: own.contentType,
    metrics: async () => mergeProcessMetrics(await gather()),
    getMetricsAsJSON: async () => mergeMetricsJson(await gather()),
  };
}

/** GETs a text from a loopback server, within the bounds above. */
function getText({ host, port }: HostPort, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host, port, path, agent: false, signal: AbortSignal.timeout(GATHER_TIMEOUT_MS) },
      (response) => {
        if (response.statusCode !== 200) {
          request.destroy(new Error(`status ${response.statusCode}`));
          return;
        }
        const parts: Buffer[] = [];
        let bytes = 0;
        response.on('data', (part: Buffer) => {
          bytes += part.length;
          if (bytes > MAX_METRICS_BYTES) request.destroy(new Error(`over ${MAX_METRICS_BYTES} bytes`));
          else parts.push(part);
        });
        response.on('end', () => resolve(Buffer.concat(parts).toString('utf8')));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
  });
}
