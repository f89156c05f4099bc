import assert from 'node:assert/strict';
import { HostOutcome } from '@filbert/contracts';
import {
  ALIVE_PING_BURST,
  ALIVE_PING_INTERVAL_MS,
  NEIGHBOUR_PING_THROTTLE_MS,
} from '../../../services/connections/src/frames/ping.ts';
import { OWN_PONG_MS } from '../../../services/connections/src/pongs/own-pong.ts';
import {
  ADDRESS_WINDOW_MS,
  MAX_ADDRESSES_OF_LEAF,
  MAX_ADDRESSES_OF_ULTRAPEER,
} from '../../../services/connections/src/frames/pong.ts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench, someFacts } from '../../support/frame-bench.ts';
import { ipv4Bytes, pongPayload, randomGuid, RAW_DESCRIPTOR, type RawFrame } from '../../support/raw-wire.ts';

const { ping: PING, pong: PONG } = RAW_DESCRIPTOR;
/** GGEP "SCP" with one byte, 01: ultrapeers wanted. */
const SCP = Buffer.from('c3835343504101', 'hex');

function pongAddress({ payload }: RawFrame): string {
  return `${[...payload.subarray(2, 6)].join('.')}:${payload.readUInt16LE(0)}`;
}

/** A GGEP block that is last in its area, with a value shorter than 64 bytes. */
function ggep(id: string, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0xc3, 0x80 | id.length), Buffer.from(id), Buffer.of(0x40 | value.length), value]);
}

