import assert from 'node:assert/strict';
import { NodeProcess } from '../support/node-process.ts';
import { RawPeer } from '../support/raw-peer.ts';
import type { RawPeerServer } from '../support/raw-peer-server.ts';
import { ipv4Bytes, pongPayload, randomGuid, RAW_DESCRIPTOR } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

/** A configured neighbour that is lost is dialled again within this time. */
const REDIAL_MS = 10_000;

describeOnBothForms('dialling', (net) => {
  it('says what an ultrapeer says, and first what gtk-gnutella does when it dialled', async () => {
    const server = await net.listen();
    await net.connect(server.address);
    const peer = await net.accept(server);
    assert.equal(peer.remote.line, 'GNUTELLA CONNECT/0.6');
    assert.equal(peer.status.line, 'GNUTELLA/0.6 200 OK');
    const header = (name: string): string => peer.remote.headers.get(name.toLowerCase()) ?? '';
    for (const [name, value] of [
      ['X-Ultrapeer', 'True'],
      ['X-Query-Routing', '0.2'],
      ['X-Ultrapeer-Query-Routing', '0.1'],
      ['X-Dynamic-Querying', '0.1'],
      ['X-Ext-Probes', '0.1'],
      ['X-Max-TTL', '4'],
      ['Accept-Encoding', 'deflate'],
      ['Listen-IP', net.node.address],
      ['Remote-IP', '127.0.0.1'],
      ['GUID', (await net.facts()).serventGuid],
    ] as const) {
      assert.equal(header(name), value, name);
    }
    for (const absent of ['Content-Encoding', 'X-Ultrapeer-Needed', 'Crawler', 'Upgrade'])
      assert.equal(header(absent), '');
    assert.deepEqual([...peer.status.headers], [], 'the third block carries decisions only');

    await peer.waitTable((table) => table.completed > 0);
    await peer.pingBarrier();
    const { vendor, ping, qrp, pong } = RAW_DESCRIPTOR;
    const first = peer
      .all(({ descriptor }) => descriptor !== pong)
      .map(({ descriptor, ttl }) => `${descriptor}/${ttl}`);
    const expected = [`${vendor}/1`, `${vendor}/1`, `${ping}/4`, `${qrp}/1`, `${qrp}/1`];
    assert.deepEqual(first.sort(), expected.sort());
    const [sent] = peer.all(({ descriptor }) => descriptor === ping);
    assert.equal(sent?.payload.toString('hex'), 'c3835343504101', 'SCP, as an ultrapeer without TLS');
    const link = await net.linkOf(peer);
    assert.deepEqual([link?.kind, link?.outgoing, link?.remoteAddress], ['ultrapeer', true, server.address]);
  });

  it('deflates where the one dialled does, and says so in the third block', async () => {
    const server = await net.listen({ deflate: true });
    await net.connect(server.address);
    const peer = await net.accept(server);
    assert.deepEqual([...peer.status.headers], [['content-encoding', 'deflate']]);
    await peer.pingBarrier();
    const link = await waitFor('the link', () => net.linkOf(peer));
    assert.deepEqual([link.deflateIn, link.deflateOut], [true, true]);
  });

  it('never takes a demotion, and ends what turns out to be a leaf', async () => {
    const guiding = await net.listen({ headers: { 'X-Ultrapeer-Needed': 'False' } });
    await net.connect(guiding.address);
    const peer = await net.accept(guiding);
    assert.equal(peer.status.code, 200);
    assert.equal(peer.status.headers.has('x-ultrapeer'), false);
    assert.equal((await waitFor('the link', () => net.linkOf(peer))).kind, 'ultrapeer');
    await peer.waitTable((table) => table.completed > 0);

    const leaf = await net.listen({ role: 'leaf' });
    await net.connect(leaf.address);
    const refused = await leaf.accept();
    assert.equal(refused.accepted, false);
    assert.equal(refused.status.code, 503);
  });

  it('dials the ultrapeers that a refusal names', async () => {
    const named = await net.listen();
    const refusing = await net.listen({
      statusLine: 'GNUTELLA/0.6 503 Too many ultra connections (1 max)',
      headers: { 'X-Try-Ultrapeers': `${named.address}, 192.0.2.1:1, 0.0.0.0:6346, nonsense, 127.0.0.1:0` },
    });
    await net.connect(refusing.address);
    assert.equal((await refusing.accept()).accepted, false);
    const peer = await net.accept(named);
    assert.ok(peer.accepted);
  });

  it('dials the ultrapeers that pongs name, alone and packed', async () => {
    const named = await net.listen();
    const packed = await net.listen();
    const teller = await net.ultrapeer();
    const address = Buffer.alloc(6);
    ipv4Bytes('127.0.0.1').copy(address);
    address.writeUInt16LE(packed.port, 4);
    // GGEP IPP, the last block of its area, six bytes of data.
    const ipp = Buffer.concat([Buffer.from('c383495050', 'hex'), Buffer.of(0x46), address]);
    const payload = Buffer.concat([pongPayload(named.port, '127.0.0.1', 10, 1024), ipp]);
    teller.sendFrame(RAW_DESCRIPTOR.pong, payload, { guid: randomGuid(), hops: 1 });
    for (const server of [named, packed]) assert.ok((await net.accept(server)).accepted);
  });

  it('refuses to dial what is no address of a peer', async () => {
    for (const address of [
      'nonsense',
      '127.0.0.1',
      '127.0.0.1:0',
      '0.0.0.0:6346',
      '224.0.0.1:6346',
      '255.255.255.255:1',
    ]) {
      await assert.rejects(net.connect(address), Error, address);
    }
  });
});

