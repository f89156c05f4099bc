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
import { missedTargets } from '../../bench/targets.ts';
import { runFilbert } from '../support/node-process.ts';

const bench = fileURLToPath(new URL('../../bench/main.ts', import.meta.url));
const standIn = fileURLToPath(new URL('../support/stand-in-node.ts', import.meta.url));

describe('npm run bench', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-bench-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  async function run<T>(
    args: readonly string[],
    { entry = ['--entry', standIn], timeoutMs = 18_000 }: { entry?: readonly string[]; timeoutMs?: number } = {},
  ): Promise<{ stdout: string; results: T[] }> {
    const json = join(folder, 'figures.json');
    const end = await runFilbert([...args, ...entry, '--json', json], { entry: bench, timeoutMs });
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

  for (const [mode, processes] of [
    ['embedded', 1],
    ['nats', 6],
  ] as const) {
    it(`relay: measures a real node, ${mode}, with nothing lost and figures that can be`, async function () {
      this.timeout(120_000);
      const args = ['--mode', mode, '--leaves', '12', '--seconds', '1', '--runs', '1', '--check'];
      const { stdout, results } = await run<RelayResult>(args, { entry: [], timeoutMs: 110_000 });
      const [result] = results;
      assert.ok(result);
      const { lost, late, duplicates, unexpected, disconnected } = result;
      assert.deepEqual([lost, late, duplicates, unexpected, disconnected], [0, 0, 0, 0, 0]);
      assert.ok(result.processes >= processes, `${result.processes} processes`);
      assert.ok(result.queriesPerSecond > 100, `${result.queriesPerSecond} queries/s`);
      // Each query has at least its own leaf to go to.
      assert.ok(result.deliveriesPerSecond >= result.queriesPerSecond * 0.9);
      assert.ok(result.cpuPerQueryUs > 1 && result.cpuPerQueryUs < 20_000, `${result.cpuPerQueryUs} µs`);
      assert.equal(result.natsCpuPerQueryUs > 0, mode === 'nats');
      assert.ok(result.p50Ms > 0 && result.p50Ms <= result.p99Ms && result.p99Ms < 10_000);
      assert.ok(result.joinsPerSecond > 0 && result.longestPauseMs > 0);
      assert.match(stdout, /^all targets met$/m);
    });
  }

  it('--check: exits with 1 and says which target was missed', async function () {
    // Each run waits for the deliveries that were lost.
    this.timeout(90_000);
    const args = ['--suite', 'bad-input', '--leaves', '2', '--seconds', '0.2', '--pairs', '1', '--check'];
    const env = { STAND_IN_LOSES: '50' };
    const end = await runFilbert([...args, '--entry', standIn], { entry: bench, env, timeoutMs: 80_000 });
    assert.equal(end.code, 1, end.stdout);
    assert.match(end.stderr, /^target missed: embedded, 2 leaves: \d+ deliveries lost; the target is none$/m);
  });

  it('says in one sentence what is wrong with its arguments', async () => {
    const end = await runFilbert(['--leaves', '3,many'], { entry: bench });
    assert.equal(end.code, 1);
    assert.equal(end.stderr, '--leaves takes numbers from 2 to 18000, not many\n');
  });
});

describe('bench: targets', () => {
  const relay: RelayResult = {
    mode: 'embedded',
    leaves: 300,
    processes: 1,
    queriesPerSecond: 1,
    deliveriesPerSecond: 1,
    cpuPerQueryUs: 20,
    natsCpuPerQueryUs: 0,
    halfRate: 1,
    p50Ms: 1,
    p99Ms: 1,
    cpuPerQueryHalfRateUs: 1,
    memoryPerLeafBytes: 1,
    joinsPerSecond: 1,
    routableAfterSeconds: 1,
    longestPauseMs: 1,
    generatorCpuShare: 0.5,
    lost: 0,
    late: 0,
    duplicates: 0,
    unexpected: 0,
    unsent: 0,
    disconnected: 0,
  };
  const badInput: BadInputResult = {
    mode: 'embedded',
    leaves: 300,
    queriesPerSecond: 1,
    visitsPerSecond: 1,
    pairs: [],
    baselineP99Ms: 1,
    floodP99Ms: 1.2,
    ratio: 1.2,
    lost: 0,
    unexpected: 0,
    disconnected: 0,
    nodeServes: true,
  };

  it('are met up to their very values', () => {
    assert.deepEqual(missedTargets(relay), []);
    assert.deepEqual(missedTargets({ ...relay, leaves: 4_000, cpuPerQueryUs: 45 }), []);
    assert.deepEqual(missedTargets({ ...relay, mode: 'nats', cpuPerQueryUs: 90 }), []);
    assert.deepEqual(missedTargets({ ...relay, leaves: 8, cpuPerQueryUs: 90 }), []);
    assert.deepEqual(missedTargets(badInput), []);
  });

  it('are told one by one where they are missed', () => {
    assert.deepEqual(missedTargets({ ...relay, cpuPerQueryUs: 20.1, lost: 3 }), [
      'embedded, 300 leaves: 3 deliveries lost; the target is none',
      'embedded, 300 leaves: 20.1 µs of CPU per query; the target is at most 20 µs',
    ]);
    assert.equal(missedTargets({ ...relay, leaves: 4_000, cpuPerQueryUs: 45.1 }).length, 1);
    assert.equal(missedTargets({ ...relay, cpuPerQueryUs: Number.NaN }).length, 1);
    for (const count of ['lost', 'late', 'duplicates', 'unexpected', 'disconnected'] as const) {
      assert.equal(missedTargets({ ...relay, mode: 'nats', [count]: 1 }).length, 1, count);
    }
    assert.deepEqual(missedTargets({ ...badInput, ratio: 1.21, nodeServes: false }), [
      'embedded, 300 leaves: the node does not serve any more',
      'embedded, 300 leaves: under the flood p99 is 1.21 times what it is without; the target is at most 1.2',
    ]);
    assert.equal(missedTargets({ ...badInput, ratio: Number.NaN }).length, 1);
    assert.equal(missedTargets({ ...badInput, unexpected: 1 }).length, 1);
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