describe('connections PING', () => {
  let bench: FrameBench;
  let link: PeerLink;
  let leaf: PeerLink;

  beforeEach(async () => {
    bench = new FrameBench({ allowPrivate: false });
    ({ link } = await bench.add('ultrapeer', { listenAddress: '5.5.5.1:6346' }));
    ({ link: leaf } = await bench.add('leaf'));
  });
  afterEach(() => bench.stop());

  function ping(from: PeerLink, ttl: number, hops = 0, payload = Buffer.alloc(0)): RawFrame[] {
    const { guid } = bench.receive(from, { descriptor: PING, ttl, hops, payload });
    const answers = bench.sent(from);
    for (const answer of answers) assert.deepEqual([answer.descriptor, answer.guid], [PONG, guid]);
    return answers;
  }

  /** Puts pongs of `count` far ultrapeers into the cache, from this link. */
  function learn(from: PeerLink, count: number, hops = 1, net = 1): void {
    for (let i = 0; i < count; i++) {
      bench.receive(from, { descriptor: PONG, hops, payload: pongPayload(6346, `5.6.${net}.${i + 1}`, 0, 8) });
    }
  }

  it('of TTL 1 is answered at once with our own pong, as often as it comes', () => {
    bench.facts = someFacts({ sharedFiles: 42, sharedKib: 5000 });
    for (let i = 0; i < 20; i++) {
      const [pong, ...others] = ping(leaf, 1);
      assert.ok(pong);
      assert.equal(others.length, 0);
      assert.deepEqual([pong.ttl, pong.hops, pongAddress(pong)], [1, 0, '127.0.0.1:6346']);
      assert.equal(pong.payload.readUInt32LE(6), 42);
      const kib = pong.payload.readUInt32LE(10);
      assert.ok(kib >= 8 && (kib & (kib - 1)) === 0, 'an ultrapeer’s KiB are a power of two');
    }
  });

  it('of TTL 1 is answered with what was made within the last second, not made anew for each', () => {
    const payload = (): string => ping(link, 1)[0]?.payload.toString('hex') ?? '';
    bench.free = { leaves: 7, ultrapeers: 2 };
    const first = payload();
    bench.free = { leaves: 3, ultrapeers: 2 };
    assert.equal(payload(), first);
    bench.clock.advance(OWN_PONG_MS);
    assert.notEqual(payload(), first);
  });

  it('that comes too soon is not looked at: it is counted as throttled, malformed or not', () => {
    ping(link, 7);
    bench.receive(link, { descriptor: PING, ttl: 7, payload: Buffer.of(1, 2, 3) });
    assert.deepEqual([link.counters.bad, bench.counters.framesDropped.throttled], [0, 1]);
  });

  it('of TTL 1 is answered before everything else that waits', () => {
    learn(link, 5);
    bench.receive(leaf, { descriptor: PING, ttl: 4 });
    const { guid } = bench.receive(leaf, { descriptor: PING, ttl: 1 });
    assert.equal(bench.sent(leaf)[0]?.guid, guid);
  });

  it('tells free slots and our vendor in our own pong', () => {
    bench.free = { leaves: 7, ultrapeers: 3 };
    const [pong] = ping(link, 1);
    const tail = pong?.payload.subarray(14).toString('latin1') ?? '';
    assert.ok(tail.startsWith('\xc3\x02VCEFLBT'));
    const up = tail.indexOf('UP');
    assert.deepEqual([tail.charCodeAt(up + 4), tail.charCodeAt(up + 5)], [7, 3]);
  });

  it('of TTL 2 is answered with a pong for each other ultrapeer neighbour, without GGEP', async () => {
    await bench.add('ultrapeer', { listenAddress: '5.5.5.2:6347' });
    await bench.add('ultrapeer', { listenAddress: '5.5.5.3:6348' });
    await bench.add('ultrapeer');
    const answers = ping(link, 2);
    assert.deepEqual(answers.map(pongAddress), ['5.5.5.2:6347', '5.5.5.3:6348']);
    for (const { ttl, hops, payload } of answers) assert.deepEqual([ttl, hops, payload.length], [1, 1, 14]);
    assert.equal(ping(leaf, 2).length, 3);
  });

  it('of TTL 2 is answered once in 3 s on a link, for its answer is long', async () => {
    await bench.add('ultrapeer', { listenAddress: '5.5.5.2:6347' });
    assert.equal(ping(leaf, 2).length, 2);
    bench.clock.advance(NEIGHBOUR_PING_THROTTLE_MS - 1);
    assert.equal(ping(leaf, 2).length, 0);
    assert.equal(ping(link, 2).length, 1, 'each link has a time of its own');
    bench.clock.advance(1);
    assert.equal(ping(leaf, 2).length, 2);
    assert.equal(bench.counters.framesDropped.throttled, 1);
  });

  it('of TTL 1 is answered 500 times at once, then 50 times a second', () => {
    for (let i = 0; i < ALIVE_PING_BURST; i++) assert.equal(ping(leaf, 1).length, 1);
    assert.equal(ping(leaf, 1).length, 0);
    assert.equal(ping(link, 1).length, 1, 'each link has a count of its own');
    bench.clock.advance(ALIVE_PING_INTERVAL_MS);
    assert.deepEqual([ping(leaf, 1).length, ping(leaf, 1).length], [1, 0]);
    assert.deepEqual([bench.counters.framesDropped.throttled, leaf.counters.bad], [2, 0]);
  });

  it('of TTL 0 is the acknowledgement of an alive ping, and not answered', () => {
    link.alivePingsUnanswered = 3;
    assert.deepEqual(ping(link, 0), []);
    assert.equal(link.alivePingsUnanswered, 0);
    assert.equal(link.counters.bad, 0);
  });

  it('for others’ pongs gets ours and up to ten of the cache, never what came from itself', async () => {
    const { link: other } = await bench.add('ultrapeer');
    for (let hops = 0; hops < 5; hops++) learn(other, 5, hops, hops);
    const answers = ping(link, 7);
    assert.equal(answers.length, 11);
    assert.deepEqual([answers[0]?.hops, answers[0] && pongAddress(answers[0])], [0, '127.0.0.1:6346']);
    assert.deepEqual(
      answers.slice(1).map(({ hops }) => hops),
      [1, 2, 3, 4, 5, 1, 2, 3, 4, 5],
    );
    assert.ok(answers.every(({ ttl }) => ttl === 1));
    assert.deepEqual(ping(other, 7).length, 1, 'only ours');
  });

  it('for others’ pongs is answered once in 3 s on a link to an ultrapeer, once in 60 s on one to a leaf', () => {
    for (const [one, throttleMs] of [
      [link, 3_000],
      [leaf, 60_000],
    ] as const) {
      assert.equal(ping(one, 4).length, 1);
      bench.clock.advance(throttleMs - 1);
      assert.equal(ping(one, 4).length, 0);
      bench.clock.advance(1);
      assert.equal(ping(one, 4).length, 1);
    }
    assert.equal(bench.counters.framesDropped.throttled, 2);
    assert.equal(link.counters.bad, 0);
  });

  it('that was relayed is taken for one for others’ pongs, and answered with the TTL that it needs to get back', () => {
    const [pong] = ping(link, 1, 2);
    assert.equal(pong?.ttl, 3);
    assert.equal(ping(link, 1, 2).length, 0, 'throttled');
    bench.clock.advance(3000);
    assert.equal(ping(link, 1, 20)[0]?.ttl, 4, 'never more than ours');
  });

  it('gets our own pong the first time on a link, and later only while slots are free', () => {
    bench.free = { leaves: 0, ultrapeers: 0 };
    assert.equal(ping(link, 4).length, 1);
    bench.clock.advance(3_000);
    assert.equal(ping(link, 4).length, 0);
    bench.clock.advance(3_000);
    bench.free = { leaves: 1, ultrapeers: 0 };
    assert.equal(ping(link, 4).length, 1);
  });

  it('of a leaf gets ultrapeers only', () => {
    bench.receive(link, { descriptor: PONG, hops: 1, payload: pongPayload(6346, '5.6.7.8', 3, 5) });
    bench.receive(link, { descriptor: PONG, hops: 1, payload: pongPayload(6346, '5.6.7.9', 3, 8) });
    assert.deepEqual(ping(leaf, 4).map(pongAddress), ['127.0.0.1:6346', '5.6.7.9:6346']);
  });

  it('with SCP gets one pong that packs ten ultrapeers, and not itself', () => {
    bench.free = { leaves: 0, ultrapeers: 0 };
    bench.ultrapeers = ['5.5.5.1:6346', ...Array.from({ length: 15 }, (_, i) => `5.7.7.${i}:${7000 + i}`)];
    learn(leaf, 0);
    bench.receive(leaf, { descriptor: PONG, payload: pongPayload(6346, '5.6.7.9', 3, 8) });
    for (let i = 0; i < 2; i++) {
      const [pong, ...others] = ping(link, 4, 0, SCP);
      assert.ok(pong);
      assert.equal(others.length, 0);
      const tail = pong.payload.subarray(14);
      const at = tail.indexOf('IPP');
      assert.ok(at > 0);
      const packed = tail.subarray(tail.length - 60);
      assert.deepEqual(
        Array.from({ length: 10 }, (_, j) => [...packed.subarray(j * 6, j * 6 + 4)].join('.')),
        Array.from({ length: 10 }, (_, j) => `5.7.7.${j}`),
      );
      assert.equal(packed.readUInt16LE(4), 7000);
      bench.clock.advance(3_000);
    }
  });

  it('is dropped and counted where its payload is no GGEP', () => {
    assert.deepEqual(ping(link, 1, 0, Buffer.from('rubbish')), []);
    assert.equal(link.counters.bad, 1);
    assert.equal(bench.counters.framesDropped.malformed, 1);
  });

  it('never goes on to anybody', async () => {
    ping(link, 7);
    ping(link, 3, 2);
    assert.deepEqual(await bench.takeRouted(), []);
    assert.deepEqual(bench.sent(leaf), []);
  });
});