{
  let server: RawPeerServer<RawPeer> | undefined;
  describeOnBothForms(
    'a configured neighbour',
    (net) => {
      after(() => server?.close());

      it('is dialled at the start and again each time it is lost', async () => {
        assert.ok(server !== undefined);
        for (let round = 0; round < 3; round++) {
          const peer = await server.accept(REDIAL_MS);
          assert.ok(peer.accepted, `round ${round}`);
          await net.linked(1);
          // Once only: no second link to the same address.
          assert.equal((await net.links()).filter(({ outgoing }) => outgoing).length, 1);
          if (round === 1) peer.sendBye(200, 'Servent closing');
          else await peer.close();
          await peer.waitClosed();
        }
      });
    },
    {
      args: async () => {
        server = await RawPeer.listen({ role: 'ultrapeer' });
        return ['--connect', server.address];
      },
      keepsLinks: true,
    },
  );
}

{
  let server: RawPeerServer<RawPeer> | undefined;
  describeOnBothForms(
    'a configured neighbour of a node that has enough others',
    (net) => {
      after(() => server?.close());

      it('is dialled again while a slot is free, and none is dialled when they are all taken', async () => {
        assert.ok(server !== undefined);
        const first = await server.accept(REDIAL_MS);
        assert.ok(first.accepted);
        // Three of four slots are what the node dials for: they are taken by those that came.
        const others = [await net.ultrapeer(), await net.ultrapeer(), await net.ultrapeer()];
        await net.linked(4);
        await waitFor('the refusal to dial', () =>
          net.connect('127.0.0.9:6346').then(
            () => undefined,
            (error: unknown) => /all ultrapeer slots are taken/.test(String(error)),
          ),
        );
        await first.close();
        const again = await server.accept(REDIAL_MS);
        assert.ok(again.accepted);
        await net.linked(4);
        assert.ok(others.every(({ destroyed }) => !destroyed));
      });
    },
    {
      args: async () => {
        server = await RawPeer.listen({ role: 'ultrapeer' });
        return ['--connect', server.address, '--max-ultrapeers', '4'];
      },
      keepsLinks: true,
    },
  );
}

{
  let far: NodeProcess | undefined;
  describeOnBothForms(
    'two Filberts',
    (net) => {
      after(async () => {
        await far?.stop();
        far = undefined;
      });

      it('a leaf finds what a leaf of the other has, and asks for it by PUSH', async function () {
        this.timeout(40_000);
        assert.ok(far !== undefined);
        await net.linked(1);
        const keeper = await RawPeer.connect({ ...far.gnutella, role: 'leaf', answerPings: false });
        keeper.sendTable({ words: ['salsify', 'scorzonera'] });
        await keeper.pingBarrier();
        const seeker = await net.leaf();
        await net.linked(2);

        const query = seeker.sendQuery({ text: 'salsify', ttl: 4 });
        const received = await keeper.nextOf('query', query.guid);
        assert.deepEqual(received, { ...query, ttl: 1, hops: 2 });
        const hit = keeper.sendHit({
          queryGuid: query.guid,
          serventGuid: keeper.serventGuid,
          records: [{ index: 5, size: 77, name: 'salsify and scorzonera.txt', urn: `urn:sha1:${'E'.repeat(32)}` }],
          ttl: 3,
        });
        assert.deepEqual(await seeker.nextOf('hit', query.guid), { ...hit, ttl: 1, hops: 2 });

        const push = await waitFor('the PUSH', async () => {
          const sent = seeker.sendPush({ serventGuid: keeper.serventGuid, index: 5, ttl: 4 });
          return keeper.nextOf('push', sent.guid, 300).catch(() => undefined);
        });
        assert.deepEqual([push.ttl, push.hops], [2, 2]);

        // Back the other way, and by URN.
        const urn = `urn:sha1:${'F'.repeat(32)}`;
        seeker.sendTable({ words: ['crosne'], urns: [urn] });
        await seeker.pingBarrier();
        const byUrn = await waitFor('the query by URN', async () => {
          const sent = keeper.sendQuery({ text: '\\', urns: [urn], ttl: 4 });
          return seeker.nextOf('query', sent.guid, 300).catch(() => undefined);
        });
        assert.equal(byUrn.hops, 2);
        await keeper.close();
      });
    },
    {
      args: async () => {
        far = await NodeProcess.start();
        return ['--connect', far.address];
      },
      keepsLinks: true,
    },
  );
}
