import assert from 'node:assert/strict';
import { CreditReader, CreditWriter, type PublishOutcome } from '../../../packages/kit/src/bus/stream.ts';
import { HandlerCalls } from '../../../packages/kit/src/bus/handler-calls.ts';
import { BusCounts } from '../../../packages/kit/src/bus/topic-counts.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { part, type Part } from './topics.ts';

const IN_FLIGHT = 2048;
const TRACKED_WRITERS = 1024;

function numbered(number: number, epoch = 1): Part {
  return { ...part(''), number, epoch };
}

describe('bus: stream reader', () => {
  let clock: FakeClock;
  let counts: BusCounts;
  let reports: [atMs: number, address: string, epoch: number, number: number][];

  beforeEach(() => {
    clock = new FakeClock();
    counts = new BusCounts();
    reports = [];
  });

  function open(handler: (message: Part) => void | Promise<void>): CreditReader<Part, string> {
    return new CreditReader<Part, string>('part', handler, {
      calls: new HandlerCalls(counts, undefined),
      counts: counts.of('part'),
      timers: clock,
      report: (address, epoch, number) => reports.push([clock.monotonic(), address, epoch, number]),
    });
  }

  it('reports the last number done of each writer, 20 ms after a change and not otherwise', () => {
    const reader = open(() => undefined);
    for (let number = 1; number <= 5; number++) reader.receive(numbered(number), 'a');
    reader.receive(numbered(9, 3), 'b');
    clock.advance(100);
    reader.receive(numbered(6), 'a');
    clock.advance(100);
    assert.deepEqual(reports, [
      [20, 'a', 1, 5],
      [20, 'b', 3, 9],
      [120, 'a', 1, 6],
    ]);
    assert.equal(clock.pending, 0);
  });

  it('reports at first sight of a writer that all before is over, while the handler is under way', async () => {
    let finish: (() => void) | undefined;
    const reader = open(() => new Promise((resolve) => (finish = resolve)));
    reader.receive(numbered(40), 'a');
    await clock.advanceAndSettle(30);
    assert.deepEqual(reports, [[20, 'a', 1, 39]]);
    finish?.();
    await clock.advanceAndSettle(30);
    assert.deepEqual(reports.at(-1)?.[3], 40);
  });

  it('waits with what comes behind an unfinished message, and steps over numbers that never came', async () => {
    const finish = new Map<number, () => void>();
    const reader = open(({ number }) =>
      number === 8 ? undefined : new Promise((resolve) => finish.set(number, resolve)),
    );
    for (const number of [1, 2, 5, 8]) reader.receive(numbered(number), 'a');
    const finished: number[] = [];
    for (const number of [5, 1, 2]) {
      finish.get(number)?.();
      await clock.advanceAndSettle(25);
      finished.push(reports.at(-1)?.[3] ?? -1);
    }
    assert.deepEqual(finished, [0, 1, 8]);
  });

  it('starts anew with a writer of a new epoch, whatever the old one left', async () => {
    const finish: (() => void)[] = [];
    const reader = open(() => new Promise((resolve) => finish.push(resolve)));
    reader.receive(numbered(100, 1), 'a');
    reader.receive(numbered(1, 2), 'a');
    finish[0]?.();
    await clock.advanceAndSettle(25);
    finish[1]?.();
    await clock.advanceAndSettle(25);
    assert.deepEqual(reports, [
      [20, 'a', 2, 0],
      [45, 'a', 2, 1],
    ]);
  });

  it('drops and counts messages of a writer with too many handlers under way', async () => {
    let handled = 0;
    let release: (() => void) | undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const reader = open(() => {
      handled++;
      return held;
    });
    for (let number = 1; number <= IN_FLIGHT + 3; number++) reader.receive(numbered(number), 'a');
    assert.equal(handled, IN_FLIGHT);
    assert.equal(counts.of('part')['queue-full'], 3);
    release?.();
    await clock.advanceAndSettle(25);
    assert.equal(reports.at(-1)?.[3], IN_FLIGHT);
    reader.receive(numbered(IN_FLIGHT + 4), 'a');
    assert.equal(handled, IN_FLIGHT + 1);
  });

  it('forgets the writer heard of first when there are too many', () => {
    const reader = open(() => undefined);
    for (let i = 0; i <= TRACKED_WRITERS; i++) reader.receive(numbered(1), `writer ${i}`);
    clock.advance(20);
    assert.equal(reports.length, TRACKED_WRITERS);
    assert.equal(
      reports.some(([, address]) => address === 'writer 0'),
      false,
    );
  });

  it('handles a message whose sender wants no reports', () => {
    let handled = 0;
    const reader = open(() => void handled++);
    reader.receive(numbered(1), undefined);
    assert.equal(handled, 1);
    assert.equal(clock.pending, 0);
  });
});

describe('bus: stream writer', () => {
  it('uses up neither number nor credit for what was not published, and counts each outcome', () => {
    const clock = new FakeClock();
    const counts = new BusCounts();
    let outcome: PublishOutcome = 'published';
    const numbers: number[] = [];
    const writer = new CreditWriter<Part>(
      { epoch: 1, maxOutstandingBytes: 20 },
      {
        clock,
        counts: counts.of('part'),
        transmit: (message) => {
          numbers.push(message.number);
          return outcome;
        },
        onClose: () => undefined,
      },
    );
    const results: string[] = [];
    for (outcome of ['published', 'too-large', 'queue-full', 'disconnected', 'published'] as const)
      results.push(writer.send(part(''), 10));
    results.push(writer.send(part(''), 10));
    assert.deepEqual(results, ['sent', 'too-large', 'no-credit', 'disconnected', 'sent', 'no-credit']);
    assert.deepEqual(numbers, [1, 2, 2, 2, 2]);
    assert.equal(writer.outstandingBytes, 20);
    assert.deepEqual(Object.fromEntries([...counts.entries()].map(({ event, value }) => [event, value])), {
      published: 2,
      disconnected: 1,
      'no-credit': 1,
      'queue-full': 1,
      'too-large': 1,
    });
  });

  it('tells the wall clock in messages and measures age by the monotonic one', () => {
    const clock = new FakeClock();
    const sent = part('');
    const writer = new CreditWriter<Part>(
      { epoch: 1, maxOutstandingMs: 100 },
      { clock, counts: new BusCounts().of('part'), transmit: () => 'published', onClose: () => undefined },
    );
    writer.send(sent, 10);
    assert.equal(sent.sentAtMs, clock.now());
    clock.setWallClock(0);
    clock.advance(50);
    assert.equal(writer.pressure(), 0.5);
  });
});

describe('bus: counters', () => {
  it('counts topic names beyond the limit together', () => {
    const counts = new BusCounts();
    for (let i = 0; i < 300; i++) counts.of(`topic ${i}`).published++;
    const entries = [...counts.entries()];
    assert.equal(entries.length, 256);
    assert.deepEqual(
      entries.find(({ topic }) => topic === 'other'),
      { topic: 'other', event: 'published', value: 300 - 255 },
    );
  });
});