describe('connections PONG', () => {
  let bench: FrameBench;
  let link: PeerLink;

  beforeEach(async () => {
    bench = new FrameBench({ allowPrivate: false });
    ({ link } = await bench.add('ultrapeer'));
  });
  afterEach(() => bench.stop());

  function pong(payload: Buffer, hops = 1): void {
    bench.receive(link, { descriptor: PONG, hops, payload });
  }

  it('comes into the cache, and an ultrapeer’s to bootstrap', async () => {
    pong(pongPayload(6346, '5.6.7.8', 10, 1024));
    pong(pongPayload(6347, '5.6.7.9', 10, 1023));
    assert.equal(bench.context.pongs.size, 2);
    assert.deepEqual([...bench.context.pongs.recentUltrapeers], ['5.6.7.8:6346']);
    assert.deepEqual(await bench.takeHosts(), [
      { address: '5.6.7.8:6346', outcome: HostOutcome.HOST_OUTCOME_LEARNED, ultrapeer: true },
    ]);
  });

  it('with an address that is nobody’s, or private, or with no port, is neither kept nor told', async () => {
    const bad = ['0.0.0.0', '127.0.0.1', '10.1.2.3', '192.168.1.1', '172.16.0.1', '255.255.255.255', '224.0.0.1'];
    for (const ip of bad) pong(pongPayload(6346, ip, 0, 8));
    pong(pongPayload(0, '5.6.7.8', 0, 8));
    pong(pongPayload(25, '5.6.7.8', 0, 8));
    assert.equal(bench.context.pongs.size, 0);
    assert.deepEqual(await bench.takeHosts(), []);
    assert.equal(bench.counters.framesDropped['unusable-address'], bad.length + 2);
  });

  it('with a private address is kept where these are allowed, but not ours', async () => {
    await bench.stop();
    bench = new FrameBench({ allowPrivate: true });
    ({ link } = await bench.add('ultrapeer'));
    pong(pongPayload(6346, '10.1.2.3', 0, 8));
    pong(pongPayload(6346, '127.0.0.1', 0, 8));
    assert.deepEqual([...bench.context.pongs.recentUltrapeers], ['10.1.2.3:6346']);
  });

  it('of another GUID than a ping of ours is as good, and is never routed', async () => {
    bench.receive(link, {
      descriptor: PONG,
      guid: randomGuid(),
      ttl: 5,
      hops: 2,
      payload: pongPayload(1, '5.6.7.8', 0, 8),
    });
    assert.equal(bench.context.pongs.size, 1);
    assert.deepEqual(await bench.takeRouted(), []);
  });

  it('names the hosts packed into it to bootstrap, but the bad ones', async () => {
    const hosts = Buffer.concat(
      ['5.7.7.1', '10.0.0.1', '5.7.7.2'].map((ip) => Buffer.concat([ipv4Bytes(ip), Buffer.of(0xca, 0x18)])),
    );
    pong(Buffer.concat([pongPayload(6346, '5.6.7.8', 0, 3), ggep('IPP', hosts)]));
    assert.deepEqual(
      (await bench.takeHosts()).map(({ address }) => address),
      ['5.7.7.1:6346', '5.7.7.2:6346'],
    );
  });

  it('that is short or has a tail that is no GGEP is dropped and counted', () => {
    pong(Buffer.alloc(13));
    pong(Buffer.concat([pongPayload(6346, '5.6.7.8', 0, 8), Buffer.of(1)]));
    assert.equal(bench.context.pongs.size, 0);
    assert.equal(link.counters.bad, 2);
  });

  it('is handed on with its extensions where these are short, else without', async () => {
    const short = Buffer.concat([pongPayload(6346, '5.6.7.8', 0, 8), ggep('XX', Buffer.alloc(40))]);
    // 5 × 60 bytes in blocks that are not the last.
    const block = Buffer.concat([Buffer.of(0x02), Buffer.from('XY'), Buffer.of(0x40 | 60), Buffer.alloc(60)]);
    const many = Buffer.concat([Buffer.of(0xc3), block, block, block, block, ggep('XX', Buffer.alloc(2)).subarray(1)]);
    pong(short);
    pong(Buffer.concat([pongPayload(6346, '5.6.7.9', 0, 8), many]));
    const { link: other } = await bench.add('ultrapeer');
    bench.receive(other, { descriptor: PING, ttl: 4 });
    const payloads = bench.sent(other).map(({ payload }) => payload);
    assert.equal(payloads.length, 3);
    assert.deepEqual(
      payloads.slice(1).map(({ length }) => length),
      [short.length, 14],
    );
  });

  it('of a neighbour itself counts as an answer to alive pings', () => {
    link.alivePingsUnanswered = 4;
    pong(pongPayload(6346, '5.6.7.8', 0, 8), 3);
    assert.equal(link.alivePingsUnanswered, 4);
    pong(pongPayload(6346, '10.0.0.1', 0, 8), 0);
    assert.equal(link.alivePingsUnanswered, 0, 'whatever address it names');
  });

  it('does not let one link fill the cache', () => {
    for (let i = 0; i < 100; i++) pong(pongPayload(6346, `5.6.7.${i}`, 0, 8));
    assert.equal(bench.context.pongs.size, 10);
  });

  it('is ignored where its link has told too many addresses, until the time for that is over', async () => {
    const { link: leaf } = await bench.add('leaf');
    for (const [one, most] of [
      [link, MAX_ADDRESSES_OF_ULTRAPEER],
      [leaf, MAX_ADDRESSES_OF_LEAF],
    ] as const) {
      for (let i = 0; i < 150; i++) {
        bench.receive(one, { descriptor: PONG, hops: 0, payload: pongPayload(6346, `5.6.7.${i}`, 0, 8) });
      }
      assert.equal((await bench.takeHosts()).length, most);
      bench.clock.advance(ADDRESS_WINDOW_MS);
      bench.receive(one, { descriptor: PONG, hops: 0, payload: pongPayload(6346, '5.6.8.1', 0, 8) });
      assert.equal((await bench.takeHosts()).length, 1);
      assert.equal(one.counters.bad, 0);
    }
  });

  it('counts with every host packed into it', async () => {
    const packed = (net: number): Buffer =>
      Buffer.concat(Array.from({ length: 10 }, (_, i) => Buffer.of(5, 7, net, i + 1, 0xca, 0x18)));
    for (let net = 0; net < 20; net++) {
      pong(Buffer.concat([pongPayload(6346, `5.6.7.${net + 1}`, 0, 3), ggep('IPP', packed(net))]));
    }
    const told = (await bench.takeHosts()).length;
    assert.ok(told > 80 && told <= MAX_ADDRESSES_OF_ULTRAPEER, `${told} hosts`);
  });
});
