import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BadInputResult } from '../../bench/bad-input.ts';
import { highestGauge, median } from '../../bench/figures.ts';
import { parseBenchOptions } from '../../bench/options.ts';
import { nodeUsage } from '../../bench/process-usage.ts';
import type { RelayResult } from '../../bench/relay.ts';
import { runFilbert } from '../support/node-process.ts';

const bench = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const standIn = fileURLToPath(new URL('../support/stand-in-node.ts', import.meta.url));

describe('npm run bench', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-bench-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  async function run<T>(args: readonly string[]): Promise<{ stdout: string; results: T[] }> {
    const json = join(folder, 'figures.json');
    const end = await runFilbert([...args, '--entry', standIn, '--json', json], { entry: bench, timeoutMs: 18_000 });
    assert.equal(end.code, 0, end.stderr);
    const { results } = JSON.parse(readFileSync(json, 'utf8')) as { results: T[] };
    return { stdout: end.stdout, results };
  }

  it('relay: prints a table and writes figures with nothing lost', async () => {
    const args = ['--mode', 'embedded', '--leaves', '8', '--seconds', '0.2', '--runs', '1'];
    const { stdout, results } = await run<RelayResult>(args);
    const [result, ...others] = results;
    assert.ok(result);
    assert.deepEqual(others, []);
    const { lost, late, duplicates, unexpected, disconnected, longestPauseMs, processes } = result;
    assert.deepEqual(
      [lost, late, duplicates, unexpected, disconnected, longestPauseMs, processes],
      [0, 0, 0, 0, 0, 4, 1],
    );
    const positive = ['queriesPerSecond', 'deliveriesPerSecond', 'cpuPerQueryUs', 'p50Ms', 'joinsPerSecond'] as const;
    for (const figure of positive) assert.ok(result[figure] > 0, figure);
    assert.ok(result.halfRate < result.queriesPerSecond * 0.6);
    assert.match(stdout, /CPU per query, µs +\d/);
  });

  it('bad-input: measures pairs without and with the flood, and the node serves on', async () => {
    const args = ['--suite', 'bad-input', '--leaves', '4', '--seconds', '0.3', '--pairs', '2'];
    const { results } = await run<BadInputResult>(args);
    const [result] = results;
    assert.ok(result);
    assert.equal(result.pairs.length, 2);
    assert.ok(result.nodeServes);
    assert.deepEqual([result.lost, result.disconnected], [0, 0]);
    for (const pair of result.pairs) {
      assert.ok(pair.flood.visits > 20, JSON.stringify(pair.flood));
      assert.ok(pair.baselineP99Ms > 0 && pair.floodP99Ms > 0);
    }
  });

  it('says in one sentence what is wrong with its arguments', async () => {
    const end = await runFilbert(['--leaves', '3,many'], { entry: bench });
    assert.equal(end.code, 1);
    assert.equal(end.stderr, '--leaves takes numbers from 2 to 18000, not many\n');
  });
});

describe('bench: figures', () => {
  it('takes medians of odd and even numbers of figures', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 1, 2, 9]), 3);
    assert.ok(Number.isNaN(median([])));
  });

  it('reads the highest value of the first gauge that is there, over its labels', () => {
    const metrics = ['# TYPE a gauge', 'a{process="x"} 0.5', 'a{process="y"} 1.5', 'a{process="z"} NaN', 'ab 7', 'b 9'];
    assert.equal(highestGauge(metrics.join('\n'), ['none', 'a', 'b']), 1.5);
    assert.equal(highestGauge(metrics.join('\n'), ['b']), 9);
    assert.ok(Number.isNaN(highestGauge('', ['a'])));
  });

  it('defaults to both modes and 300 and 4,000 leaves', () => {
    const options = parseBenchOptions([]);
    assert.ok(options !== 'help');
    assert.deepEqual(
      [options.modes, options.leaves],
      [
        ['embedded', 'nats'],
        [300, 4000],
      ],
    );
    assert.throws(() => parseBenchOptions(['--mode', 'both']), /--mode is embedded, nats or all, not both/);
  });

  it('counts the time and memory of a process and those below it', () => {
    const before = nodeUsage(process.pid);
    const endMs = performance.now() + 60;
    while (performance.now() < endMs);
    const after = nodeUsage(process.pid);
    assert.ok(after.filbert.cpuSeconds - before.filbert.cpuSeconds >= 0.02);
    const memory = process.memoryUsage.rss();
    assert.ok(Math.abs(after.filbert.residentBytes - memory) < memory / 2);
    assert.equal(after.nats.processes, before.nats.processes);
  });
});
