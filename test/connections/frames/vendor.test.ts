import assert from 'node:assert/strict';
import { LinkCapability, UNLIMITED_HOPS_FLOW } from '@filbert/contracts';
import { greet } from '../../../services/connections/src/frames/greeting.ts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench } from '../../support/frame-bench.ts';
import {
  messagesSupportedBody,
  randomGuid,
  RAW_DESCRIPTOR,
  vendorPayload,
  type RawFrame,
} from '../../support/raw-wire.ts';

const { vendor: VENDOR } = RAW_DESCRIPTOR;
const ZERO = '0'.repeat(32);

/** The body of FeaturesSupported. */
function featuresBody(features: Readonly<Record<string, number>>): Buffer {
  const entries = Object.entries(features);
  const body = Buffer.alloc(2 + entries.length * 6);
  body.writeUInt16LE(entries.length);
  entries.forEach(([name, version], i) => {
    body.write(name, 2 + i * 6, 4, 'latin1');
    body.writeUInt16LE(version, 6 + i * 6);
  });
  return body;
}

function selectorOf({ payload }: RawFrame): string {
  const vendor = payload.toString('latin1', 0, 4).replaceAll('\0', '');
  return `${vendor}/${payload.readUInt16LE(4)}v${payload.readUInt16LE(6)}`;
}

