import assert from 'node:assert/strict';
import {
  CALM_PRESSURE,
  LIGHT_BYTES,
  MAX_READ_WAIT_MS,
  READ_TURN_MS,
  ReadTurns,
} from '../../../services/connections/src/link/read-turns.ts';
import { turns } from '../../support/frame-bench.ts';
import { waitFor } from '../../support/wait-for.ts';

describe('connections read turns', () => {
  let now = 0;
  let pressure = 0;
  let reads: ReadTurns;
  let order: string[];

  beforeEach(() => {
    now = 0;
    pressure = 0;
    order = [];
    reads = new ReadTurns(
      () => pressure,
      () => now,
    );
  });
  afterEach(() => reads.stop());

  function reader(name: string, costMs = 0): { readOn: () => void } {
    return {
      readOn: () => {
        order.push(name);
        now += costMs;
      },
    };
  }

  it('lets read on who fills less than a whole read, whatever it sends, while shards keep up', () => {
    assert.equal(reads.mustWait(false, 1e9), false);
    assert.equal(reads.mustWait(true, 100), true);
  });

  it('makes those wait that send much while shards are behind, and nobody else', () => {
    pressure = CALM_PRESSURE;
    assert.equal(reads.mustWait(false, LIGHT_BYTES), false);
    assert.equal(reads.mustWait(false, LIGHT_BYTES + 1), true);
    pressure = CALM_PRESSURE - 0.01;
    assert.equal(reads.mustWait(false, LIGHT_BYTES + 1), false);
  });

  it('calls readers in the order in which they came, in a later turn', async () => {
    for (const name of ['a', 'b', 'c']) reads.wait(reader(name));
    assert.deepEqual([order.length, reads.waiting, reads.waits], [0, 3, 3]);
    await turns(1);
    assert.deepEqual(order, ['a', 'b', 'c']);
    assert.equal(reads.waiting, 0);
  });

  it('reads for a bounded time in one turn and goes on in the next, where it stopped', async () => {
    reads.wait(reader('long', READ_TURN_MS));
    reads.wait(reader('next'));
    await turns(1);
    assert.deepEqual(order, ['long']);
    await turns(1);
    assert.deepEqual(order, ['long', 'next']);
  });

  it('gives one that waits again its next turn behind the others', async () => {
    const greedy = {
      readOn: (): void => {
        order.push('greedy');
        if (order.length < 4) reads.wait(greedy);
      },
    };
    reads.wait(greedy);
    reads.wait(reader('other'));
    await turns(1);
    assert.deepEqual(order, ['greedy', 'other']);
    await turns(1);
    assert.deepEqual(order, ['greedy', 'other', 'greedy']);
  });

  it('reads nobody while shards are behind, and all once they are not', async () => {
    pressure = 1;
    reads.wait(reader('a'));
    await turns(5);
    assert.deepEqual([order.length, reads.waiting], [0, 1]);
    pressure = 0;
    await waitFor('the reader', () => order.length === 1);
  });

  it('makes nobody wait longer than its limit, behind or not', async () => {
    pressure = 1;
    reads.wait(reader('a'));
    now = MAX_READ_WAIT_MS;
    reads.wait(reader('b'));
    await waitFor('the first', () => order.length === 1);
    assert.deepEqual([order, reads.waiting], [['a'], 1]);
  });

  it('forgets a reader that is gone, and all when it stops', async () => {
    const gone = reader('gone');
    reads.wait(gone);
    reads.wait(reader('stays'));
    reads.forget(gone);
    await turns(1);
    assert.deepEqual(order, ['stays']);
    reads.wait(gone);
    reads.stop();
    await turns(2);
    assert.deepEqual([order, reads.waiting], [['stays'], 0]);
  });
});
