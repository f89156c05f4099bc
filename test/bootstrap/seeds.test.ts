import assert from 'node:assert/strict';
import { formatSeeds, MAX_SEEDS, parseSeeds } from '../../services/bootstrap/src/seeds.ts';

describe('bootstrap seeds', () => {
  it('are the built-in list, none, or hosts, by address or name', () => {
    assert.deepEqual(parseSeeds('none'), { kind: 'none', addresses: [] });
    assert.equal(parseSeeds('default')?.kind, 'default');
    assert.deepEqual(parseSeeds('5.6.7.8:6346, [2001:0470::1]:7000'), {
      kind: 'listed',
      addresses: ['5.6.7.8:6346', '[2001:470::1]:7000'],
    });
    assert.deepEqual(parseSeeds('example.org:6346, 5.6.7.8:1')?.addresses, ['example.org:6346', '5.6.7.8:1']);
  });

  it('are refused whole where one entry is no host with a port', () => {
    for (const text of [
      '',
      ',',
      '5.6.7.8:6346,',
      'example.org',
      'example.org:0',
      'not a name:6346',
      '5.6.7.8',
      '5.6.7.8:0',
      'None',
      'default,5.6.7.8:1',
    ]) {
      assert.equal(parseSeeds(text), undefined, JSON.stringify(text));
    }
  });

  it('are a bounded number', () => {
    const list = (count: number): string => Array.from({ length: count }, (_, i) => `5.6.7.${i}:6346`).join();
    assert.equal(parseSeeds(list(MAX_SEEDS))?.addresses.length, MAX_SEEDS);
    assert.equal(parseSeeds(list(MAX_SEEDS + 1)), undefined);
  });

  it('are written as they are read', () => {
    for (const text of ['none', 'default', 'example.org:6346,5.6.7.8:6346,[2001:470::1]:7000']) {
      const seeds = parseSeeds(text);
      assert.ok(seeds);
      assert.equal(formatSeeds(seeds), text);
    }
  });
});
