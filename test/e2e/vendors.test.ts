import assert from 'node:assert/strict';
import { guidBehind, randomGuid, RAW_DESCRIPTOR, shortTokens, type RawFrame } from '../support/raw-wire.ts';
import { RawTable } from '../support/raw-table.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';
import {
  bunClient,
  bunClientTable,
  bytes,
  gtkGnutella,
  gtkGnutellaDialled,
  gtkGnutellaQuery,
  limeWire,
  type ScriptContent,
} from './support/peer-scripts.ts';
import { ScriptedPeer, type PeerScript } from './support/scripted-peer.ts';

/** How long a probe may take: what is deflated for a peer may wait 200 ms for more. */
const PROBE_MS = 600;

const isVendor = ({ descriptor }: RawFrame): boolean => descriptor === RAW_DESCRIPTOR.vendor;

/** Picks the answer to a message. */
const under =
  (guid: string, descriptor: number) =>
  (frame: RawFrame): boolean =>
    frame.guid === guid && frame.descriptor === descriptor;

const makers: readonly ((content: ScriptContent) => PeerScript)[] = [
  (content) => gtkGnutella('leaf', content),
  (content) => gtkGnutella('ultrapeer', content),
  (content) => limeWire('leaf', 'LimeWire/5.6.2', content),
  (content) => limeWire('ultrapeer', 'LimeWire/5.6.2', content),
  (content) => limeWire('leaf', 'WireShare/6.0.2', content),
  (content) => limeWire('ultrapeer', 'WireShare/6.0.2', content),
  bunClient,
];

