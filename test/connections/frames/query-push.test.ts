import assert from 'node:assert/strict';
import { encodeGgep, ipv6FromText } from '@filbert/gnutella';
import { LEAF_QUERY_BURST, LEAF_QUERY_INTERVAL_MS } from '../../../services/connections/src/frames/query.ts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench } from '../../support/frame-bench.ts';
import {
  hitPayload,
  ipv4Bytes,
  pushPayload,
  queryPayload,
  randomGuid,
  RAW_DESCRIPTOR,
  type RawFrame,
} from '../../support/raw-wire.ts';

const { query: QUERY, hit: HIT, push: PUSH } = RAW_DESCRIPTOR;
/** Flags present, out-of-band hits wanted. */
const OOB_FLAGS = 0x8400;

/** A GUID that names an address for out-of-band hits (docs/protocol/02 §1). */
function oobGuid(ip: string, port: number): string {
  const guid = Buffer.from(randomGuid(), 'hex');
  ipv4Bytes(ip).copy(guid, 0);
  guid.writeUInt16LE(port, 13);
  return guid.toString('hex');
}

describe('connections QUERY', () => {
  let bench: FrameBench;
  let link: PeerLink;
  let leaf: PeerLink;

  beforeEach(async () => {
    bench = new FrameBench({ allowPrivate: false });
    ({ link } = await bench.add('ultrapeer', { remoteIp: '5.6.7.8' }));
    ({ link: leaf } = await bench.add('leaf', { remoteIp: '5.6.7.9' }));
  });
  afterEach(() => bench.stop());

  let asked = 0;

  /** Each with a text of its own: repetitions have rules of theirs, see query-filter.test.ts. */
  function query(from: PeerLink, frame: Partial<RawFrame> & { flags?: number } = {}): RawFrame {
    const { flags, ...rest } = frame;
    const payload = queryPayload({ text: `some words ${++asked}`, ...(flags !== undefined && { flags }) });
    return bench.receive(from, { descriptor: QUERY, ttl: 3, payload, ...rest });
  }

  it('goes to the shard as it came, with its link', async () => {
    const fromUltrapeer = query(link, { hops: 2 });
    const fromLeaf = query(leaf);
    const routed = await bench.takeRouted();
    assert.deepEqual(
      routed.map(({ bytes, link }) => [bytes.toString('hex', 0, 16), bytes[17], bytes[18], link]),
      [
        [fromUltrapeer.guid, 3, 2, link.number],
        [fromLeaf.guid, 3, 0, leaf.number],
      ],
    );
    assert.deepEqual(routed[0]?.bytes.subarray(23), fromUltrapeer.payload);
  });

  it('of TTL 0 is dropped, and the fifth ends the link with BYE 408', async () => {
    for (let i = 0; i < 4; i++) query(link, { ttl: 0 });
    assert.equal(bench.byes.size, 0);
    query(link, { ttl: 0 });
    assert.equal(bench.byes.get(link.number), 408);
    assert.deepEqual(await bench.takeRouted(), []);
    assert.equal(bench.counters.framesDropped['ttl-zero'], 5);
  });

  it('with hops and TTL over 15 is dropped, and more than ten from near by end the link with BYE 403', async () => {
    query(link, { ttl: 15, hops: 0 });
    query(link, { ttl: 13, hops: 2 });
    assert.equal((await bench.takeRouted()).length, 2, '15 together is within the limit');
    for (let i = 0; i < 10; i++) query(link, { ttl: 16, hops: 0 });
    assert.equal(bench.byes.size, 0);
    query(link, { ttl: 14, hops: 3 });
    assert.equal(bench.byes.size, 0, 'the eleventh came from far away');
    query(link, { ttl: 255, hops: 2 });
    assert.equal(bench.byes.get(link.number), 403);
    assert.deepEqual(await bench.takeRouted(), []);
  });

  it('under a GUID of one byte repeated is dropped and counted as bad', async () => {
    query(link, { guid: '00'.repeat(16) });
    query(link, { guid: 'ff'.repeat(16) });
    query(link, { guid: '37'.repeat(16) });
    assert.deepEqual(await bench.takeRouted(), []);
    assert.deepEqual([link.counters.bad, bench.counters.framesDropped['null-guid']], [3, 3]);
  });

  it('of a leaf passes twenty times at once and then once a second, without blame', async () => {
    const passed = async (): Promise<number> => (await bench.takeRouted()).length;
    for (let i = 0; i < LEAF_QUERY_BURST + 30; i++) query(leaf);
    assert.equal(await passed(), LEAF_QUERY_BURST);
    bench.clock.advance(LEAF_QUERY_INTERVAL_MS);
    for (let i = 0; i < 5; i++) query(leaf);
    assert.equal(await passed(), 1);
    bench.clock.advance(3 * LEAF_QUERY_INTERVAL_MS);
    for (let i = 0; i < 5; i++) query(leaf);
    assert.equal(await passed(), 3);
    assert.equal(leaf.counters.bad, 0);
    bench.clock.advance(3_600_000);
    for (let i = 0; i < 100; i++) query(leaf);
    assert.equal(await passed(), LEAF_QUERY_BURST, 'an hour of silence saves no more than a burst');
  });

  it('of an ultrapeer is not limited by that', async () => {
    for (let i = 0; i < 100; i++) query(link, { hops: 1 });
    assert.equal((await bench.takeRouted()).length, 100);
  });

  describe('that asks for out-of-band hits', () => {
    async function flagsAfter(from: PeerLink, ip: string, port = 6346, flags = OOB_FLAGS): Promise<number> {
      query(from, { guid: oobGuid(ip, port), flags });
      const [routed] = await bench.takeRouted();
      assert.ok(routed);
      return routed.bytes.readUInt16BE(23);
    }

    it('of a leaf keeps that flag where the address is its own', async () => {
      assert.equal(await flagsAfter(leaf, '5.6.7.9'), OOB_FLAGS);
    });

    it('of a leaf with another address loses it, and nothing else', async () => {
      assert.equal(await flagsAfter(leaf, '5.6.7.8'), 0x8000);
      assert.equal(await flagsAfter(leaf, '5.6.7.8', 6346, 0xffff), 0xfbff);
    });

    it('of an ultrapeer keeps it, for the address is that of somebody behind', async () => {
      assert.equal(await flagsAfter(link, '9.9.9.9'), OOB_FLAGS);
    });

    it('loses it with an address that is nobody’s or private, or with a port that is not for peers', async () => {
      for (const ip of ['10.0.0.1', '127.0.0.1', '0.0.0.0', '255.255.255.255']) {
        assert.equal(await flagsAfter(link, ip), 0x8000, ip);
      }
      for (const port of [0, 19, 25]) assert.equal(await flagsAfter(leaf, '5.6.7.9', port), 0x8000, `port ${port}`);
    });

    it('loses it where the flags are in the wrong byte order, which is read all the same', async () => {
      assert.equal(await flagsAfter(leaf, '9.9.9.9', 6346, 0x009c), 0x0098);
      assert.equal(await flagsAfter(leaf, '9.9.9.9', 6346, 0x7fff), 0x7ffb);
      assert.equal(await flagsAfter(link, '10.0.0.1', 6346, 0x009c), 0x0098);
      assert.equal(await flagsAfter(leaf, '5.6.7.9', 6346, 0x009c), 0x009c, 'its own address may stand');
      assert.equal(await flagsAfter(leaf, '9.9.9.9', 6346, 0x008c), 0x008c, 'no flags in either order');
      assert.equal(await flagsAfter(leaf, '9.9.9.9', 6346, 0x809c), 0x809c, 'flags in the right order');
    });

    it('is looked at only where the flags are marked as flags', async () => {
      assert.equal(await flagsAfter(leaf, '9.9.9.9', 6346, 0x0400), 0x0400);
    });
  });

  it('of no payload at all does not make us read beyond it', async () => {
    query(link, { payload: Buffer.alloc(0) });
    assert.equal((await bench.takeRouted())[0]?.bytes.length, 23);
  });
});

