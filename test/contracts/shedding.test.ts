import assert from 'node:assert/strict';
import { shedsQuery } from '@filbert/contracts';
import fc from 'fast-check';

describe('shedding', () => {
  it('contracts: queries that came far go first, those of our own leaves last', () => {
    assert.deepEqual(
      [0, 0.5, 0.75, 0.9].map((pressure) => [0, 1, 2, 3, 4, 255].filter((hops) => shedsQuery(pressure, hops))),
      [[], [3, 4, 255], [2, 3, 4, 255], [0, 1, 2, 3, 4, 255]],
    );
  });

  it('contracts: what is shed stays shed with more hops or more pressure, and nothing is once credit is out', () => {
    const pressure = fc.double({ min: 0, max: 2, noNaN: true });
    const hops = fc.nat(254);
    fc.assert(
      fc.property(pressure, pressure, hops, hops, (p1, p2, h1, h2) => {
        const low = shedsQuery(Math.min(p1, p2), Math.min(h1, h2));
        const high = shedsQuery(Math.max(p1, p2), Math.max(h1, h2));
        assert.ok(!low || high);
      }),
    );
    for (let h = 0; h < 256; h++) assert.ok(shedsQuery(1, h));
  });
});
