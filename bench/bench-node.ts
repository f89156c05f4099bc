import { NodeProcess } from '../test/support/node-process.ts';
import { LoadGenerator } from './load/load-generator.ts';
import { Population } from './load/population.ts';
import { QueryPlan } from './load/query-plan.ts';
import type { BenchMode, BenchOptions } from './options.ts';

/** Words that each leaf holds, of how many. */
const WORDS_PER_LEAF = 100;
const VOCABULARY = 20_000;

/** Where the leaves and the queries are drawn from: the same in each run. */
const POPULATION_SEED = 20_000;
const PLAN_SEED = 1;

/** Destination addresses that the links are spread over: 127.0.0.1 and on. */
const DESTINATIONS = 16;

/** Leaf slots beyond the leaves of the load. */
const SPARE_LEAVES = 64;

/** A node under load may share the machine with the last one's end. */
const READY_TIMEOUT_MS = 60_000;

/** The leaves of a measurement and the queries among them; made before the node starts, since it takes a while. */
export interface Workload {
  population: Population;
  plan: QueryPlan;
}

/** Leaves of 100 words each of 20,000 with 64 Ki tables, and queries of two words of one leaf. */
export function makeWorkload(leaves: number): Workload {
  const population = new Population({
    leaves,
    wordsPerLeaf: WORDS_PER_LEAF,
    vocabulary: VOCABULARY,
    seed: POPULATION_SEED,
  });
  return { population, plan: new QueryPlan(population, PLAN_SEED) };
}

/** Starts the node of one measurement, a child process, with room for that many leaves. */
export async function startBenchNode(mode: BenchMode, leaves: number, options: BenchOptions): Promise<NodeProcess> {
  const { connections, routerShards, entry } = options;
  const node = await NodeProcess.start({
    processes: mode === 'nats',
    ...(mode === 'nats' && connections !== undefined && { connections }),
    ...(mode === 'nats' && routerShards !== undefined && { routerShards }),
    ...(entry !== undefined && { entry }),
    // Links from one address to one port run out of local ports; 127.0.0.2 and on lead to the same node.
    listen: { host: '0.0.0.0' },
    args: ['--allow-private', '--max-leaves', String(leaves + SPARE_LEAVES)],
    readyTimeoutMs: READY_TIMEOUT_MS,
  });
  return node;
}

/** A generator for that node. Nothing is dialled yet. */
export function makeGenerator(node: NodeProcess, workload: Workload): LoadGenerator {
  const hosts = Array.from({ length: DESTINATIONS }, (_, i) => `127.0.0.${i + 1}`);
  return new LoadGenerator({ hosts, port: node.gnutella.port, ...workload });
}
