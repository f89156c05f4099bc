import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { RawPeer } from '../support/raw-peer.ts';
import {
  ipv4Bytes,
  pongPayload,
  randomGuid,
  RAW_DESCRIPTOR,
  vendorPayload,
  type RawFrame,
} from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

/** A link whose GUID another process has is ended within this time. */
const KICK_MS = 15_000;
/** Dials until one reaches another process: the odds of failing are 2^-30. */
const MAX_DIALS = 30;

/** The kinds of all messages so far, a letter each: what a peer gets first, in order. */
function kinds(peer: RawPeer): string[] {
  return peer
    .all(() => true)
    .map(({ descriptor, payload }) => {
      if (descriptor === RAW_DESCRIPTOR.qrp) return payload[0] === 0 ? 'RESET' : 'PATCH';
      if (descriptor !== RAW_DESCRIPTOR.vendor) return descriptor === RAW_DESCRIPTOR.ping ? 'PING' : 'PONG';
      return payload.readUInt16LE(4) === 0 ? 'MessagesSupported' : 'FeaturesSupported';
    });
}

function isVendor(vendor: string, id: number): (frame: RawFrame) => boolean {
  const selector = vendorPayload(vendor, id, 0, Buffer.alloc(0)).subarray(0, 6);
  return ({ descriptor, payload }) => descriptor === RAW_DESCRIPTOR.vendor && payload.subarray(0, 6).equals(selector);
}

