import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import type { BadInputResult } from './bad-input.ts';
import type { RelayResult } from './relay.ts';

/** Where the figures come from. */
export interface MachineFacts {
  date: string;
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  natsServer: string;
}

/** Facts of this machine. */
export function machineFacts(): MachineFacts {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString(),
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Number((totalmem() / 2 ** 30).toFixed(1)),
    kernel: release(),
    node: process.version,
    natsServer: natsServerVersion(),
  };
}

/** The facts in one line. */
export function formatMachine(facts: MachineFacts): string {
  const { cores, cpu, memoryGiB, kernel, node, natsServer, date } = facts;
  return `${cores} × ${cpu}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, ${natsServer}; ${date}`;
}

/** The figures of the relay suite, a column for each measurement. */
export function formatRelay(results: readonly RelayResult[]): string {
  const row = (name: string, figure: (result: RelayResult) => string): string[] => [name, ...results.map(figure)];
  return formatTable([
    row('', (r) => `${r.mode} ${r.leaves}`),
    row('Filbert processes', (r) => String(r.processes)),
    row('queries relayed /s', (r) => r.queriesPerSecond.toFixed(0)),
    row('deliveries /s', (r) => r.deliveriesPerSecond.toFixed(0)),
    row('CPU per query, µs', (r) => r.cpuPerQueryUs.toFixed(1)),
    row('nats-server CPU per query, µs', (r) => r.natsCpuPerQueryUs.toFixed(1)),
    row('at half rate: queries /s', (r) => r.halfRate.toFixed(0)),
    row('at half rate: p50, ms', (r) => r.p50Ms.toFixed(2)),
    row('at half rate: p99, ms', (r) => r.p99Ms.toFixed(2)),
    row('at half rate: CPU per query, µs', (r) => r.cpuPerQueryHalfRateUs.toFixed(1)),
    row('memory per leaf, KiB', (r) => (r.memoryPerLeafBytes / 1024).toFixed(1)),
    row('joins /s', (r) => r.joinsPerSecond.toFixed(0)),
    row('all leaves routable after, s', (r) => r.routableAfterSeconds.toFixed(1)),
    row('longest event-loop pause, ms', (r) => r.longestPauseMs.toFixed(0)),
    row("generator's share of a core, %", (r) => (100 * r.generatorCpuShare).toFixed(0)),
    row('deliveries lost', (r) => String(r.lost)),
    row('late / twice / not expected', (r) => `${r.late} / ${r.duplicates} / ${r.unexpected}`),
    row('queries not sent in time', (r) => String(r.unsent)),
    row('links ended by the node', (r) => String(r.disconnected)),
  ]);
}

/** The figures of the suite bad-input: each pair, then the medians. */
export function formatBadInput(result: BadInputResult): string {
  const pairs = result.pairs.map((pair, i) => [
    `pair ${i + 1}`,
    pair.baselineP99Ms.toFixed(2),
    pair.floodP99Ms.toFixed(2),
    pair.ratio.toFixed(2),
    `${pair.flood.visits} (${pair.flood.ended} ended by the node, ${pair.flood.failed} failed)`,
  ]);
  const table = formatTable([
    [`${result.mode} ${result.leaves}`, 'p99 without, ms', 'p99 with, ms', 'ratio', 'bad visits'],
    ...pairs,
    ['median', result.baselineP99Ms.toFixed(2), result.floodP99Ms.toFixed(2), result.ratio.toFixed(2), ''],
  ]);
  const { lost, unexpected, disconnected, nodeServes } = result;
  const serves = nodeServes ? 'the node serves' : 'the node does NOT serve';
  return `${table}\nlost ${lost}, twice or not expected ${unexpected}, links ended ${disconnected}; ${serves}`;
}

function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => [...(row[column] ?? '')].length)));
  const pad = (cell: string, column: number): string => {
    const blank = ' '.repeat((widths[column] ?? 0) - [...cell].length);
    return column === 0 ? cell + blank : blank + cell;
  };
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

function natsServerVersion(): string {
  try {
    return execFileSync('nats-server', ['--version'], { encoding: 'utf8' }).trim();
  } catch {
    return 'no nats-server';
  }
}
