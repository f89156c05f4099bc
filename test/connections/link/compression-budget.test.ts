import assert from 'node:assert/strict';
import {
  CompressionBudget,
  DEFLATE_BYTES,
  INFLATE_BYTES,
} from '../../../services/connections/src/link/compression-budget.ts';

describe('connections compression budget', () => {
  it('grants both streams while there is memory, then only what fits, then none', () => {
    const budget = new CompressionBudget(INFLATE_BYTES * 2 + DEFLATE_BYTES);
    const grants = [budget.grant(), budget.grant(), budget.grant()];
    assert.deepEqual(
      grants.map(({ inflate, deflate }) => [inflate, deflate]),
      [
        [true, true],
        [true, false],
        [false, false],
      ],
    );
    assert.equal(budget.usedBytes, INFLATE_BYTES * 2 + DEFLATE_BYTES);
    assert.equal(budget.denied, 3);
  });

  it('gets back what the handshake made no use of, and the rest when the link ends, once', () => {
    const budget = new CompressionBudget(2 ** 20);
    const grant = budget.grant();
    grant.keepOnly({ inflate: false, deflate: true });
    assert.equal(budget.usedBytes, DEFLATE_BYTES);
    assert.deepEqual([grant.inflate, grant.deflate], [false, true]);
    grant.keepOnly({ inflate: true, deflate: true });
    assert.equal(budget.usedBytes, DEFLATE_BYTES, 'what was given back is not taken again');
    grant.release();
    grant.release();
    grant.keepOnly({ inflate: false, deflate: false });
    assert.equal(budget.usedBytes, 0);
  });

  it('grants nothing with a budget of nothing', () => {
    const grant = new CompressionBudget(0).grant();
    assert.deepEqual([grant.inflate, grant.deflate], [false, false]);
    grant.release();
  });
});