describe('connections vendor messages', () => {
  let bench: FrameBench;
  let link: PeerLink;

  beforeEach(async () => {
    bench = new FrameBench();
    ({ link } = await bench.add('leaf', { headers: { GUID: null } }));
  });
  afterEach(() => bench.stop());

  function vendor(
    code: string,
    id: number,
    version: number,
    body: Uint8Array = new Uint8Array(0),
    frame: Partial<RawFrame> = {},
  ): void {
    bench.receive(link, { descriptor: VENDOR, guid: ZERO, payload: vendorPayload(code, id, version, body), ...frame });
  }

  describe('hops-flow', () => {
    async function hopsFlowTold(): Promise<number[]> {
      return (await bench.takeRecords()).map(({ hopsFlow }) => hopsFlow);
    }

    it('is told to the shards when it changes, and only then', async () => {
      for (const hops of [0, 0, 3]) vendor('BEAR', 4, 1, Buffer.of(hops));
      assert.deepEqual(await hopsFlowTold(), [0, 3]);
      assert.equal(link.hopsFlow, 3);
    });

    it('of five or more means no limit', async () => {
      vendor('BEAR', 4, 1, Buffer.of(0));
      vendor('BEAR', 4, 1, Buffer.of(5));
      vendor('BEAR', 4, 1, Buffer.of(255));
      assert.deepEqual(await hopsFlowTold(), [0, UNLIMITED_HOPS_FLOW]);
    });

    it('without a value is dropped and counted; with more than it needs it counts', async () => {
      vendor('BEAR', 4, 1);
      assert.deepEqual([link.counters.bad, await hopsFlowTold()], [1, []]);
      vendor('BEAR', 4, 1, Buffer.of(2, 9, 9));
      assert.deepEqual(await hopsFlowTold(), [2]);
    });

    it('of another version is not ours to understand', async () => {
      vendor('BEAR', 4, 9, Buffer.of(0));
      assert.deepEqual([link.counters.bad, await hopsFlowTold()], [0, []]);
      assert.equal(bench.counters.framesDropped['unknown-function'], 1);
    });
  });

  it('MessagesSupported is taken as often as it comes and however long it is; one that claims more than it holds is bad', () => {
    const list = [
      { vendor: 'BEAR', id: 4, version: 1 },
      { vendor: 'LIME', id: 21, version: 1 },
    ];
    for (let i = 0; i < 2; i++) vendor('', 0, 0, messagesSupportedBody(list));
    const many = Array.from({ length: 3000 }, (_, id) => ({ vendor: 'LIME', id, version: 1 }));
    vendor('', 0, 0, messagesSupportedBody(many));
    assert.equal(link.counters.bad, 0);
    const body = messagesSupportedBody([{ vendor: 'BEAR', id: 4, version: 1 }]);
    body.writeUInt16LE(2);
    vendor('', 0, 0, body);
    assert.equal(link.counters.bad, 1);
  });

  it('FeaturesSupported with WHAT is told to the shards, also when it is taken back', async () => {
    vendor('', 10, 0, featuresBody({ HSEP: 1, WHAT: 1 }));
    vendor('', 10, 0, featuresBody({ WHAT: 1 }));
    vendor('', 10, 0, featuresBody({ HSEP: 1 }));
    vendor('', 10, 0, featuresBody({ WHAT: 0 }));
    assert.deepEqual(
      (await bench.takeRecords()).map(({ capabilities }) => (capabilities & LinkCapability.whatsNew) !== 0),
      [true, false],
    );
  });

  describe('push-proxy request', () => {
    const guid = randomGuid();

    it('tells the shards the GUID, and the peer our address', async () => {
      for (const version of [1, 2]) vendor('LIME', 21, version, undefined, { guid });
      assert.deepEqual(
        (await bench.takeRecords()).map(({ serventGuid }) => Buffer.from(serventGuid).toString('hex')),
        [guid],
      );
      const acks = bench.sent(link);
      assert.deepEqual(acks.map(selectorOf), ['LIME/22v2', 'LIME/22v2']);
      assert.equal(acks[0]?.guid, guid);
      assert.equal(acks[0]?.payload.toString('hex', 8), '7f000001ca18');
    });

    it('of another GUID than the handshake’s is not answered', async () => {
      const { link: known } = await bench.add('leaf', { headers: { GUID: randomGuid() } });
      bench.receive(known, { descriptor: VENDOR, guid, payload: vendorPayload('LIME', 21, 1, Buffer.alloc(0)) });
      assert.deepEqual(bench.sent(known), []);
      assert.deepEqual(await bench.takeRecords(), []);
      assert.equal(known.counters.bad, 0);
    });

    it('with a GUID that is nobody’s is dropped and counted', async () => {
      vendor('LIME', 21, 1, undefined, { guid: ZERO });
      vendor('LIME', 21, 1, undefined, { guid: 'ab'.repeat(16) });
      assert.deepEqual([link.counters.bad, bench.sent(link).length], [2, 0]);
      assert.deepEqual(await bench.takeRecords(), []);
    });

    it('with the node’s own GUID is dropped and counted: PUSHes for the node are nobody else’s', async () => {
      vendor('LIME', 21, 2, undefined, { guid: Buffer.from(bench.facts.serventGuid).toString('hex') });
      assert.deepEqual([link.counters.bad, bench.sent(link).length], [1, 0]);
      assert.deepEqual(await bench.takeRecords(), []);
    });

    it('can be cancelled, but not what the handshake said', async () => {
      vendor('LIME', 21, 1, undefined, { guid });
      vendor('GTKG', 21, 1);
      vendor('GTKG', 21, 1);
      assert.deepEqual(
        (await bench.takeRecords()).map(({ serventGuid }) => serventGuid.length),
        [16, 0],
      );
      const { link: known } = await bench.add('leaf', { headers: { GUID: guid } });
      bench.receive(known, { descriptor: VENDOR, guid: ZERO, payload: vendorPayload('GTKG', 21, 1, Buffer.alloc(0)) });
      assert.equal(known.serventGuid.length, 16);
      assert.deepEqual(await bench.takeRecords(), []);
    });

    it('keeps no hold of the bytes that it came in', async () => {
      const payload = vendorPayload('LIME', 21, 1, Buffer.alloc(0));
      const bytes = Buffer.alloc(60_000);
      bytes.write(guid, 0, 'hex');
      bytes[16] = VENDOR;
      bytes[17] = 1;
      bytes.writeUInt32LE(payload.length, 19);
      payload.copy(bytes, 23);
      link.frame(bytes, 0, 23 + payload.length);
      bytes.fill(0);
      assert.equal(Buffer.from(link.serventGuid).toString('hex'), guid);
      assert.equal(link.serventGuid.buffer.byteLength, 16);
      await bench.takeRecords();
    });
  });

  it('that crossed a link, or may cross one more, are dropped and counted', async () => {
    const { link: ultrapeer } = await bench.add('ultrapeer');
    const payload = vendorPayload('BEAR', 4, 1, Buffer.of(0));
    bench.receive(ultrapeer, { descriptor: VENDOR, hops: 1, payload });
    bench.receive(ultrapeer, { descriptor: VENDOR, ttl: 2, payload });
    assert.deepEqual([ultrapeer.counters.bad, ultrapeer.hopsFlow], [2, UNLIMITED_HOPS_FLOW]);
    assert.equal(bench.counters.framesDropped['not-for-us'], 2);
    bench.receive(ultrapeer, { descriptor: 0x32, ttl: 0, payload });
    assert.equal(ultrapeer.hopsFlow, 0, 'the standard function is read the same');
  });

  it('without a whole selector are dropped and counted, unknown ones without blame, and none goes on', async () => {
    bench.receive(link, { descriptor: VENDOR, payload: Buffer.alloc(7) });
    assert.equal(link.counters.bad, 1);
    vendor('XYZZ', 1, 1, Buffer.alloc(5));
    vendor('LIME', 23, 2, Buffer.alloc(5));
    assert.equal(link.counters.bad, 1);
    assert.deepEqual(await bench.takeRouted(), []);
  });
});

