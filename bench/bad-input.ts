import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { makeGenerator, makeWorkload, startBenchNode } from './bench-node.ts';
import { median } from './figures.ts';
import type { LoadGenerator, RunResult } from './load/load-generator.ts';
import type { FloodCounts } from './load/flood.ts';
import type { BenchMode, BenchOptions } from './options.ts';

/** Queries a second of the well-behaved links: far below what a node can do, so that delay is the flood's. */
const QUERIES_PER_SECOND = 1_000;

/** Bad visits a second. */
const VISITS_PER_SECOND = 200;

/** Warm-up before the first pair, in s at most. */
const WARM_UP_SECONDS = 3;

/** How long the flood's process may take to end its visits. */
const FLOOD_STOP_TIMEOUT_MS = 10_000;

/** One pair of runs, without and with the flood. */
export interface BadInputPair {
  baselineP99Ms: number;
  floodP99Ms: number;
  ratio: number;
  flood: FloodCounts;
}

/** What the flood did to the other links. */
export interface BadInputResult {
  mode: BenchMode;
  leaves: number;
  queriesPerSecond: number;
  visitsPerSecond: number;
  pairs: BadInputPair[];
  /** Medians over the pairs. */
  baselineP99Ms: number;
  floodP99Ms: number;
  ratio: number;
  /** Sums over all runs. */
  lost: number;
  unexpected: number;
  disconnected: number;
  /** Whether the node still ran and was ready at the end. */
  nodeServes: boolean;
}

/** Measures the p99 of the well-behaved links in interleaved runs without and with a flood of bad input. */
export async function runBadInput(mode: BenchMode, leaves: number, options: BenchOptions): Promise<BadInputResult> {
  const workload = makeWorkload(leaves);
  const node = await startBenchNode(mode, leaves, options);
  const generator = makeGenerator(node, workload);
  const flood = startFlood(node.gnutella.host, node.gnutella.port);
  const pairs: BadInputPair[] = [];
  const runs: RunResult[] = [];
  try {
    await generator.joinUltrapeers();
    await generator.joinLeaves();
    await generator.settle();
    await measure(generator, Math.min(WARM_UP_SECONDS, options.seconds), runs);
    for (let pair = 0; pair < options.pairs; pair++) {
      const baseline = await measure(generator, options.seconds, runs);
      flood.send('start');
      const flooded = await measure(generator, options.seconds, runs);
      const counts = await stopFlood(flood);
      pairs.push({
        baselineP99Ms: baseline.p99Ms,
        floodP99Ms: flooded.p99Ms,
        ratio: flooded.p99Ms / baseline.p99Ms,
        flood: counts,
      });
    }
    return {
      mode,
      leaves,
      queriesPerSecond: QUERIES_PER_SECOND,
      visitsPerSecond: VISITS_PER_SECOND,
      pairs,
      baselineP99Ms: median(pairs.map((pair) => pair.baselineP99Ms)),
      floodP99Ms: median(pairs.map((pair) => pair.floodP99Ms)),
      ratio: median(pairs.map((pair) => pair.ratio)),
      lost: runs.reduce((sum, run) => sum + run.lost, 0),
      unexpected: runs.reduce((sum, run) => sum + run.unexpected + run.duplicates, 0),
      disconnected: generator.disconnected,
      nodeServes: node.running && (await node.isReady()),
    };
  } finally {
    flood.kill('SIGKILL');
    generator.close();
    await node.stop();
  }
}

async function measure(generator: LoadGenerator, seconds: number, runs: RunResult[]): Promise<RunResult> {
  const result = await generator.openLoop(QUERIES_PER_SECOND, { seconds });
  runs.push(result);
  return result;
}

function startFlood(host: string, port: number): ChildProcess {
  const script = fileURLToPath(new URL('flood-worker.ts', import.meta.url));
  return fork(script, [host, String(port), String(VISITS_PER_SECOND)]);
}

async function stopFlood(flood: ChildProcess): Promise<FloodCounts> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the flood does not end')), FLOOD_STOP_TIMEOUT_MS);
    flood.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as FloodCounts);
    });
    flood.send('stop');
  });
}
