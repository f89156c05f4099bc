import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapConfig, createBootstrapService } from '@filbert/bootstrap';
import { connectionsConfig, createConnectionsService } from '@filbert/connections';
import {
  BUS_EVENTS,
  collectBusCounters,
  collectProcessMetrics,
  collectSpanCounters,
  createInProcessBus,
  createLogger,
  createMetrics,
  createReadiness,
  createRpcServer,
  loadConfig,
  type ConfigDefinition,
  type Logger,
  type Metrics,
} from '@filbert/kit';
import { createRouterService } from '@filbert/router';
import { createSearchIndexService, searchIndexConfig } from '@filbert/search-index';
import { createTransfersService, transfersConfig } from '@filbert/transfers';
import { fanOutControl } from '../../cli/src/control/fan-out.ts';
import { declareMetrics as declareSupervisorMetrics } from '../../cli/src/up/supervisor-metrics.ts';
import { code, markdownTable } from './markdown.ts';

type MetricJson = Awaited<ReturnType<Metrics['registry']['getMetricsAsJSON']>>[number];

const INTRODUCTION = `# Metrics

Generated from the sources by \`npm run docs\`; do not edit.

The admin address (\`--admin\`, by default 127.0.0.1:9346) answers \`/metrics\` in Prometheus' text form,
\`/metrics.json\` with the same as JSON, \`/livez\` and \`/readyz\`. Counters start at 0 with the process. Labels have closed
sets of values: never an address, a GUID or the text of a query. \`node\` stands for the process that \`filbert up\` runs.
In names \`search-index\` is written \`search_index\`.

Latencies are histograms with buckets from 100 µs to 10 s. They are taken per batch, call, request or handshake, never per
frame. Ages of batches compare the clocks of two processes: on two machines they are as good as these agree, and what
seems to come from the future counts as 0.
`;

/** Every service of a node, made but not started, so that its metrics are declared. */
async function declaredMetrics(): Promise<readonly MetricJson[]> {
  const node = createMetrics({ service: 'node', strict: true });
  const { registry } = node;
  const bus = createInProcessBus();
  const logger = createLogger({ level: 'silent', name: 'docs' });
  const of = (service: string): Metrics => createMetrics({ service, registry, strict: true });
  collectProcessMetrics(registry);
  collectBusCounters(node, bus);
  collectSpanCounters(node);
  const bootstrap = createBootstrapService(defaults(bootstrapConfig), { bus, logger, metrics: of('bootstrap') });
  const router = createRouterService([0], { bus, logger, metrics: of('router') });
  const connections = createConnectionsService(defaults(connectionsConfig), {
    bus,
    logger,
    metrics: of('connections'),
    userAgent: 'docs',
    reusePort: false,
  });
  const data = mkdtempSync(join(tmpdir(), 'filbert-docs-'));
  try {
    const searchIndex = createSearchIndexService(
      { ...defaults(searchIndexConfig), data },
      { bus, logger, metrics: of('search_index') },
    );
    const transfers = createTransfersService(
      { ...defaults(transfersConfig), data },
      { bus, logger, metrics: of('transfers') },
    );
    const services = [connections, router, bootstrap, searchIndex, transfers].map(({ control }) => control);
    createRpcServer({ services, health: createReadiness(), logger, metrics: node });
    declareSupervisor(of('supervisor'), logger);
    const metrics = await registry.getMetricsAsJSON();
    await transfers.component.stop?.();
    return metrics;
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

function defaults<V>(definition: ConfigDefinition<V>): V {
  const loaded = loadConfig(definition, { env: {} });
  if (!loaded.ok) throw new Error(loaded.problems.join('\n'));
  return loaded.value;
}

/** docs/metrics.md, unformatted. */
export async function metricsPage(): Promise<string> {
  const metrics = [...(await declaredMetrics())].sort((a, b) => (a.name < b.name ? -1 : 1));
  const parts = [INTRODUCTION];
  for (const service of ['connections', 'router', 'bootstrap', 'search-index', 'transfers', 'node', 'supervisor']) {
    const own = metrics.filter(({ name }) => name.startsWith(`filbert_${service.replace('-', '_')}_`));
    parts.push(`\n## ${service}\n`);
    if (service === 'node') parts.push(BUS);
    if (service === 'supervisor') parts.push(SUPERVISOR);
    parts.push(metricTable(own));
  }
  const rest = metrics.filter(({ name }) => !name.startsWith('filbert_'));
  parts.push('\n## Process\n', 'What Node and the operating system know of each process.\n', metricTable(rest));
  return `${parts.join('\n')}\n`;
}

const BUS = `\`bus_outstanding_bytes\` is what waits in streams of the bus, 1 MiB a writer at most; \`bus_request_seconds\` and \`rpc_call_seconds\` are the time that requests over the bus and gRPC calls of control took.

\`bus_events_total\` counts what became of messages of the bus, by topic (the names in
docs/architecture.md, "The bus") and event: \`published\` and \`delivered\` went well; \`disconnected\`, \`no-credit\`,
\`queue-full\`, \`too-large\`, \`undecodable\` and \`handler-error\` did not. Where each service is a process, each has its own:
\`filbert_<service>_bus_events_total\`, and likewise the others. \`spans_total\`: of the spans that are recorded and ended, those that the
collector took and those that it did not; the rest waits or was dropped.
`;

const SUPERVISOR = `Only with \`--processes\`. The supervisor gathers the metrics of its processes: each value then has a
further label \`process\` (\`edge-0\`, \`router-0\`, \`bootstrap\`, \`search-index\`,
\`transfers-0\`, \`supervisor\`), and nothing is summed. \`rpc_call_seconds\` is with the part of the process asked.
`;

/** Declares what the supervisor tells, of no processes: none is started. */
function declareSupervisor(metrics: Metrics, logger: Logger): void {
  declareSupervisorMetrics(metrics, [], { restarts: 0 });
  const away = { name: 'away', client: undefined };
  const services = fanOutControl({ bootstrap: away, routers: [], connections: [], searchIndex: away, transfers: [] });
  createRpcServer({ services, health: createReadiness(), logger, metrics });
}

function metricTable(metrics: readonly MetricJson[]): string {
  return markdownTable(
    ['Name', 'Kind', 'Labels', 'Meaning'],
    metrics.map((metric) => [code(metric.name), String(metric.type), labelsOf(metric), metric.help]),
  );
}

/**
 * The labels of Filbert's own metrics with their values, without the bounds of histograms; of Node's none, whose values
 * differ by machine.
 */
function labelsOf(metric: MetricJson): string {
  if (metric.name.endsWith('_bus_events_total')) return `\`topic\`; \`event\`: ${BUS_EVENTS.join(', ')}`;
  if (/_bus_(request_seconds|outstanding_bytes)$/.test(metric.name)) return '`topic`';
  if (!metric.name.startsWith('filbert_')) return '';
  const values = new Map<string, Set<string>>();
  for (const sample of metric.values) {
    for (const [label, value] of Object.entries(sample.labels)) {
      if (label === 'le') continue;
      const seen = values.get(label) ?? new Set<string>();
      values.set(label, seen.add(String(value)));
    }
  }
  return [...values].map(([label, seen]) => `${code(label)}: ${[...seen].join(', ')}`).join('; ');
}
