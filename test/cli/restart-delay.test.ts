import assert from 'node:assert/strict';
import { restartDelayMs } from '../../cli/src/up/kept-process.ts';

describe('supervisor: time before a restart', () => {
  it('is none for the first, then doubles from 100 ms to 5 s', () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7, 60].map(restartDelayMs), [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  });
});
