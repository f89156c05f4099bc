import { parseArgs } from 'node:util';

/** How the node runs: all in one process, or in processes over NATS. */
export type BenchMode = 'embedded' | 'nats';

/** What `npm run bench` is asked to do. */
export interface BenchOptions {
  suite: 'relay' | 'bad-input';
  modes: readonly BenchMode[];
  /** Leaves of each measurement. */
  leaves: readonly number[];
  /** Length of each loop in s. */
  seconds: number;
  /** Runs whose median is taken. */
  runs: number;
  /** Pairs without and with the flood of the suite bad-input. */
  pairs: number;
  connections: number | undefined;
  routerShards: number | undefined;
  json: string | undefined;
  /** Compare with the targets and fail where one is missed. */
  check: boolean;
  /** The script to measure instead of the command line's entry. */
  entry: string | undefined;
}

/** The most leaves of one measurement: the generator's sockets must fit its limit of file descriptors. */
const MAX_LEAVES = 18_000;

/** What `--help` prints. */
export const BENCH_USAGE = `npm run bench -- [--suite relay|bad-input] [--mode embedded|nats|all] [--leaves N,N]
  [--seconds S] [--runs N] [--pairs N] [--connections N] [--router-shards N] [--json FILE] [--check] [--entry SCRIPT]

relay      queries per second, CPU, latency, memory and joins at 300 and 4000 leaves
bad-input  p99 of well-behaved links while a flood of bad input runs, by p99 without it
--check    exits with 1 and says which target was missed, where one was`;

/** Reads the arguments. @throws Error with one sentence about the first that is wrong */
export function parseBenchOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      suite: { type: 'string', default: 'relay' },
      mode: { type: 'string' },
      leaves: { type: 'string' },
      seconds: { type: 'string', default: '10' },
      runs: { type: 'string', default: '3' },
      pairs: { type: 'string', default: '5' },
      connections: { type: 'string' },
      'router-shards': { type: 'string' },
      json: { type: 'string' },
      check: { type: 'boolean', default: false },
      entry: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const { suite } = values;
  if (suite !== 'relay' && suite !== 'bad-input') throw new Error(`--suite is relay or bad-input, not ${suite}`);
  const leaves = values.leaves ?? (suite === 'relay' ? '300,4000' : '300');
  return {
    suite,
    modes: modes(values.mode ?? (suite === 'relay' ? 'all' : 'embedded')),
    leaves: leaves.split(',').map((count) => number('leaves', count, 2, MAX_LEAVES)),
    seconds: number('seconds', values.seconds, 0.1, 600),
    runs: number('runs', values.runs, 1, 25),
    pairs: number('pairs', values.pairs, 1, 25),
    connections: values.connections === undefined ? undefined : number('connections', values.connections, 1, 32),
    routerShards:
      values['router-shards'] === undefined ? undefined : number('router-shards', values['router-shards'], 1, 32),
    json: values.json,
    check: values.check,
    entry: values.entry,
  };
}

function modes(text: string): BenchMode[] {
  if (text === 'all') return ['embedded', 'nats'];
  if (text === 'embedded' || text === 'nats') return [text];
  throw new Error(`--mode is embedded, nats or all, not ${text}`);
}

function number(flag: string, text: string, lowest: number, highest: number): number {
  const value = Number(text);
  if (value >= lowest && value <= highest) return value;
  throw new Error(`--${flag} takes numbers from ${lowest} to ${highest}, not ${text}`);
}