describe('connections greeting', () => {
  let bench: FrameBench;

  beforeEach(() => {
    bench = new FrameBench();
  });
  afterEach(() => bench.stop());

  async function greeting(
    role: 'leaf' | 'ultrapeer',
    options: Parameters<FrameBench['add']>[1] = {},
  ): Promise<RawFrame[]> {
    const { link } = await bench.add(role, options);
    greet(bench.context, link);
    return bench.sent(link);
  }

  it('is MessagesSupported and FeaturesSupported, under the zero GUID, that name what we act on', async () => {
    const [messages, features, ...others] = await greeting('leaf');
    assert.ok(messages && features);
    assert.equal(others.length, 0);
    assert.deepEqual([selectorOf(messages), selectorOf(features)], ['/0v0', '/10v0']);
    for (const { guid, ttl, hops } of [messages, features]) assert.deepEqual([guid, ttl, hops], [ZERO, 1, 0]);
    const named: string[] = [];
    for (let at = 10; at < messages.payload.length; at += 8) {
      const entry = messages.payload.subarray(at, at + 8);
      named.push(`${entry.toString('latin1', 0, 4)}/${entry.readUInt16LE(4)}v${entry.readUInt16LE(6)}`);
    }
    assert.deepEqual(named.sort(), ['BEAR/4v1', 'GTKG/21v1', 'LIME/21v1', 'LIME/21v2']);
    assert.equal(features.payload.toString('latin1', 10, 14), 'WHAT');
  });

  it('says nothing of vendor messages to a peer that did not', async () => {
    assert.deepEqual(await greeting('leaf', { headers: { 'Vendor-Message': null } }), []);
  });

  it('holds a PING for pongs where we dialled', async () => {
    const frames = await greeting('ultrapeer', { outgoing: true });
    assert.deepEqual(
      frames.map(({ descriptor }) => descriptor).sort((a, b) => a - b),
      [RAW_DESCRIPTOR.ping, VENDOR, VENDOR],
    );
    assert.ok(!(await greeting('ultrapeer')).some(({ descriptor }) => descriptor === RAW_DESCRIPTOR.ping));
  });
});