describeOnBothForms('joining', (net) => {
  for (const role of ['leaf', 'ultrapeer'] as const) {
    it(`tells a ${role} what gtk-gnutella and LimeWire demand`, async () => {
      const peer = await net.dial({ role });
      const header = (name: string): string => peer.remote.headers.get(name.toLowerCase()) ?? '';
      assert.equal(peer.remote.line, 'GNUTELLA/0.6 200 OK');
      assert.equal(header('X-Ultrapeer'), 'True');
      assert.equal(header('X-Dynamic-Querying'), '0.1');
      assert.equal(header('X-Ultrapeer-Query-Routing'), '0.1');
      assert.equal(header('X-Query-Routing'), '0.2');
      assert.ok(Number(header('X-Degree')) >= 16, 'gtk-gnutella wants 16, LimeWire 15');
      assert.ok(Number(header('X-Max-TTL')) > 0 && Number(header('X-Max-TTL')) < 5, 'LimeWire wants less than 5');
      assert.equal(header('X-Requeries'), 'False');
      assert.match(header('User-Agent'), /^Filbert\/\d/);
      assert.equal(header('Remote-IP'), '127.0.0.1');
      for (const name of ['Listen-IP', 'Node']) assert.equal(header(name), net.node.address);
      for (const [name, value] of [
        ['Pong-Caching', '0.1'],
        ['Bye-Packet', '0.1'],
        ['GGEP', '0.5'],
        ['Vendor-Message', '0.2'],
        ['X-Ext-Probes', '0.1'],
        ['Accept-Encoding', 'deflate'],
        ['X-Ultrapeer-Needed', 'True'],
      ] as const) {
        assert.equal(header(name), value, name);
      }
      assert.equal(header('GUID'), (await net.facts()).serventGuid);
      for (const absent of ['Content-Encoding', 'Upgrade', 'Connection', 'X-Token', 'Crawler', 'Peers']) {
        assert.equal(header(absent), '', absent);
      }
      assert.ok(peer.remote.headers.size < 30);
    });
  }

  it('conformance 119: sends a new leaf MessagesSupported and FeaturesSupported, nothing else', async () => {
    const leaf = await net.leaf();
    await leaf.pingBarrier();
    assert.deepEqual(kinds(leaf), ['MessagesSupported', 'FeaturesSupported', 'PONG']);
    for (const frame of leaf.all(isVendor('', 0)).concat(leaf.all(isVendor('', 10)))) {
      assert.deepEqual([frame.guid, frame.ttl, frame.hops], ['0'.repeat(32), 1, 0]);
    }
    const [supported] = leaf.all(isVendor('', 0));
    const list = supported?.payload.subarray(10).toString('latin1') ?? '';
    assert.equal(list.length, 8 * (supported?.payload.readUInt16LE(8) ?? 0));
    for (const [vendor, id, version] of [
      ['BEAR', 4, 1],
      ['LIME', 21, 2],
    ] as const) {
      const entry = vendorPayload(vendor, id, version, Buffer.alloc(0)).toString('latin1');
      assert.ok(list.includes(entry), `${vendor}/${id}`);
    }
  });

  it('conformance 118: sends a new ultrapeer these, RESET and PATCH, nothing else', async () => {
    const ultrapeer = await net.ultrapeer();
    await ultrapeer.waitTable((table) => table.completed > 0);
    await ultrapeer.pingBarrier();
    assert.deepEqual(kinds(ultrapeer), ['MessagesSupported', 'FeaturesSupported', 'RESET', 'PATCH', 'PONG']);
  });

  it('sends no vendor messages to who did not say that it takes them', async () => {
    const leaf = await net.leaf({ headers: { 'Vendor-Message': null } });
    await leaf.pingBarrier();
    assert.deepEqual(kinds(leaf), ['PONG']);
  });

  it('answers an alive PING with one PONG of its own, marked as an ultrapeer', async () => {
    const leaf = await net.leaf();
    for (const extension of [undefined, Buffer.from('c3835343504101', 'hex')]) {
      const ping = leaf.sendPing(extension === undefined ? {} : { extension });
      const pong = await leaf.nextOf('pong', ping.guid);
      assert.deepEqual([pong.ttl, pong.hops], [1, 0]);
      assert.equal(pong.payload.readUInt16LE(0), net.node.gnutella.port);
      assert.ok(pong.payload.subarray(2, 6).equals(ipv4Bytes('127.0.0.1')));
      const kib = pong.payload.readUInt32LE(10);
      assert.ok(kib >= 8 && (kib & (kib - 1)) === 0, `${kib} KiB`);
      assert.equal(pong.payload[14], 0xc3, 'GGEP');
      await leaf.expectNone(
        ({ guid }) => guid === ping.guid,
        () => leaf.pingBarrier(),
      );
    }
    const acknowledgement = leaf.sendPing({ ttl: 0 });
    await leaf.expectNone(
      ({ guid }) => guid === acknowledgement.guid,
      () => leaf.pingBarrier(),
    );
  });

  it('a crawler ping gets one PONG for each ultrapeer neighbour that says where it listens', async () => {
    const addresses = ['127.0.0.1:20001', '127.0.0.1:20002'];
    for (const address of addresses) await net.ultrapeer({ headers: { 'Listen-IP': address } });
    await net.ultrapeer();
    const crawler = await net.leaf();
    // What other connections processes hold is told once a second.
    await waitFor('the pongs', async () => {
      const ping = crawler.sendPing({ ttl: 2 });
      await crawler.pingBarrier();
      const pongs = crawler.all(({ guid, descriptor }) => guid === ping.guid && descriptor === RAW_DESCRIPTOR.pong);
      for (const { ttl, hops } of pongs) assert.deepEqual([ttl, hops], [1, 1]);
      const told = pongs.map(({ payload }) => `${payload.subarray(2, 6).join('.')}:${payload.readUInt16LE(0)}`);
      return told.sort().join() === addresses.join();
    });
  });

  it('a crawler gets the lists of peers and leaves, and no link', async () => {
    await net.ultrapeer({ headers: { 'Listen-IP': '127.0.0.1:20011' } });
    await net.ultrapeer({ headers: { Node: '127.0.0.1:20012' } });
    await net.leaf({ headers: { 'Listen-IP': '127.0.0.1:20013' } });
    await net.leaf({ headers: { 'X-My-Address': '127.0.0.1:20014' } });
    await waitFor('the lists', async () => {
      const crawler = await net.dial({ headers: { Crawler: '0.1' } });
      assert.equal(crawler.remote.line, 'GNUTELLA/0.6 200 OK');
      await crawler.waitClosed();
      const list = (name: string): string => (crawler.remote.headers.get(name) ?? '').split(/,\s*/).sort().join();
      return (
        list('peers') === '127.0.0.1:20011,127.0.0.1:20012' && list('leaves') === '127.0.0.1:20013,127.0.0.1:20014'
      );
    });
    await net.linked(4);
  });

  it('has one link for a GUID, on whichever process: refuses a second with 409, or ends it, and refuses its own', async function () {
    this.timeout(40_000);
    const first = await net.leaf();
    const held = (await net.linkOf(first))?.edgeId;
    // The process that holds the first one refuses; the kernel chooses which process it is.
    let second = await net.dial({ serventGuid: first.serventGuid });
    for (let i = 0; !second.accepted && net.form.edges > 1 && i < MAX_DIALS; i++) {
      assert.equal(second.status.code, 409);
      second = await net.dial({ serventGuid: first.serventGuid });
    }
    assert.equal(second.accepted, net.form.edges > 1);
    if (second.accepted) {
      // Another process does not know the GUIDs of that one: the first router shard does, and ends the link.
      const link = await waitFor('the link', () => net.linkOf(second));
      assert.notEqual(link.edgeId, held);
      const bye = await second.next(({ descriptor }) => descriptor === RAW_DESCRIPTOR.bye, KICK_MS);
      assert.equal(bye.payload.readUInt16LE(0), 409);
      await second.waitClosed();
    } else {
      assert.equal(second.status.code, 409);
    }
    const own = await net.dial({ serventGuid: (await net.facts()).serventGuid });
    assert.equal(own.status.code, 409);
    assert.ok(!first.destroyed);
  });

  it('refuses who says no role, and closes on 0.4', async () => {
    const normal = await net.dial({ headers: { 'X-Ultrapeer': null } });
    assert.equal(normal.status.line, 'GNUTELLA/0.6 403 Normal nodes refused');
    assert.equal(normal.status.headers.has('x-try-ultrapeers'), false);
    const text = await new Promise<string>((resolve, reject) => {
      let received = '';
      const socket = connect(net.node.gnutella.port, '127.0.0.1', () => socket.write('GNUTELLA CONNECT/0.4\n\n'));
      socket.setEncoding('latin1').on('data', (part: string) => (received += part));
      socket.on('error', reject).on('close', () => resolve(received));
    });
    assert.doesNotMatch(text, /GNUTELLA OK| 200 /);
  });

  it('takes an ultrapeer that gives way in the third block as a leaf', async () => {
    const peer = await net.dial({ role: 'ultrapeer', finalHeaders: { 'X-Ultrapeer': 'False' } });
    const link = await waitFor('the link', () => net.linkOf(peer));
    assert.equal(link.kind, 'leaf');
    await net.linked();
    peer.sendTable({ words: ['gooseberry'] });
    await net.ready(await net.ultrapeer(), peer, 'gooseberry');
  });

  it('makes no link when the third block refuses or is none', async () => {
    for (const finalLine of ['GNUTELLA/0.6 503 Changed my mind', 'HELLO', 'GNUTELLA/0.6 999']) {
      const peer = await net.dial({ finalLine });
      await peer.waitClosed();
    }
    await net.linked(0);
  });

  it('takes messages that come in one segment with the third block', async () => {
    const asker = await net.ultrapeer();
    const keeper = await net.leaf({ table: { words: ['feijoa'] } });
    await net.ready(asker, keeper, 'feijoa');
    const guid = randomGuid();
    const query = Buffer.from(`${guid}80040009000000${'8800'}${Buffer.from('feijoa\0').toString('hex')}`, 'hex');
    await net.dial({ role: 'ultrapeer', glued: query });
    await keeper.nextOf('query', guid);
  });

  it('conformance 14: a PONG is for itself, whatever its GUID, and goes to nobody', async () => {
    const [leaf, other, teller] = [await net.leaf(), await net.ultrapeer(), await net.ultrapeer()];
    const payload = pongPayload(6346, '192.0.2.77', 3, 1024);
    const pong = teller.sendFrame(RAW_DESCRIPTOR.pong, payload, { ttl: 3, hops: 1 });
    await teller.pingBarrier();
    for (const peer of [leaf, other]) {
      await peer.expectNone(
        ({ guid }) => guid === pong.guid,
        () => peer.pingBarrier(),
      );
    }
  });

  it('ends a link at the word of its operator with BYE 201, in the form of gtk-gnutella', async () => {
    for (const [peer, reason] of [
      [await net.leaf(), 'Making room'],
      [await net.ultrapeer(), ''],
    ] as const) {
      assert.equal(await net.disconnect(peer, reason), true);
      const { payload, ttl, hops } = await peer.next(({ descriptor }) => descriptor === RAW_DESCRIPTOR.bye);
      await peer.waitClosed();
      assert.deepEqual([payload.readUInt16LE(0), ttl, hops], [201, 1, 0]);
      const text = reason === '' ? '[^\\r\\n]+' : reason;
      assert.match(
        payload.toString('latin1', 2),
        new RegExp(`^${text}\\r\\nServer: Filbert/[^\\r\\n]+\\r\\n\\r\\n\\0$`),
      );
    }
    const silent = await net.leaf({ headers: { 'Bye-Packet': null } });
    assert.equal(await net.disconnect(silent, ''), true);
    await silent.waitClosed();
    assert.equal(silent.bye, undefined, 'it does not know BYE');
  });

  for (const role of ['leaf', 'ultrapeer'] as const) {
    it(`deflates in both directions with a ${role} that does`, async () => {
      const plain = await net.ultrapeer();
      const table = { words: ['cranberry'] };
      const peer = await net.dial({ role, deflate: true });
      assert.equal(peer.remote.headers.get('content-encoding'), 'deflate');
      const link = await waitFor('the link', () => net.linkOf(peer));
      assert.deepEqual([link.deflateIn, link.deflateOut], [true, true]);
      await net.linked();
      peer.sendTable(table);
      await net.ready(plain, peer, 'cranberry');
      const down = plain.sendQuery({ text: 'cranberry', ttl: 4 });
      assert.deepEqual((await peer.nextOf('query', down.guid)).payload, down.payload);
      const up = peer.sendQuery({ text: 'cranberry juice '.repeat(10), ttl: 4 });
      assert.deepEqual((await plain.nextOf('query', up.guid)).payload, up.payload);
      if (role === 'ultrapeer') await peer.waitTable((received) => received.completed > 0);
      // A BYE comes through the deflated stream too.
      peer.sendFrame(RAW_DESCRIPTOR.qrp, Buffer.of(0, 3, 0, 0, 0, 2));
      await peer.waitClosed();
      assert.equal(peer.bye?.code, 413);
    });
  }
});

