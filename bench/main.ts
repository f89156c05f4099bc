import { writeFileSync } from 'node:fs';
import { stopAllNodes } from '../test/support/node-process.ts';
import { runBadInput, type BadInputResult } from './bad-input.ts';
import { BENCH_USAGE, parseBenchOptions, type BenchOptions } from './options.ts';
import { runRelay, type RelayResult } from './relay.ts';
import { formatBadInput, formatMachine, formatRelay, machineFacts } from './report.ts';
import { missedTargets } from './targets.ts';

/**
 * `npm run bench`: measures a node that it starts itself, on loopback, and prints a table. See bench/README.md.
 * @returns the exit code
 */
async function main(options: BenchOptions): Promise<number> {
  const machine = machineFacts();
  console.log(formatMachine(machine));
  const results: (RelayResult | BadInputResult)[] = [];
  const relay: RelayResult[] = [];
  for (const mode of options.modes) {
    for (const leaves of options.leaves) {
      console.log(`measuring ${options.suite}: ${mode}, ${leaves} leaves`);
      if (options.suite === 'relay') {
        const result = await runRelay(mode, leaves, options);
        relay.push(result);
        results.push(result);
      } else {
        const result = await runBadInput(mode, leaves, options);
        results.push(result);
        console.log(formatBadInput(result));
      }
      // Written after each measurement: a later one that fails must not take the earlier figures with it.
      if (options.json !== undefined) {
        writeFileSync(options.json, `${JSON.stringify({ machine, options, results }, undefined, 2)}\n`);
      }
    }
  }
  if (relay.length > 0) console.log(formatRelay(relay));
  if (!options.check) return 0;
  const missed = results.flatMap(missedTargets);
  for (const sentence of missed) console.error(`target missed: ${sentence}`);
  if (missed.length === 0) console.log('all targets met');
  return missed.length === 0 ? 0 : 1;
}

try {
  const options = parseBenchOptions(process.argv.slice(2));
  if (options === 'help') {
    console.log(BENCH_USAGE);
  } else {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => void stopAllNodes().finally(() => process.exit(130)));
    }
    process.exitCode = await main(options);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  await stopAllNodes();
}