describeOnBothForms('programs of other vendors', (net) => {
  makers.forEach((make, number) => {
    const words = [`tamarind${'abcdefg'[number] ?? ''}`, 'sherbet'];
    const script = make({ guid: randomGuid(), words, port: 29_001 + number });

    it(`${script.name}: joins, gets what it demands, is searched and answers`, async () => {
      const asker = await net.ultrapeer();
      const peer = net.keep(await ScriptedPeer.dial(net.node.gnutella, script));
      await net.linked();

      const header = (name: string): string => peer.remote.headers.get(name.toLowerCase()) ?? '';
      assert.equal(peer.remote.line, 'GNUTELLA/0.6 200 OK');
      assert.equal(header('X-Ultrapeer'), 'True');
      assert.ok(Number(header('X-Degree')) >= 16);
      assert.equal(header('X-Dynamic-Querying'), '0.1');
      assert.equal(header('X-Ultrapeer-Query-Routing'), '0.1');
      assert.ok(Number(header('X-Max-TTL')) < 5);
      assert.equal(header('X-Query-Routing'), script.hello.includes('X-Query-Routing: 0.1') ? '0.1' : '0.2');
      assert.equal(header('Content-Encoding'), 'deflate');
      assert.equal(header('Upgrade') + header('Connection'), '', 'TLS is not ours to offer');
      assert.notEqual(header('X-Requeries'), 'True');
      assert.doesNotMatch(header('User-Agent'), /gtk-gnutella|LimeWire|WireShare|\(rc\)|phex/i);
      assert.match(header('GUID'), /^[0-9a-f]{32}$/i);

      if (script.hello.includes('Vendor-Message: 0.2')) {
        for (const id of [0, 10]) {
          const { ttl, hops } = await peer.next((frame) => isVendor(frame) && frame.payload.readUInt16LE(4) === id);
          assert.deepEqual([ttl, hops], [1, 0]);
        }
      }
      const alive = bytes('00112233445566778899aabbccddeeff 00 01 00 00000000');
      peer.send(alive);
      await peer.next(under('00112233445566778899aabbccddeeff', RAW_DESCRIPTOR.pong));
      if (script.role === 'ultrapeer') await tableOf(peer);

      // A query for its words reaches it over the last hop, by its table, and its answer comes back.
      const query = await waitFor('its table to be used', async () => {
        const sent = asker.sendQuery({ text: words.join(' '), ttl: 2 });
        return peer.next(under(sent.guid, RAW_DESCRIPTOR.query), PROBE_MS).catch(() => undefined);
      });
      assert.ok(query.payload.readUInt16BE(0) & 0x8000, 'the flag bit is set');
      const serventGuid = randomGuid();
      const hit = bytes(
        `${query.guid} 81 03 00 36000000`,
        '01 c918 7f000001 00040000',
        '01000000 00100000',
        `${Buffer.from('tamarind.txt').toString('hex')} 00 00`,
        '4c494d45 02 1101',
        serventGuid,
      );
      const sized = Buffer.from(hit);
      sized.writeUInt32LE(hit.length - 23, 19);
      peer.send(sized);
      const received = await asker.nextOf('hit', query.guid);
      assert.deepEqual([received.ttl, received.hops], [2, 1]);
      assert.ok(received.payload.equals(sized.subarray(23)));
    });
  });

  /** The table that the node sends, decoded; a fault of ours would end the link with BYE 413. */
  async function tableOf(peer: ScriptedPeer): Promise<RawTable> {
    const table = new RawTable();
    while (table.completed === 0) {
      const frame = await peer.next(({ descriptor }) => descriptor === RAW_DESCRIPTOR.qrp);
      if (table.bits === undefined) assert.equal(frame.payload[0], 0, 'RESET first');
      table.apply(frame.payload);
      assert.deepEqual(table.errors, []);
    }
    return table;
  }

  it('gtk-gnutella as leaf: its own query goes to leaves and ultrapeers with its flags, address and GGEP', async () => {
    const keeper = await net.leaf({ table: { words: ['guava'] } });
    const up = await net.ultrapeer();
    await net.ready(up, keeper, 'guava');
    const peer = net.keep(
      await ScriptedPeer.dial(
        net.node.gnutella,
        gtkGnutella('leaf', { guid: randomGuid(), words: ['papaya'], port: 29_011 }),
      ),
    );
    await net.linked();
    const { guid, message } = gtkGnutellaQuery('guava');
    peer.send(message);
    for (const target of [keeper, up]) {
      const received = await target.nextOf('query', guid);
      assert.equal(received.hops, 1);
      assert.ok(received.payload.equals(message.subarray(23)), 'its address is its own, so the flags stand');
    }
  });

  it('gtk-gnutella: its BYE ends the link, and ours has its form', async () => {
    const leaving = net.keep(
      await ScriptedPeer.dial(
        net.node.gnutella,
        gtkGnutella('ultrapeer', { guid: randomGuid(), words: [], port: 29_012 }),
      ),
    );
    await net.linked();
    const text = Buffer.from('User removed node\r\nServer: gtk-gnutella/1.2.3\r\n\r\n\0', 'latin1');
    const size = Buffer.alloc(4);
    size.writeUInt32LE(2 + text.length);
    leaving.send(bytes(`${randomGuid()} 02 01 00 ${size.toString('hex')}`, 'c900', text.toString('hex')));
    await leaving.closed;
    assert.deepEqual(
      leaving.all(({ descriptor }) => descriptor === RAW_DESCRIPTOR.bye),
      [],
      'never answered with a BYE',
    );
    await net.linked(0);

    const relaying = net.keep(
      await ScriptedPeer.dial(net.node.gnutella, gtkGnutella('leaf', { guid: randomGuid(), words: [], port: 29_013 })),
    );
    relaying.send(bytes(`${randomGuid()} 00 03 01 00000000`));
    const { payload, ttl, hops } = await relaying.next(({ descriptor }) => descriptor === RAW_DESCRIPTOR.bye);
    assert.deepEqual([ttl, hops], [1, 0]);
    assert.match(payload.toString('latin1', 2), /^Leaf node relayed [^\r\n]+\r\nServer: Filbert\/[^\r\n]+\r\n\r\n\0$/);
    assert.equal(payload.readUInt16LE(0), 414);
    await relaying.closed;
  });

  it('LimeWire: gets no BYE, for it does not know it, and is closed', async () => {
    const peer = net.keep(
      await ScriptedPeer.dial(
        net.node.gnutella,
        limeWire('leaf', 'LimeWire/5.6.2', { guid: randomGuid(), words: ['longan'], port: 29_014 }),
      ),
    );
    await net.linked();
    peer.send(bytes(`${randomGuid()} 00 03 01 00000000`));
    await peer.closed;
    assert.deepEqual(
      peer.all(({ descriptor }) => descriptor === RAW_DESCRIPTOR.bye),
      [],
    );
  });

  it('gtk-gnutella, dialled: takes our first block, and the link carries queries both ways', async () => {
    const script = gtkGnutellaDialled({ guid: randomGuid(), words: ['cherimoya'], port: 29_015 });
    const server = net.keepServer(await ScriptedPeer.listen(script));
    const asker = await net.ultrapeer();
    await net.connect(server.address);
    const peer = await net.accept(server);
    const header = (name: string): string => peer.remote.headers.get(name.toLowerCase()) ?? '';
    assert.notEqual(header('User-Agent'), '', 'gtk-gnutella refuses ultrapeers without one');
    assert.equal(header('X-Query-Routing'), '0.2');
    assert.equal(peer.status.headers.get('content-encoding'), 'deflate');
    await net.linked();
    await tableOf(peer);
    const down = asker.sendQuery({ text: 'anything', ttl: 4 });
    await peer.next(under(down.guid, RAW_DESCRIPTOR.query));
    const guid = randomGuid();
    peer.send(bytes(`${guid} 80 03 01 0a000000`, '8500', Buffer.from('lychees\0').toString('hex')));
    assert.deepEqual([(await asker.nextOf('query', guid)).ttl, 2], [2, 2]);
  });

  it('gnutella-bun-client: its table stays in use while the next one comes, every 30 s', async () => {
    const content = { guid: randomGuid(), words: ['rambutan'], port: 29_016 };
    const asker = await net.ultrapeer();
    const peer = net.keep(await ScriptedPeer.dial(net.node.gnutella, bunClient(content)));
    await net.linked();
    /** Whether a query comes on its last hop; one for a word of the table, sent behind it, always does. */
    const comes = async (text: string): Promise<boolean> => {
      const sent = asker.sendQuery({ text, ttl: 2 });
      const marker = asker.sendQuery({ text: `rambutan ${shortTokens()}`, ttl: 2, guid: guidBehind(sent.guid) });
      await peer.next(under(marker.guid, RAW_DESCRIPTOR.query));
      return peer.all(under(sent.guid, RAW_DESCRIPTOR.query)).length > 0;
    };
    await waitFor('its table to be used', async () => !(await comes('durian')), 10_000);
    const [reset, whole] = bunClientTable(content);
    for (let round = 0; round < 3; round++) {
      peer.send(reset);
      const guid = randomGuid();
      peer.send(bytes(`${guid} 00 01 00 00000000`));
      await peer.next(under(guid, RAW_DESCRIPTOR.pong));
      // Between RESET and PATCH: the old table lets its word through, and nothing else.
      assert.equal(await comes(`durian ${shortTokens()}`), false);
      peer.send(whole);
    }
    assert.equal(await comes('rambutan'), true);
  });
});