describeOnBothForms(
  'a node that is full',
  (net) => {
    it('guides by what is free, and refuses with addresses to try', async () => {
      const ultrapeer = await net.ultrapeer({ headers: { 'Listen-IP': '127.0.0.1:20021' } });
      assert.equal(ultrapeer.remote.headers.get('x-ultrapeer-needed'), 'True');
      // Ultrapeer slots are full from here on, and each connections process hears of it within a second.
      const leaf = await waitFor('False, while leaf slots are free', async () => {
        const peer = await net.dial();
        if (peer.remote.headers.get('x-ultrapeer-needed') === 'False') return peer;
        await peer.close();
        await net.linked();
        return undefined;
      });
      await net.linked();
      assert.ok(leaf.accepted);
      for (const [role, reason] of [
        ['leaf', 'Too many leaf connections (1 max)'],
        ['ultrapeer', 'Too many ultra connections (1 max)'],
      ] as const) {
        const refused = await waitFor('a refusal', async () => {
          const peer = await net.dial({ role });
          if (!peer.accepted) return peer;
          await peer.close();
          await net.linked();
          return undefined;
        });
        assert.equal(refused.status.line, `GNUTELLA/0.6 503 ${reason}`);
        assert.equal(refused.status.headers.get('x-ultrapeer'), 'True');
        assert.equal(refused.status.headers.get('remote-ip'), '127.0.0.1');
        assert.match(refused.status.headers.get('user-agent') ?? '', /^Filbert/);
        const hosts = await waitFor('the address to try', async () => {
          const peer = await net.dial({ role });
          return peer.status.headers.get('x-try-ultrapeers');
        });
        assert.equal(hosts, '127.0.0.1:20021');
        await refused.waitClosed();
      }
      assert.ok(!leaf.destroyed && !ultrapeer.destroyed);
      // A slot that is given up is free again.
      await leaf.close();
      await waitFor('the slot', async () => (await net.dial()).accepted);
    });
  },
  { args: () => ['--max-leaves', '1', '--max-ultrapeers', '1'] },
);
