import type { NodeProcess } from '../test/support/node-process.ts';
import { makeGenerator, makeWorkload, startBenchNode } from './bench-node.ts';
import type { RunResult } from './load/load-generator.ts';
import { highestGauge, median } from './figures.ts';
import type { BenchMode, BenchOptions } from './options.ts';
import { nodeUsage } from './process-usage.ts';

/** Expected deliveries in flight in the closed loop. */
const WINDOW = 1_000;

/** Warm-up before the first run, in s at most. */
const WARM_UP_SECONDS = 5;

/** The gauges that may hold the longest pause of an event loop, the better one first; in s. */
const PAUSE_GAUGES = ['filbert_process_event_loop_pause_max_seconds', 'nodejs_eventloop_lag_max_seconds'];

/** The figures of one mode with one number of leaves. */
export interface RelayResult {
  mode: BenchMode;
  leaves: number;
  processes: number;
  /** Medians of the closed loops. */
  queriesPerSecond: number;
  deliveriesPerSecond: number;
  cpuPerQueryUs: number;
  natsCpuPerQueryUs: number;
  /** Medians of the open loops at half the rate of the closed loop before each. */
  halfRate: number;
  p50Ms: number;
  p99Ms: number;
  cpuPerQueryHalfRateUs: number;
  /** Growth of the resident set from before the leaves until their queries arrive, by leaves. */
  memoryPerLeafBytes: number;
  joinsPerSecond: number;
  /** From the first dial until every leaf had received a query, in s. */
  routableAfterSeconds: number;
  longestPauseMs: number;
  /** Median share of a core that the generator used in the closed loops. */
  generatorCpuShare: number;
  /** Sums over all runs, warm-up included. */
  lost: number;
  late: number;
  duplicates: number;
  unexpected: number;
  unsent: number;
  disconnected: number;
}

interface MeasuredRun extends RunResult {
  cpuUs: number;
  natsCpuUs: number;
}

/** Measures one mode with one number of leaves on a node of its own. */
export async function runRelay(mode: BenchMode, leaves: number, options: BenchOptions): Promise<RelayResult> {
  const workload = makeWorkload(leaves);
  const node = await startBenchNode(mode, leaves, options);
  const generator = makeGenerator(node, workload);
  try {
    await generator.joinUltrapeers();
    const before = nodeUsage(node.pid);
    const startMs = performance.now();
    const joinSeconds = await generator.joinLeaves();
    await generator.settle();
    const routableAfterSeconds = (performance.now() - startMs) / 1000;
    const joined = nodeUsage(node.pid);

    const warmUp = await generator.closedLoop(WINDOW, { seconds: Math.min(WARM_UP_SECONDS, options.seconds) });
    const closed: MeasuredRun[] = [];
    const open: MeasuredRun[] = [];
    for (let run = 0; run < options.runs; run++) {
      const result = await measured(node, (onSent) =>
        generator.closedLoop(WINDOW, { seconds: options.seconds, onSent }),
      );
      closed.push(result);
      const half = result.queriesPerSecond / 2;
      open.push(await measured(node, (onSent) => generator.openLoop(half, { seconds: options.seconds, onSent })));
    }
    const medianOf = (runs: MeasuredRun[], figure: (run: MeasuredRun) => number): number => median(runs.map(figure));
    const sum = (figure: (run: RunResult) => number): number =>
      [warmUp, ...closed, ...open].reduce((total, run) => total + figure(run), 0);
    return {
      mode,
      leaves,
      processes: joined.filbert.processes,
      queriesPerSecond: medianOf(closed, (run) => run.queriesPerSecond),
      deliveriesPerSecond: medianOf(closed, (run) => run.deliveriesPerSecond),
      cpuPerQueryUs: medianOf(closed, (run) => run.cpuUs / run.queries),
      natsCpuPerQueryUs: medianOf(closed, (run) => run.natsCpuUs / run.queries),
      halfRate: medianOf(open, (run) => run.queriesPerSecond),
      p50Ms: medianOf(open, (run) => run.p50Ms),
      p99Ms: medianOf(open, (run) => run.p99Ms),
      cpuPerQueryHalfRateUs: medianOf(open, (run) => run.cpuUs / run.queries),
      memoryPerLeafBytes: (joined.filbert.residentBytes - before.filbert.residentBytes) / leaves,
      joinsPerSecond: leaves / joinSeconds,
      routableAfterSeconds,
      longestPauseMs: 1000 * highestGauge(await node.metrics(), PAUSE_GAUGES),
      generatorCpuShare: medianOf(closed, (run) => run.generatorCpuShare),
      lost: sum((run) => run.lost),
      late: sum((run) => run.late),
      duplicates: sum((run) => run.duplicates),
      unexpected: sum((run) => run.unexpected),
      unsent: sum((run) => run.unsent),
      disconnected: generator.disconnected,
    };
  } finally {
    generator.close();
    await node.stop();
  }
}

/** Runs a loop and adds the CPU time of the node from its first query until its last was sent. */
async function measured(node: NodeProcess, run: (onSent: () => void) => Promise<RunResult>): Promise<MeasuredRun> {
  const before = nodeUsage(node.pid);
  let after = before;
  const result = await run(() => (after = nodeUsage(node.pid)));
  return {
    ...result,
    cpuUs: (after.filbert.cpuSeconds - before.filbert.cpuSeconds) * 1e6,
    natsCpuUs: (after.nats.cpuSeconds - before.nats.cpuSeconds) * 1e6,
  };
}
