import assert from 'node:assert/strict';
import {
  BLOCKED_LIMIT_MS,
  KeepAlive,
  LEAF_SILENCE_MS,
  ULTRAPEER_SILENCE_MS,
} from '../../services/connections/src/keep-alive.ts';
import { PONG_LIFETIME_MS } from '../../services/connections/src/pongs/pong-cache.ts';
import type { PeerLink } from '../../services/connections/src/link/peer-link.ts';
import { FrameBench } from '../support/frame-bench.ts';
import { RAW_DESCRIPTOR } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';

describe('connections keep-alive', () => {
  let bench: FrameBench;
  let keepAlive: KeepAlive;

  beforeEach(() => {
    bench = new FrameBench();
    keepAlive = new KeepAlive({
      links: bench.links,
      pongs: bench.context.pongs,
      now: () => bench.clock.monotonic(),
      random: () => 0,
    });
  });
  afterEach(() => bench.stop());

  /** Ticks once a second for so long, and counts the alive PINGs that the link was sent meanwhile. */
  function pass(ms: number, link: PeerLink): number {
    let pings = 0;
    for (let passed = 0; passed < ms; passed += 1000) {
      bench.clock.advance(1000);
      keepAlive.tick();
      pings += alivePings(link);
    }
    return pings;
  }

  function alivePings(link: PeerLink): number {
    const isAlive = ({ descriptor, ttl, hops }: { descriptor: number; ttl: number; hops: number }): boolean =>
      descriptor === RAW_DESCRIPTOR.ping && ttl === 1 && hops === 0;
    return bench.sent(link).filter(isAlive).length;
  }

  it('pings an ultrapeer that was silent for 20 s, and a leaf only after 120 s', async () => {
    const { link: ultrapeer } = await bench.add('ultrapeer');
    const { link: leaf } = await bench.add('leaf');
    assert.equal(pass(ULTRAPEER_SILENCE_MS - 1000, ultrapeer), 0);
    assert.equal(pass(1000, ultrapeer), 1);
    assert.equal(pass(LEAF_SILENCE_MS - ULTRAPEER_SILENCE_MS - 1000, leaf), 0);
    assert.equal(pass(1000, leaf), 1);
  });

  it('leaves a link in peace from which anything came', async () => {
    const { link, far } = await bench.add('ultrapeer');
    pass(ULTRAPEER_SILENCE_MS - 1000, link);
    const before = link.counters.bytesIn;
    far.write(Buffer.alloc(5));
    await waitFor('the bytes', () => link.counters.bytesIn > before);
    assert.equal(pass(ULTRAPEER_SILENCE_MS - 1000, link), 0);
    assert.equal(pass(1000, link), 1);
  });

  it('ends an ultrapeer with BYE 406 after six alive pings without an answer, 20 s apart', async () => {
    const { link } = await bench.add('ultrapeer');
    assert.equal(pass(7 * ULTRAPEER_SILENCE_MS - 1000, link), 6);
    assert.equal(bench.byes.size, 0);
    pass(1000, link);
    assert.equal(bench.byes.get(link.number), 406);
  });

  it('ends a leaf with BYE 406 after four', async () => {
    const { link } = await bench.add('leaf');
    assert.equal(pass(5 * LEAF_SILENCE_MS - 1000, link), 4);
    assert.equal(bench.byes.size, 0);
    pass(1000, link);
    assert.equal(bench.byes.get(link.number), 406);
  });

  it('begins to count anew after an answer', async () => {
    const { link, far } = await bench.add('ultrapeer');
    pass(6 * ULTRAPEER_SILENCE_MS, link);
    const before = link.counters.bytesIn;
    far.write(Buffer.alloc(5));
    await waitFor('the bytes', () => link.counters.bytesIn > before);
    assert.equal(pass(6 * ULTRAPEER_SILENCE_MS, link), 6);
    assert.equal(bench.byes.size, 0);
  });

  it('ends a link whose socket took nothing for 180 s, counted as BYE 405', async () => {
    const { link, far } = await bench.add('leaf');
    link.blockedSince = bench.now();
    pass(BLOCKED_LIMIT_MS, link);
    assert.equal(bench.byes.size, 0);
    const closed = new Promise((resolve) => far.once('close', resolve));
    pass(1000, link);
    assert.equal(bench.byes.get(link.number), 405);
    far.resume();
    await closed;
  });

  it('asks a fifth of the ultrapeers for pongs when the cache is emptied, three at least', async () => {
    const links: PeerLink[] = [];
    for (let i = 0; i < 20; i++) links.push((await bench.add('ultrapeer')).link);
    const blocked = (await bench.add('ultrapeer')).link;
    blocked.blockedSince = bench.now();
    const { link: leaf } = await bench.add('leaf');
    const asked = (): number =>
      [...links, blocked, leaf].filter((link) => {
        const asksForPongs = bench.sent(link).some(({ ttl }) => ttl > 1);
        assert.ok(!asksForPongs || (link !== blocked && link !== leaf));
        return asksForPongs;
      }).length;
    bench.clock.advance(PONG_LIFETIME_MS - 1);
    keepAlive.tick();
    assert.equal(asked(), 0);
    bench.clock.advance(1);
    keepAlive.tick();
    assert.equal(asked(), 4);
    for (const link of links.slice(4)) bench.links.remove(link);
    bench.clock.advance(PONG_LIFETIME_MS);
    keepAlive.tick();
    assert.equal(asked(), 3);
  });

  it('says in a ping for pongs that it takes packed ones of ultrapeers', async () => {
    const { link } = await bench.add('ultrapeer');
    bench.clock.advance(PONG_LIFETIME_MS);
    keepAlive.tick();
    const [ping] = bench.sent(link).filter(({ ttl }) => ttl > 1);
    assert.ok(ping);
    assert.deepEqual([ping.ttl, ping.hops, ping.payload.toString('hex')], [4, 0, 'c3835343504101']);
  });
});
