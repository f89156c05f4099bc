import assert from 'node:assert/strict';
import { randomEpoch, systemClock, systemTimers } from '@filbert/kit';
import { FakeClock } from '../../support/fake-clock.ts';

describe('kit clock', () => {
  it('systemClock: monotonic time never goes back and wall time is ms since 1970', () => {
    const first = systemClock.monotonic();
    assert.ok(systemClock.monotonic() >= first);
    assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
  });

  it('systemTimers: fires a timer, and not one that was cleared', async () => {
    const fired: string[] = [];
    const cleared = systemTimers.setTimeout(() => fired.push('cleared'), 1);
    systemTimers.clearTimeout(cleared);
    systemTimers.clearTimeout(undefined);
    await new Promise<void>((resolve) => {
      systemTimers.setTimeout(() => {
        fired.push('kept');
        resolve();
      }, 3);
    });
    assert.deepEqual(fired, ['kept']);
  });

  it('randomEpoch: is a u32, never 0, and drawn from the injected randomness', () => {
    const bounds: number[] = [];
    assert.equal(
      randomEpoch((min, max) => {
        bounds.push(min, max);
        return 7;
      }),
      7,
    );
    assert.deepEqual(bounds, [1, 2 ** 32]);
    const epochs = new Set(Array.from({ length: 50 }, () => randomEpoch()));
    assert.ok(epochs.size > 45);
    for (const epoch of epochs) assert.ok(Number.isInteger(epoch) && epoch >= 1 && epoch < 2 ** 32);
  });
});

describe('support fake clock', () => {
  it('fires due timers in order of time, then of creation, each at its own time', () => {
    const clock = new FakeClock(1000);
    const fired: [string, number][] = [];
    clock.setTimeout(() => fired.push(['b', clock.now()]), 20);
    clock.setTimeout(() => fired.push(['a', clock.now()]), 10);
    clock.setTimeout(() => fired.push(['c', clock.now()]), 20);
    clock.setTimeout(() => fired.push(['late', clock.now()]), 31);
    clock.advance(30);
    assert.deepEqual(fired, [
      ['a', 1010],
      ['b', 1020],
      ['c', 1020],
    ]);
    assert.equal(clock.monotonic(), 30);
    assert.equal(clock.pending, 1);
  });

  it('fires timers that a timer started, also those started after an await', async () => {
    const clock = new FakeClock();
    const fired: number[] = [];
    clock.setTimeout(() => {
      void Promise.resolve().then(() => clock.setTimeout(() => fired.push(clock.monotonic()), 5));
    }, 5);
    await clock.advanceAndSettle(10);
    assert.deepEqual(fired, [10]);
  });

  it('does not fire a cleared timer, and moves the wall clock alone when asked', () => {
    const clock = new FakeClock(0);
    const handle = clock.setTimeout(() => assert.fail('cleared'), 5);
    clock.clearTimeout(handle);
    clock.setWallClock(5000);
    clock.advance(10);
    assert.equal(clock.now(), 5010);
    assert.equal(clock.monotonic(), 10);
  });
});
