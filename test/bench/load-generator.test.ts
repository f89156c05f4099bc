import assert from 'node:assert/strict';
import { LoadGenerator, percentile } from '../../bench/load/load-generator.ts';
import { Population } from '../../bench/load/population.ts';
import { QueryPlan } from '../../bench/load/query-plan.ts';
import { StandInUltrapeer, type StandInFaults } from '../support/stand-in-ultrapeer.ts';

/** A small vocabulary, so that many queries match several leaves. */
const population = new Population({ leaves: 20, wordsPerLeaf: 10, vocabulary: 60, seed: 7 });
const plan = new QueryPlan(population, 8, 500);

/** The deliveries that 200 queries from number `first` on must make. */
function expectedOf(first: number, queries: number): number {
  return Array.from({ length: queries }, (_, i) => plan.expected(first + i).length).reduce((a, b) => a + b, 0);
}

describe('load generator: knows every delivery', () => {
  let standIn: StandInUltrapeer;
  let generator: LoadGenerator;

  async function start(faults: StandInFaults = {}): Promise<number> {
    standIn = await StandInUltrapeer.start(faults);
    generator = new LoadGenerator({ hosts: ['127.0.0.1'], port: standIn.port, population, plan, lostAfterMs: 2_000 });
    await generator.joinUltrapeers();
    const seconds = await generator.joinLeaves();
    await generator.settle(5_000);
    return seconds;
  }

  afterEach(async () => {
    generator.close();
    await standIn.close();
  });

  it('closed loop: sends the number asked, loses nothing, and each text is new', async () => {
    assert.ok((await start()) > 0);
    assert.equal(standIn.links, 22);
    const before = standIn.texts.length;
    const result = await generator.closedLoop(50, { seconds: 10, maxQueries: 200 });
    assert.equal(result.queries, 200);
    assert.ok(result.expected > 250, `several leaves match: ${result.expected}`);
    assert.equal(result.delivered, result.expected);
    const { lost, late, duplicates, unexpected, unsent, disconnected } = result;
    assert.deepEqual([lost, late, duplicates, unexpected, unsent, disconnected], [0, 0, 0, 0, 0, 0]);
    assert.ok(result.p50Ms > 0 && result.p99Ms >= result.p50Ms && result.queriesPerSecond > 0);
    const texts = standIn.texts.slice(before);
    assert.equal(texts.length, 200);
    assert.equal(new Set(standIn.texts).size, standIn.texts.length);
    for (const text of texts) assert.match(text, /^[a-z]{5,10} [a-z]{5,10}( [a-z0-9]{2}){3}$/);
  });

  it('closed loop: never has more deliveries in flight than the window', async () => {
    await start();
    standIn.faults = { dropEvery: 1 };
    const result = await generator.closedLoop(30, { seconds: 0.2 });
    assert.ok(result.expected <= 30 && result.expected > 20, `${result.expected} in flight`);
    assert.equal(result.lost, result.expected);
  });

  it('counts what is dropped, sent twice or sent to a leaf whose table does not match', async () => {
    await start({ dropEvery: 10, duplicateEvery: 7, misdirectEvery: 11 });
    const before = standIn.deliveries;
    const result = await generator.closedLoop(10_000, { seconds: 10, maxQueries: 200 });
    const made = standIn.deliveries - before;
    assert.equal(made, result.expected);
    const multiples = (n: number): number[] =>
      Array.from({ length: made }, (_, i) => before + i + 1).filter((delivery) => delivery % n === 0);
    const dropped = multiples(10);
    const sent = (delivery: number): boolean => delivery % 10 !== 0;
    assert.equal(result.lost, dropped.length);
    assert.equal(result.delivered, result.expected - dropped.length);
    assert.equal(
      result.duplicates + result.unexpected,
      multiples(7).filter(sent).length + multiples(11).filter(sent).length,
    );
    assert.ok(result.unexpected > 0 && result.duplicates > 0);
  });

  it('open loop: sends by the clock and counts what each query owes', async () => {
    await start();
    const result = await generator.openLoop(400, { seconds: 0.5 });
    assert.equal(result.queries + result.unsent, 200);
    assert.ok(result.queries > 150, `${result.queries} sent`);
    assert.equal(result.delivered, result.expected);
    assert.ok(result.seconds >= 0.49 && result.seconds < 2);
  });

  it('counts links that the node ended', async () => {
    await start();
    await standIn.close();
    const result = await generator.closedLoop(10, { seconds: 0.1 });
    assert.equal(result.disconnected, 22);
  });

  it('settle fails when leaves get nothing', async () => {
    standIn = await StandInUltrapeer.start({ dropEvery: 1 });
    generator = new LoadGenerator({ hosts: ['127.0.0.1'], port: standIn.port, population, plan, lostAfterMs: 2_000 });
    await generator.joinUltrapeers();
    await generator.joinLeaves();
    await assert.rejects(generator.settle(200), /20 leaves get no queries/);
  });
});

describe('load generator: what it expects', () => {
  it('plans queries whose expected leaves hold both words, and the leaf they were drawn from', () => {
    assert.equal(plan.pairs, 500);
    assert.ok(expectedOf(0, 500) > 500);
    const bytes = Buffer.alloc(200);
    for (let number = 0; number < 100; number++) {
      const text = bytes.toString('latin1', 25, plan.write(number, bytes, 0) - 1);
      const [first = '', second = ''] = text.split(' ');
      const holders = population.wordsOf
        .map((words, leaf) => ({ leaf, held: [...words].map((word) => population.words[word]) }))
        .filter(({ held }) => held.includes(first) && held.includes(second))
        .map(({ leaf }) => leaf);
      assert.ok(holders.length > 0);
      // A collision of slots may add leaves, never take one away.
      for (const leaf of holders) assert.ok(plan.expected(number).includes(leaf));
    }
  });

  it('writes messages whose length field fits, with the number in a GUID that is new', () => {
    const bytes = Buffer.alloc(300);
    const end = plan.write(1234, bytes, 0);
    assert.equal(end, 23 + bytes.readUInt32LE(19));
    assert.equal(bytes.readUInt32LE(0), 1234);
    assert.deepEqual([...bytes.subarray(16, 19)], [0x80, 1, 1]);
    assert.equal(bytes[end - 1], 0);
    const again = Buffer.alloc(300);
    plan.write(1234, again, 0);
    assert.notEqual(again.toString('hex', 4, 16), bytes.toString('hex', 4, 16));
  });

  it('gives the same population for the same seed', () => {
    const again = new Population({ leaves: 20, wordsPerLeaf: 10, vocabulary: 60, seed: 7 });
    assert.deepEqual(again.tables, population.tables);
    const other = new Population({ leaves: 20, wordsPerLeaf: 10, vocabulary: 60, seed: 9 });
    assert.notDeepEqual(other.tables, population.tables);
  });

  it('percentile: the value that the share does not exceed', () => {
    const sorted = Array.from({ length: 100 }, (_, i) => i + 1);
    assert.deepEqual([percentile(sorted, 0.5), percentile(sorted, 0.99), percentile([], 0.5)], [50, 99, 0]);
  });
});
