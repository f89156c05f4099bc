import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { RawPeer } from './raw-peer.ts';
import { type RawPeerServer } from './raw-peer-server.ts';
import { RAW_DESCRIPTOR, encodeFrame, queryText, randomGuid } from './raw-wire.ts';
import { waitFor } from './wait-for.ts';

/** Both ends of one link, the second standing in for the node. */
async function pair(
  node: Partial<Parameters<typeof RawPeer.listen>[0]> = {},
  peer: Partial<Parameters<typeof RawPeer.connect>[0]> = {},
): Promise<{ server: RawPeerServer<RawPeer>; dialled: RawPeer; accepted: RawPeer }> {
  const server = await RawPeer.listen({ role: 'ultrapeer', ...node });
  const dialling = RawPeer.connect({ host: server.host, port: server.port, role: 'leaf', ...peer });
  const [dialled, accepted] = await Promise.all([dialling, server.accept()]);
  return { server, dialled, accepted };
}

describe('raw peer: a Gnutella peer for the end-to-end suite', () => {
  const open: { close: () => Promise<void> }[] = [];
  const servers: Server[] = [];

  async function link(...options: Parameters<typeof pair>): ReturnType<typeof pair> {
    const ends = await pair(...options);
    open.push(ends.dialled, ends.server);
    return ends;
  }

  /** A server that writes these bytes to whoever comes, after the first block. */
  async function scripted(answer: string): Promise<number> {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', () => socket.end(Buffer.from(answer, 'latin1')));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return address.port;
  }

  afterEach(async () => {
    for (const ending of open.splice(0)) await ending.close();
    for (const server of servers.splice(0)) server.close();
  });

  it('shakes hands in three blocks and shows what the other side said', async () => {
    const { dialled, accepted } = await link(
      {},
      { headers: { 'user-agent': 'Other/2', 'X-Degree': null, Node: 'a:1' } },
    );
    assert.ok(dialled.accepted && accepted.accepted);
    assert.equal(dialled.status.line, 'GNUTELLA/0.6 200 OK');
    assert.equal(dialled.remote.headers.get('x-ultrapeer'), 'True');
    assert.equal(accepted.remote.line, 'GNUTELLA CONNECT/0.6');
    assert.equal(accepted.remote.headers.get('user-agent'), 'Other/2');
    assert.equal(accepted.remote.headers.get('node'), 'a:1');
    assert.equal(accepted.remote.headers.has('x-degree'), false);
    assert.equal(accepted.remote.headers.get('guid'), dialled.serventGuid);
  });

  it('resolves with the refusal and its headers, and does not send a third block', async () => {
    const { server, dialled } = await link({
      statusLine: 'GNUTELLA/0.6 503 Too many leaf connections (300 max)',
      headers: { 'X-Try-Ultrapeers': '198.51.100.1:6346' },
    });
    assert.equal(dialled.accepted, false);
    assert.equal(dialled.status.code, 503);
    assert.equal(dialled.status.reason, 'Too many leaf connections (300 max)');
    assert.equal(dialled.status.headers.get('x-try-ultrapeers'), '198.51.100.1:6346');
    assert.ok(dialled.destroyed);
    await assert.rejects(server.accept(50), /did not dial/);
  });

  it('rejects with what came when the other side closes or stays silent in the handshake', async () => {
    const closing = await scripted('GNUTELLA/0.6 2');
    await assert.rejects(
      RawPeer.connect({ host: '127.0.0.1', port: closing, role: 'leaf' }),
      /closed in the handshake after "GNUTELLA\/0.6 2"/,
    );
    const silent = createServer((socket) => socket.on('error', () => socket.destroy()));
    servers.push(silent);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    const dial = RawPeer.connect({ host: '127.0.0.1', port: address.port, role: 'leaf', timeoutMs: 50 });
    await assert.rejects(dial, /no handshake block within 50 ms/);
  });

  it('reads folded headers, bare LF inside a block and repeated names', async () => {
    const port = await scripted('GNUTELLA/0.6 503 Full\nX-Try: a:1,\r\n b:2\r\nX-Try: c:3\r\n\r\n');
    const peer = await RawPeer.connect({ host: '127.0.0.1', port, role: 'leaf' });
    assert.equal(peer.status.code, 503);
    assert.equal(peer.status.headers.get('x-try'), 'a:1, b:2, c:3');
  });

  for (const [offered, taken] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const) {
    it(`carries frames both ways, deflate offered by the dialler ${offered}, by the other ${taken}`, async () => {
      const { dialled, accepted } = await link({ deflate: taken }, { deflate: offered });
      const both = offered && taken;
      assert.equal(dialled.status.headers.get('content-encoding'), both ? 'deflate' : undefined);
      assert.equal(accepted.status.headers.get('content-encoding'), both ? 'deflate' : undefined);
      const down = accepted.sendQuery({ text: 'one two', ttl: 1, hops: 1 });
      const up = dialled.sendQuery({ text: 'three four' });
      const received = await dialled.nextOf('query', down.guid);
      assert.equal(queryText(received.payload), 'one two');
      assert.deepEqual([received.ttl, received.hops], [1, 1]);
      assert.deepEqual(await accepted.nextOf('query', up.guid), up);
    });
  }

  it('takes frames whatever the segments they come in, and bytes glued to the third block', async () => {
    const frames = [1, 2, 3].map((n) => ({
      guid: randomGuid(),
      descriptor: RAW_DESCRIPTOR.query,
      ttl: n,
      hops: 0,
      payload: Buffer.from('88006100', 'hex'),
    }));
    const bytes = Buffer.concat(frames.map(encodeFrame));
    const { dialled, accepted } = await link({}, { glued: bytes.subarray(0, 40) });
    for (const byte of bytes.subarray(40)) dialled.send(Buffer.of(byte));
    for (const frame of frames) assert.deepEqual(await accepted.nextOf('query', frame.guid), frame);
  });

  it('answers alive PINGs unless told not to', async () => {
    const { accepted } = await link();
    await accepted.pingBarrier();
    const { accepted: unanswered } = await link({}, { answerPings: false });
    await assert.rejects(unanswered.pingBarrier(50), /no such frame within 50 ms; received nothing/);
  });

  it('expectNone fails on a frame before the barrier and passes without, ignoring frames taken', async () => {
    const { dialled, accepted } = await link();
    const isQuery = (frame: { descriptor: number }): boolean => frame.descriptor === RAW_DESCRIPTOR.query;
    const query = accepted.sendQuery({ text: 'wanted' });
    await dialled.nextOf('query', query.guid);
    await dialled.expectNone(isQuery, () => dialled.pingBarrier());
    accepted.sendQuery({ text: 'unwanted' });
    await assert.rejects(
      dialled.expectNone(isQuery, () => dialled.pingBarrier()),
      /did not expect/,
    );
    assert.equal(dialled.all(isQuery).length, 2);
  });

  it('markerBarrier ends with a query from the source that arrives with the words asked', async () => {
    const { dialled, accepted } = await link();
    const before = accepted.sendQuery({ text: 'first' });
    await dialled.markerBarrier(accepted, 'marker', before);
    const texts = dialled.all(() => true).map((frame) => queryText(frame.payload));
    assert.equal(texts.length, 2);
    assert.match(texts[1] ?? '', /^marker( [a-z]{2}){4}$/);
  });

  it('decodes the table of the other side, whole and changed', async () => {
    const { dialled, accepted } = await link();
    accepted.sendTable({ bits: 13, words: ['gnutella'], urns: ['urn:sha1:AA'], slices: 3 });
    await dialled.waitTable((table) => table.has('gnutella'));
    assert.ok(dialled.table.has('gnutel') && dialled.table.has('URN:SHA1:aa'));
    assert.equal(dialled.table.bits, 13);
    accepted.sendTablePatch({ addWords: ['gnutelle'], removeWords: ['gnutella'], entryBits: 8 });
    await dialled.waitTable((table) => table.has('gnutelle'));
    assert.ok(!dialled.table.has('gnutella') && dialled.table.has('gnutell'));
    accepted.sendQrp(Buffer.of(1, 5, 5, 0, 4));
    await assert.rejects(
      dialled.waitTable(() => false),
      /bad table/,
    );
  });

  it('sends hits, PUSH and vendor messages that arrive as sent', async () => {
    const { dialled, accepted } = await link();
    const queryGuid = randomGuid();
    const records = [{ index: 1, size: 1000, name: 'a song.mp3', urn: 'urn:sha1:AA' }];
    const sent = [
      dialled.sendHit({ queryGuid, serventGuid: dialled.serventGuid, records, ip: '127.0.0.9', port: 7000 }),
      dialled.sendPush({ serventGuid: accepted.serventGuid, index: 3 }),
      dialled.sendHopsFlow(2),
      dialled.sendMessagesSupported([{ vendor: 'BEAR', id: 4, version: 1 }]),
    ];
    for (const frame of sent) assert.deepEqual(await accepted.next(() => true), frame);
    assert.equal(sent[0]?.guid, queryGuid);
    assert.equal(sent[0]?.payload.subarray(-16).toString('hex'), dialled.serventGuid);
  });

  it('shows the BYE that ended the link, deflated too, and waits fail with it', async () => {
    const { dialled, accepted } = await link({ deflate: true }, { deflate: true });
    const wait = assert.rejects(
      dialled.next((frame) => frame.descriptor === RAW_DESCRIPTOR.hit),
      /closed, BYE 414 "Leaf node relayed"/,
    );
    accepted.sendBye(414, 'Leaf node relayed');
    await waitFor('the BYE', () => dialled.bye);
    await accepted.close();
    await dialled.waitClosed();
    await wait;
    assert.deepEqual(dialled.bye, { code: 414, text: 'Leaf node relayed' });
    assert.ok(dialled.destroyed);
  });
});