describe('connections QUERY HIT', () => {
  let bench: FrameBench;

  beforeEach(() => {
    bench = new FrameBench();
  });
  afterEach(() => bench.stop());

  it('goes to the shard, but under a null GUID is dropped', async () => {
    const { link } = await bench.add('leaf');
    const payload = hitPayload({ serventGuid: randomGuid(), records: [{ index: 1, size: 5, name: 'a' }] });
    const { guid } = bench.receive(link, { descriptor: HIT, payload });
    bench.receive(link, { descriptor: HIT, guid: '00'.repeat(16), payload });
    assert.deepEqual(
      (await bench.takeRouted()).map(({ bytes }) => bytes.toString('hex', 0, 16)),
      [guid],
    );
    assert.equal(link.counters.bad, 1);
  });
});

describe('connections PUSH', () => {
  let bench: FrameBench;
  let link: PeerLink;
  const serventGuid = randomGuid();

  beforeEach(async () => {
    bench = new FrameBench({ allowPrivate: false });
    ({ link } = await bench.add('leaf'));
  });
  afterEach(() => bench.stop());

  async function passes(payload: Buffer): Promise<boolean> {
    bench.receive(link, { descriptor: PUSH, ttl: 3, payload });
    return (await bench.takeRouted()).length === 1;
  }

  it('goes to the shard where its address may be connected to', async () => {
    assert.ok(await passes(pushPayload({ serventGuid, ip: '5.6.7.8', port: 6346 })));
    assert.ok(
      await passes(
        pushPayload({ serventGuid, ip: '5.6.7.8', port: 80, extension: Buffer.from('c383544c5340', 'hex') }),
      ),
    );
  });

  it('does not where that is nobody’s, private, or a port of another service', async () => {
    for (const ip of ['10.0.0.1', '127.0.0.1', '0.0.0.0', '192.168.0.1']) {
      assert.ok(!(await passes(pushPayload({ serventGuid, ip }))), ip);
    }
    for (const port of [0, 22, 25, 53]) {
      assert.ok(!(await passes(pushPayload({ serventGuid, ip: '5.6.7.8', port }))), `port ${port}`);
    }
    assert.equal(bench.counters.framesDropped['unusable-address'], 8);
    assert.equal(link.counters.bad, 8);
  });

  /** GGEP 6 with this address. */
  function ipv6(address: string): Uint8Array {
    return encodeGgep([{ id: '6', value: ipv6FromText(address) ?? new Uint8Array(0) }]);
  }
  const withTail = (ip: string, extension: Uint8Array, port?: number): Buffer =>
    pushPayload({ serventGuid, ip, extension: Buffer.from(extension), ...(port !== undefined && { port }) });

  it('with the mark of an IPv6 address goes on only with such an address that may be connected to', async () => {
    assert.ok(await passes(withTail('127.0.0.0', ipv6('2001:470::1'))));
    for (const bad of ['::1', 'fc00::1', 'fe80::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '2001:db8::1']) {
      assert.ok(!(await passes(withTail('127.0.0.0', ipv6(bad)))), bad);
    }
    assert.ok(!(await passes(withTail('127.0.0.0', ipv6('2001:470::1'), 0))));
    assert.ok(!(await passes(withTail('127.0.0.0', ipv6('2001:470::1'), 25))));
    assert.ok(!(await passes(pushPayload({ serventGuid, ip: '127.0.0.0' }))));
    assert.ok(!(await passes(withTail('127.0.0.0', encodeGgep([{ id: 'TLS', value: new Uint8Array(0) }])))));
    assert.ok(!(await passes(withTail('127.0.0.0', encodeGgep([{ id: '6', value: new Uint8Array(4) }])))));
  });

  it('with a good IPv4 address is dropped all the same where it carries an IPv6 one that nobody should dial', async () => {
    assert.ok(await passes(withTail('5.6.7.8', ipv6('2001:470::1'))));
    for (const bad of ['::1', 'fc00::1', '::ffff:192.168.0.1']) {
      assert.ok(!(await passes(withTail('5.6.7.8', ipv6(bad)))), bad);
    }
    const second = Buffer.concat([ipv6('2001:470::1'), ipv6('::1')]);
    assert.ok(!(await passes(withTail('5.6.7.8', second))), 'behind a good one');
    assert.ok(!(await passes(withTail('10.0.0.1', ipv6('2001:470::1')))), 'a good one mends no bad IPv4 address');
  });

  it('with a deflated IPv6 address is dropped as malformed: nothing is inflated for it', async () => {
    const tail = Buffer.from('c3a13646789cffffffff', 'hex');
    assert.ok(!(await passes(withTail('5.6.7.8', tail))));
    assert.equal(bench.counters.framesDropped.malformed, 1);
  });

  it('with anything but GGEP behind its 26 bytes is dropped as malformed', async () => {
    for (const tail of [
      Buffer.of(0),
      Buffer.from('c3', 'hex'),
      Buffer.from('c38136', 'hex'),
      Buffer.alloc(2_000, 0xc3),
    ]) {
      assert.ok(!(await passes(withTail('5.6.7.8', tail))));
      assert.ok(!(await passes(withTail('127.0.0.0', tail))));
    }
    assert.equal(bench.counters.framesDropped.malformed, 8);
  });

  it('of fewer than 26 bytes is dropped', async () => {
    assert.ok(!(await passes(pushPayload({ serventGuid, ip: '5.6.7.8' }).subarray(0, 25))));
    assert.equal(bench.counters.framesDropped.malformed, 1);
  });

  it('with a private address goes on where these are allowed', async () => {
    await bench.stop();
    bench = new FrameBench({ allowPrivate: true });
    ({ link } = await bench.add('leaf'));
    assert.ok(await passes(pushPayload({ serventGuid, ip: '127.0.0.1' })));
  });
});

describe('connections frames', () => {
  let bench: FrameBench;

  beforeEach(() => {
    bench = new FrameBench();
  });
  afterEach(() => bench.stop());

  it('that a leaf relayed end its link with BYE 414, of whatever kind', async () => {
    for (const descriptor of [PUSH, QUERY, HIT, RAW_DESCRIPTOR.ping, RAW_DESCRIPTOR.pong, RAW_DESCRIPTOR.qrp, 0x99]) {
      const { link } = await bench.add('leaf');
      bench.receive(link, { descriptor, hops: 1, ttl: 2 });
      assert.equal(bench.byes.get(link.number), 414);
    }
    assert.deepEqual(await bench.takeRouted(), []);
  });

  it('of 255 hops are dropped', async () => {
    const { link } = await bench.add('ultrapeer');
    bench.receive(link, { descriptor: QUERY, hops: 255, ttl: 1, payload: queryPayload({ text: 'x y z' }) });
    assert.equal(bench.counters.framesDropped['hops-exceeded'], 1);
    assert.deepEqual(await bench.takeRouted(), []);
  });

  it('of functions that nobody knows are dropped and counted; HSEP is nobody’s fault', async () => {
    const { link } = await bench.add('ultrapeer');
    for (const descriptor of [0x10, 0x23, 0x41, 0x44, 0xff]) bench.receive(link, { descriptor });
    assert.deepEqual([link.counters.bad, bench.counters.framesDropped['unknown-function']], [5, 5]);
    bench.receive(link, { descriptor: 0xcd, payload: Buffer.alloc(24) });
    assert.equal(link.counters.bad, 5);
    assert.deepEqual(await bench.takeRouted(), []);
  });

  it('that break rules end the link with BYE 409 when they are more than 100 and more than 1 %', async () => {
    const { link } = await bench.add('ultrapeer');
    for (let i = 0; i < 100; i++) bench.receive(link, { descriptor: 0x10 });
    assert.equal(bench.byes.size, 0);
    bench.receive(link, { descriptor: 0x10 });
    assert.equal(bench.byes.get(link.number), 409);

    const { link: busy } = await bench.add('ultrapeer');
    for (let i = 0; i < 10_200; i++) bench.receive(busy, { descriptor: 0xcd });
    for (let i = 0; i < 103; i++) bench.receive(busy, { descriptor: 0x10 });
    assert.equal(bench.byes.size, 1, 'one in a hundred is forgiven');
    bench.receive(busy, { descriptor: 0x10 });
    assert.equal(bench.byes.get(busy.number), 409, '104 of 10,304 are more');
  });

  it('of the function BYE end the link without an answer, unless they were relayed or are no BYE', async () => {
    const { link } = await bench.add('ultrapeer');
    const payload = Buffer.from('c80053657276656e7420636c6f73696e6700', 'hex');
    bench.receive(link, { descriptor: RAW_DESCRIPTOR.bye, ttl: 7, payload });
    bench.receive(link, { descriptor: RAW_DESCRIPTOR.bye, hops: 1, payload });
    bench.receive(link, { descriptor: RAW_DESCRIPTOR.bye, payload: Buffer.of(1) });
    assert.deepEqual([link.ended, link.counters.bad], [false, 3]);
    bench.receive(link, { descriptor: RAW_DESCRIPTOR.bye, payload: payload.subarray(0, 9) });
    assert.ok(link.ended);
    assert.equal(bench.byes.size, 0);
  });
});
