import assert from 'node:assert/strict';
import type { RawPeer } from '../support/raw-peer.ts';
import {
  guidBehind,
  ipv4Bytes,
  randomGuid,
  RAW_DESCRIPTOR,
  vendorPayload,
  type RawFrame,
} from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

const records = [{ index: 7, size: 4096, name: 'quince jelly.txt' }];

/** Picks PUSH messages for this servent. */
const pushFor =
  (serventGuid: string) =>
  (frame: RawFrame): boolean =>
    frame.descriptor === RAW_DESCRIPTOR.push && frame.payload.toString('hex', 0, 16) === serventGuid;

describeOnBothForms('hits and PUSH', (net) => {
  /** A leaf that asks, and two ultrapeers that its query reached. */
  async function asked(): Promise<{ leaf: RawPeer; up1: RawPeer; up2: RawPeer; query: RawFrame }> {
    const leaf = await net.leaf();
    const up1 = await net.ultrapeer();
    const up2 = await net.ultrapeer();
    const query = leaf.sendQuery({ text: 'quince', ttl: 4 });
    for (const up of [up1, up2]) await up.nextOf('query', query.guid);
    return { leaf, up1, up2, query };
  }

  it('conformance 3: hits of both ultrapeers reach the leaf that asked, and nobody else', async () => {
    const { leaf, up1, up2, query } = await asked();
    const other = await net.leaf({ table: { words: ['quince'] } });
    await net.ready(up1, other, 'quince');
    for (const [from, away] of [
      [up1, up2],
      [up2, up1],
    ] as const) {
      const hit = from.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records, hops: 2 });
      assert.deepEqual(await leaf.nextOf('hit', query.guid), { ...hit, ttl: 3, hops: 3 });
      await net.absent(away, hit, { source: from, words: 'any' });
      await net.absent(other, hit, { source: from, words: 'quince' });
    }
  });

  it('a hit lives up to the leaf whatever its TTL, and dies before an ultrapeer when it is used up', async () => {
    const { leaf, up1, up2, query } = await asked();
    for (const [ttl, out] of [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 2],
      [200, 15],
    ] as const) {
      const hit = up1.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records, ttl });
      assert.deepEqual(await leaf.nextOf('hit', query.guid), { ...hit, ttl: out, hops: 1 });
    }
    const relayed = up2.sendQuery({ text: 'quince', ttl: 3 });
    await up1.nextOf('query', relayed.guid);
    for (const ttl of [0, 1]) {
      const dead = up1.sendHit({ queryGuid: relayed.guid, serventGuid: randomGuid(), records, ttl });
      await net.absent(up2, dead, { source: up1, words: 'any' });
    }
    const alive = up1.sendHit({ queryGuid: relayed.guid, serventGuid: randomGuid(), records, ttl: 2 });
    assert.deepEqual(await up2.nextOf('hit', relayed.guid), { ...alive, ttl: 1, hops: 1 });
  });

  it('drops a hit whose query is unknown, and one to the query of a leaf that left', async () => {
    const { leaf, up1, up2, query } = await asked();
    leaf.sendTable({ words: ['quince'] });
    await net.ready(up1, leaf, 'quince');
    const stranger = up1.sendHit({ queryGuid: randomGuid(), serventGuid: randomGuid(), records });
    for (const peer of [leaf, up2]) await net.absent(peer, stranger, { source: up1, words: 'quince' });
    await leaf.close();
    await net.linked();
    const late = up1.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records });
    await net.absent(up2, late, { source: up1, words: 'any' });
    await up1.pingBarrier();
  });

  it('refuses hits without records, cut short, or with a servent GUID that is none', async () => {
    const { leaf, up1, query } = await asked();
    leaf.sendTable({ words: ['quince'] });
    await net.ready(up1, leaf, 'quince');
    const good = up1.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records });
    await leaf.nextOf('hit', query.guid);
    const refused = [
      Buffer.concat([Buffer.of(0), good.payload.subarray(1)]),
      Buffer.concat([Buffer.of(255), good.payload.subarray(1, 40)]),
      good.payload.subarray(0, 15),
      Buffer.concat([good.payload.subarray(0, -16), Buffer.alloc(16)]),
      Buffer.concat([good.payload.subarray(0, -16), Buffer.from(query.guid, 'hex')]),
      Buffer.concat([good.payload.subarray(0, -16), Buffer.alloc(16, 0xab)]),
    ];
    for (const payload of refused) up1.sendFrame(RAW_DESCRIPTOR.hit, payload, { guid: query.guid, ttl: 4 });
    await net.absent(leaf, good, { source: up1, words: 'quince' });
    assert.ok(!up1.destroyed);
  });

  it('conformance 4, 5: a PUSH goes along the way of the last hit of its servent only', async () => {
    const { leaf, up1, up2, query } = await asked();
    const up3 = await net.ultrapeer();
    await net.ready(up1, up3, 'any');
    const serventGuid = randomGuid();
    for (const [hitFrom, away] of [
      [up1, up2],
      [up2, up1],
      [up1, up2],
    ] as const) {
      hitFrom.sendHit({ queryGuid: query.guid, serventGuid, records });
      await leaf.nextOf('hit', query.guid);
      const push = await pushed(leaf, hitFrom, serventGuid);
      assert.deepEqual([push.ttl, push.hops], [3, 1]);
      // The marker is a query of the leaf itself: it goes to all of three ultrapeers.
      for (const other of [away, up3]) await net.absent(other, push, { source: leaf, words: 'any' }, serventGuid);
    }
  });

  /**
   * Sends PUSHes until one arrives: with two shards the way is learned by the servent's shard apart from the hit. Each
   * but the last was dropped for want of a way.
   */
  async function pushed(from: RawPeer, to: RawPeer, serventGuid: string): Promise<RawFrame> {
    for (let tries = 0; ; tries++) {
      const push = from.sendPush({ serventGuid, index: 7 + tries });
      const came = await to
        .next((frame) => pushFor(serventGuid)(frame) && frame.guid === push.guid, 200)
        .catch(() => undefined);
      if (came !== undefined) {
        assert.deepEqual(came.payload, push.payload);
        return came;
      }
      assert.ok(tries < 20, 'the PUSH does not arrive');
    }
  }

  it('a PUSH reaches a direct neighbour by its GUID, intact, without any hit', async () => {
    const target = await net.leaf();
    const from = await net.ultrapeer();
    const away = await net.ultrapeer();
    for (const ttl of [1, 4]) {
      const push = from.sendPush({ serventGuid: target.serventGuid, index: 3, ip: '127.0.0.9', port: 7777, ttl });
      const received = await target.nextOf('push', push.guid);
      assert.deepEqual(received, { ...push, ttl: Math.max(1, ttl - 1), hops: 1 });
      await net.absent(away, push, { source: from, words: 'any' }, target.serventGuid);
    }
    const extension = Buffer.from('c383544c5340', 'hex');
    const push = from.sendPush({ serventGuid: target.serventGuid, extension });
    assert.deepEqual((await target.nextOf('push', push.guid)).payload, push.payload);
  });

  it('conformance 140: a push-proxy request is acknowledged with our address, and its GUID then finds the leaf', async () => {
    const serventGuid = randomGuid();
    const target = await net.leaf({ headers: { GUID: null } });
    const from = await net.ultrapeer();
    for (const version of [1, 2]) {
      target.sendVendor('LIME', 21, version, Buffer.alloc(0), { guid: serventGuid });
      const ack = await target.nextOf('vendor', serventGuid);
      const port = Buffer.alloc(2);
      port.writeUInt16LE(net.node.gnutella.port);
      const body = Buffer.concat([ipv4Bytes('127.0.0.1'), port]);
      assert.deepEqual(ack.payload, vendorPayload('LIME', 22, 2, body));
      assert.deepEqual([ack.ttl, ack.hops], [1, 0]);
    }
    await pushed(from, target, serventGuid);
    // A second GUID is not believed, and neither is one that contradicts the handshake.
    const other = randomGuid();
    target.sendVendor('LIME', 21, 2, Buffer.alloc(0), { guid: other });
    await target.expectNone(
      ({ guid }) => guid === other,
      () => target.pingBarrier(),
    );
  });

  it('a PUSH asked for over HTTP reaches the neighbour, or the way of a hit, and is refused for others', async () => {
    const { leaf, up1, query } = await asked();
    const target = await net.leaf();
    const proxied = async (serventGuid: string, node = '127.0.0.1:7777'): Promise<number> => {
      const url = `http://${net.node.address}/gnet/push-proxy?guid=${serventGuid}&file=34`;
      const response = await fetch(url, { headers: { 'x-node': node, connection: 'close' } });
      await response.arrayBuffer();
      return response.status;
    };
    await net.linked();
    assert.equal(await proxied(target.serventGuid), 202);
    const push = await target.next(pushFor(target.serventGuid));
    assert.deepEqual([push.ttl, push.hops], [1, 0]);
    const port = Buffer.alloc(2);
    port.writeUInt16LE(7777);
    const expected = Buffer.concat([
      Buffer.from(target.serventGuid, 'hex'),
      Buffer.of(34, 0, 0, 0),
      ipv4Bytes('127.0.0.1'),
      port,
    ]);
    assert.deepEqual(push.payload, expected);
    assert.equal(await proxied(target.serventGuid, '0.0.0.0:7777'), 400);
    assert.equal(await proxied(randomGuid()), 410);
    const far = randomGuid();
    up1.sendHit({ queryGuid: query.guid, serventGuid: far, records });
    await leaf.nextOf('hit', query.guid);
    await waitFor('the way to be learned', async () => (await proxied(far)) === 203);
    await up1.next(pushFor(far));
  });

  it('drops a PUSH for an unknown servent, to a port or address that is none, and one seen before', async () => {
    const target = await net.leaf({ table: { words: ['medlar'] } });
    const from = await net.ultrapeer();
    await net.ready(from, target, 'medlar');
    const marker = { source: from, words: 'medlar' };
    const { serventGuid } = target;
    const push = from.sendPush({ serventGuid });
    await target.nextOf('push', push.guid);
    from.sendPush({ serventGuid, guid: push.guid });
    await net.absent(target, push, marker, serventGuid);
    for (const bad of [
      { serventGuid, port: 0 },
      { serventGuid, ip: '0.0.0.0' },
      { serventGuid, ip: '255.255.255.255' },
      { serventGuid, ip: '224.0.0.1' },
    ]) {
      await net.absent(target, from.sendPush(bad), marker, serventGuid);
    }
    const short = from.sendFrame(RAW_DESCRIPTOR.push, push.payload.subarray(0, 25), { ttl: 4 });
    await net.absent(target, short, marker, serventGuid);
    const unknown = from.sendPush({ serventGuid: guidBehind(serventGuid) });
    await net.absent(target, unknown, marker, serventGuid);
  });

  it('a PUSH reaches nobody once its servent left', async () => {
    const target = await net.leaf();
    const from = await net.ultrapeer();
    const other = await net.ultrapeer();
    await target.nextOf('push', from.sendPush({ serventGuid: target.serventGuid }).guid);
    await target.close();
    await net.linked();
    const push = from.sendPush({ serventGuid: target.serventGuid });
    await net.absent(other, push, { source: from, words: 'any' }, target.serventGuid);
    assert.ok(!from.destroyed && !other.destroyed);
  });
});
