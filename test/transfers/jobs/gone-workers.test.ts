import assert from 'node:assert/strict';
import { GoneWorkers } from '../../../services/transfers/src/jobs/gone-workers.ts';

const NOBODY = new Set<string>();

describe('transfers: workers that are gone', () => {
  /** Looks every 3 s from a connection at 0, with a lease of 10 s. */
  const judge = (): GoneWorkers => new GoneWorkers({ leaseMs: 10_000, lookMs: 3_000 }, 0);

  it('are those without a lease in two looks in a row', () => {
    const workers = judge();
    for (const at of [3_000, 6_000, 9_000]) workers.look(['a', 'b'], new Set(['a', 'b']), at);
    assert.deepEqual([...workers.look(['a', 'b'], new Set(['b']), 12_000)], []);
    assert.deepEqual([...workers.look(['a', 'b'], new Set(['b']), 15_000)], ['a']);
  });

  it('do not count as long as others may not have renewed theirs after a connection', () => {
    const workers = judge();
    for (const at of [3_000, 6_000, 9_000, 12_000]) assert.equal(workers.look(['a'], NOBODY, at).size, 0, `at ${at}`);
    assert.deepEqual([...workers.look(['a'], NOBODY, 15_000)], ['a']);
  });

  it('are not judged by looks before a loss of the connection', () => {
    const workers = judge();
    for (const at of [6_000, 9_000, 12_000]) workers.look(['a'], NOBODY, at);
    workers.unsettle(13_000);
    for (const at of [15_000, 18_000, 21_000, 24_000])
      assert.equal(workers.look(['a'], NOBODY, at).size, 0, `at ${at}`);
    assert.deepEqual([...workers.look(['a'], NOBODY, 27_000)], ['a']);
  });

  it('are not judged by who stood still', () => {
    const workers = judge();
    for (const at of [6_000, 9_000, 12_000]) workers.look(['a'], NOBODY, at);
    assert.equal(workers.look(['a'], NOBODY, 72_000).size, 0);
    assert.equal(workers.look(['a'], NOBODY, 75_000).size, 0);
  });

  it('are back with a lease', () => {
    const workers = judge();
    for (const at of [9_000, 12_000]) workers.look(['a'], NOBODY, at);
    workers.look(['a'], new Set(['a']), 15_000);
    assert.equal(workers.look(['a'], NOBODY, 18_000).size, 0);
  });
});
