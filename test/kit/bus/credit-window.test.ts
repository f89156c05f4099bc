import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CreditWindow } from '../../../packages/kit/src/bus/credit-window.ts';

const RING = 2048;

/** Sends if admitted; returns whether it was. */
function trySend(window: CreditWindow, bytes: number, nowMs: number): boolean {
  if (!window.admits(bytes, nowMs)) return false;
  window.sent(bytes, nowMs);
  return true;
}

describe('bus: credit window', () => {
  it('admits up to the bytes allowed and never above, save for one message larger than all of it', () => {
    const window = new CreditWindow({ epoch: 1, maxOutstandingBytes: 100 });
    assert.equal(trySend(window, 60, 0), true);
    assert.equal(trySend(window, 41, 0), false);
    assert.equal(trySend(window, 40, 0), true);
    assert.equal(window.pressure(0), 1);
    window.reported(1, 2);
    assert.equal(trySend(window, 500, 0), true);
    assert.equal(window.pressure(0), 5);
  });

  it('has pressure by age, bytes and number of messages, whichever is most', () => {
    const window = new CreditWindow({ epoch: 1, maxOutstandingBytes: 1000, maxOutstandingMs: 200 });
    assert.equal(window.pressure(10_000), 0);
    trySend(window, 500, 10_000);
    assert.equal(window.pressure(10_000), 0.5);
    assert.equal(window.pressure(10_150), 0.75);
    assert.equal(window.pressure(10_199.9) < 1, true);
    trySend(window, 1, 10_199);
    assert.equal(trySend(window, 1, 10_200), false);
    const many = new CreditWindow({ epoch: 1 });
    for (let i = 0; i < RING; i++) assert.equal(trySend(many, 1, 0), true);
    assert.equal(trySend(many, 1, 0), false);
    assert.equal(many.pressure(0), 1);
  });

  it('without credit lets one message pass every 100 ms, and takes a full ring no further', () => {
    const window = new CreditWindow({ epoch: 1, maxOutstandingMs: 250 });
    for (let i = 0; i < RING; i++) trySend(window, 1, 0);
    const passedAtMs: number[] = [];
    for (let nowMs = 0; nowMs < 1000; nowMs += 5) if (trySend(window, 1, nowMs)) passedAtMs.push(nowMs);
    assert.deepEqual(passedAtMs, [100, 200, 300, 400, 500, 600, 700, 800, 900]);
    window.reported(1, RING + passedAtMs.length);
    assert.equal(window.outstandingBytes, 0);
    assert.equal(window.pressure(1000), 0);
  });

  it('has no pressure when a message may pass without credit, so that who sheds by pressure sends it', () => {
    const window = new CreditWindow({ epoch: 1, maxOutstandingMs: 250 });
    trySend(window, 1, 0);
    const passedAtMs: number[] = [];
    for (let nowMs = 0; nowMs < 1000; nowMs += 5) {
      if (nowMs > 125 && window.pressure(nowMs) < 0.5 && trySend(window, 1, nowMs)) passedAtMs.push(nowMs);
    }
    assert.deepEqual(passedAtMs, [250, 350, 450, 550, 650, 750, 850, 950]);
    window.reported(1, 9);
    assert.equal(window.pressure(1000), 0);
    assert.equal(window.outstandingBytes, 0);
  });

  it('probes not while reports come, even those that free nothing', () => {
    const window = new CreditWindow({ epoch: 1, maxOutstandingBytes: 10, maxOutstandingMs: 60_000 });
    trySend(window, 10, 0);
    for (let nowMs = 5; nowMs < 1000; nowMs += 5) {
      assert.equal(trySend(window, 10, nowMs), false);
      if (nowMs % 50 === 0) window.reported(1, 0);
    }
  });

  it('ignores reports of another epoch, of what was never sent, and repeated ones', () => {
    const window = new CreditWindow({ epoch: 7 });
    window.reported(7, 1);
    trySend(window, 10, 0);
    trySend(window, 20, 0);
    window.reported(8, 2);
    window.reported(7, 3);
    assert.equal(window.outstandingBytes, 30);
    window.reported(7, 1);
    window.reported(7, 1);
    window.reported(7, 0);
    assert.equal(window.outstandingBytes, 20);
  });

  it('skips 0 where the number wraps, and frees across the wrap', () => {
    const window = new CreditWindow({ epoch: 1, firstNumber: 0xfffffffe });
    const numbers: number[] = [];
    for (let i = 0; i < 4; i++) {
      numbers.push(window.nextNumber);
      trySend(window, 1, 0);
    }
    assert.deepEqual(numbers, [0xfffffffe, 0xffffffff, 1, 2]);
    window.reported(1, 0xffffffff);
    assert.equal(window.outstandingBytes, 2);
    window.reported(1, 2);
    assert.equal(window.outstandingBytes, 0);
  });

  it('agrees with a plain list, whatever is sent, reported and forgotten', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), bytes: fc.nat(60) }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('report' as const), back: fc.integer({ min: -3, max: 12 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(1, 0xfffffff0), (steps, firstNumber) => {
        const limit = 200;
        const window = new CreditWindow({ epoch: 1, maxOutstandingBytes: limit, maxOutstandingMs: 1e9, firstNumber });
        // The list holds what is outstanding by position; numbers are looked up, so that the wrap is not modelled twice.
        let list: { position: number; bytes: number }[] = [];
        const numbers: number[] = [];
        for (const action of steps) {
          if (action.kind === 'send') {
            const bytes = list.reduce((sum, entry) => sum + entry.bytes, 0);
            const fits = list.length === 0 || (bytes < limit && bytes + action.bytes <= limit);
            const number = window.nextNumber;
            assert.equal(trySend(window, action.bytes, 0), fits);
            if (fits) list.push({ position: numbers.push(number) - 1, bytes: action.bytes });
          } else if (action.kind === 'report') {
            const position = numbers.length - 1 - action.back;
            const number = numbers[position];
            if (position < 0) continue;
            // Beyond what was sent: a number that is only the next.
            window.reported(1, number ?? window.nextNumber);
            if (number !== undefined) list = list.filter((entry) => entry.position > position);
          } else {
            window.forget();
            list = [];
          }
          assert.equal(
            window.outstandingBytes,
            list.reduce((sum, entry) => sum + entry.bytes, 0),
          );
        }
      }),
      { numRuns: 150 },
    );
  });
});
