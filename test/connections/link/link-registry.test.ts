import assert from 'node:assert/strict';
import { LinkRegistry } from '../../../services/connections/src/link/link-registry.ts';
import { FrameBench } from '../../support/frame-bench.ts';

const GUID = '0102030405060708090a0b0c0d0e0f10';

describe('connections link registry', () => {
  let bench: FrameBench;

  beforeEach(() => {
    bench = new FrameBench();
  });
  afterEach(() => bench.stop());

  it('finds links by number, role, address and GUID, until they are removed', async () => {
    const { link } = await bench.add('ultrapeer', { listenAddress: '5.6.7.8:6346', headers: { GUID } });
    const { link: other } = await bench.add('leaf');
    const { links } = bench;
    assert.equal(links.get(link.number), link);
    assert.deepEqual([[...links.ultrapeers], [...links.leaves]], [[link], [other]]);
    assert.ok(links.hasAddress('5.6.7.8:6346') && links.hasGuid(GUID));
    links.remove(link);
    links.remove(link);
    assert.equal(links.get(link.number), undefined);
    assert.equal(links.size, 1);
    assert.ok(!links.hasAddress('5.6.7.8:6346') && !links.hasGuid(GUID));
    assert.equal(links.fromAddress('127.0.0.1'), 1);
  });

  it('keeps an address as long as any of the links that gave it lives', async () => {
    const { link: first } = await bench.add('leaf', { listenAddress: '5.6.7.8:6346' });
    const { link: second } = await bench.add('leaf', { listenAddress: '5.6.7.8:6346' });
    bench.links.remove(first);
    assert.ok(bench.links.hasAddress('5.6.7.8:6346'));
    bench.links.remove(second);
    assert.ok(!bench.links.hasAddress('5.6.7.8:6346'));
  });

  it('counts links by address and by network', async () => {
    for (const remoteIp of ['5.6.7.8', '5.6.7.8', '5.6.7.9', '5.6.8.8']) await bench.add('leaf', { remoteIp });
    const { links } = bench;
    assert.deepEqual([links.fromAddress('5.6.7.8'), links.fromNetwork('5.6.7.1')], [2, 3]);
    assert.deepEqual([links.fromAddress('9.9.9.9'), links.fromNetwork('9.9.9.9')], [0, 0]);
  });

  it('counts a reserved slot as taken until it is given back, once', () => {
    const links = new LinkRegistry();
    const release = links.reserve('leaf');
    links.reserve('ultrapeer');
    assert.deepEqual([links.taken('leaf'), links.taken('ultrapeer')], [1, 1]);
    release();
    release();
    assert.deepEqual([links.taken('leaf'), links.taken('ultrapeer')], [0, 1]);
  });

  it('does not count a link that is being ended as a slot taken', async () => {
    const { link } = await bench.add('leaf');
    const { link: stays } = await bench.add('leaf');
    bench.links.ending(link);
    bench.links.ending(link);
    assert.equal(bench.links.taken('leaf'), 1);
    bench.links.remove(link);
    assert.equal(bench.links.taken('leaf'), 1);
    bench.links.remove(stays);
    assert.equal(bench.links.taken('leaf'), 0);
  });

  it('never gives a number twice', () => {
    const links = new LinkRegistry();
    const numbers = Array.from({ length: 100 }, () => links.nextNumber());
    assert.equal(new Set(numbers).size, 100);
  });
});
