import assert from 'node:assert/strict';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import {
  MAX_PONGS_PER_LINE,
  MAX_PONGS_PER_LINK_AND_LINE,
  MAX_RECENT_ULTRAPEERS,
  PONG_LIFETIME_MS,
  PongCache,
  type CachedPong,
} from '../../../services/connections/src/pongs/pong-cache.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FrameBench } from '../../support/frame-bench.ts';

describe('connections pong cache', () => {
  let bench: FrameBench;
  let clock: FakeClock;
  let cache: PongCache;
  let links: PeerLink[];

  before(async () => {
    bench = new FrameBench();
    links = [];
    for (let i = 0; i < 8; i++) links.push((await bench.add('ultrapeer')).link);
  });
  after(() => bench.stop());
  beforeEach(() => {
    clock = new FakeClock();
    cache = new PongCache(
      () => clock.monotonic(),
      () => 0,
    );
  });

  let next = 0;
  function pong(from: number, hops: number, isUltrapeer = true): CachedPong {
    const address = `5.${(++next >> 16) & 255}.${(next >> 8) & 255}.${next & 255}:6346`;
    return { address, hops, isUltrapeer, from: link(from), payload: new Uint8Array(14) };
  }
  function link(index: number): PeerLink {
    const found = links[index];
    assert.ok(found);
    return found;
  }
  function chosen(wanted: number, to: number, lines: number, ultrapeersOnly = false): CachedPong[] {
    return cache.choose(wanted, link(to), lines, ultrapeersOnly);
  }

  it('keeps an address once in a line', () => {
    const one = pong(0, 1);
    assert.ok(cache.add(one));
    assert.ok(!cache.add({ ...one, from: link(1) }));
    assert.equal(cache.size, 1);
  });

  it('takes ten pongs of one link in a line and no more, and 50 of all', () => {
    const taken = Array.from({ length: 12 }, () => cache.add(pong(0, 2))).filter(Boolean);
    assert.equal(taken.length, MAX_PONGS_PER_LINK_AND_LINE);
    assert.ok(cache.add(pong(0, 1)), 'another line has room of its own');
    for (let from = 1; from < 8; from++) for (let i = 0; i < 10; i++) cache.add(pong(from, 2));
    assert.equal(cache.size, MAX_PONGS_PER_LINE + 1);
  });

  it('files every hop count from four on in the last line', () => {
    cache.add(pong(0, 4));
    cache.add(pong(0, 200));
    assert.equal(chosen(10, 1, 4).length, 0);
    assert.deepEqual(
      chosen(10, 1, 5).map(({ hops }) => hops),
      [4, 200],
    );
  });

  it('gives ten of 25, one of each hop count in turn', () => {
    for (let hops = 0; hops < 5; hops++) for (let i = 0; i < 5; i++) cache.add(pong(i, hops));
    const hops = chosen(10, 7, 5).map((one) => one.hops);
    assert.deepEqual(hops, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert.equal(cache.size, 25, 'what is given stays for others');
  });

  it('fills up from other hop counts where some have little', () => {
    for (let i = 0; i < 9; i++) cache.add(pong(0, 1));
    cache.add(pong(0, 3));
    assert.deepEqual(
      chosen(10, 1, 5).map(({ hops }) => hops),
      [1, 3, 1, 1, 1, 1, 1, 1, 1, 1],
    );
  });

  it('never gives a peer back what came from it', () => {
    for (let i = 0; i < 5; i++) cache.add(pong(0, 1));
    assert.equal(chosen(10, 0, 5).length, 0);
    assert.equal(chosen(10, 1, 5).length, 5);
  });

  it('gives only as many hop counts as the TTL reaches, and one at least', () => {
    for (let hops = 0; hops < 5; hops++) cache.add(pong(0, hops));
    assert.equal(chosen(10, 1, 2).length, 2);
    assert.equal(chosen(10, 1, 0).length, 1);
    assert.equal(chosen(10, 1, 255).length, 5);
  });

  it('gives leaves ultrapeers only', () => {
    cache.add(pong(0, 1, false));
    const up = pong(0, 1, true);
    cache.add(up);
    assert.deepEqual(chosen(10, 1, 5, true), [up]);
  });

  it('is emptied after its lifetime and not before', () => {
    cache.add(pong(0, 1));
    clock.advance(PONG_LIFETIME_MS - 1);
    assert.equal(cache.expire(), false);
    assert.equal(cache.size, 1);
    clock.advance(1);
    assert.equal(cache.expire(), true);
    assert.equal(cache.size, 0);
    assert.equal(cache.expire(), false);
  });

  it('forgets what came from a link that is gone', () => {
    cache.add(pong(0, 1));
    cache.add(pong(1, 1));
    cache.forget(link(0));
    assert.deepEqual(
      chosen(10, 2, 5).map(({ from }) => from),
      [link(1)],
    );
  });

  it('remembers ultrapeers over its lifetime, the newest first, each once and a bounded number', () => {
    const pongs = Array.from({ length: MAX_RECENT_ULTRAPEERS + 5 }, (_, i) => pong(i % 8, 0));
    for (const one of pongs) cache.add(one);
    cache.add(pong(0, 0, false));
    clock.advance(PONG_LIFETIME_MS);
    cache.expire();
    const again = pongs[10];
    assert.ok(again);
    cache.add(again);
    const addresses = pongs.map(({ address }) => address).reverse();
    const expected = [again.address, ...addresses.filter((address) => address !== again.address)];
    assert.deepEqual([...cache.recentUltrapeers], expected.slice(0, MAX_RECENT_ULTRAPEERS));
  });
});
