import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { connect } from 'node:net';
import { constants, createDeflate } from 'node:zlib';
import { NodeProcess } from '../support/node-process.ts';
import { formatBlock, roleHeaders } from '../support/raw-handshake.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { byePayload, encodeFrame, hitPayload, randomGuid, RAW_DESCRIPTOR, shortTokens } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { FORMS } from './support/forms.ts';

/** How the bytes of a peer come. */
const STREAMS = [
  { name: 'plain', deflate: false },
  { name: 'deflated', deflate: true },
] as const;
/** Enough to inflate for longer than a connection takes to close, and within what may wait for one ultrapeer. */
const HITS = 100;
/** The hits are spread over so many queries: of one, fewer bytes are routed than all of them have. */
const QUERIES = 4;
const HIT_PADDING = Buffer.alloc(2_000);
const QUERY_TIMEOUT_MS = 500;

for (const form of FORMS) {
  describe(`e2e, ${form.name}: how links end`, function () {
    this.timeout(60_000);
    let node: NodeProcess;

    before(async () => {
      node = await NodeProcess.start(form.options);
    });
    after(() => node.stop());

    for (const { name, deflate } of STREAMS) {
      it(`hits that a ${name} peer sent right before its BYE and its end still find their way`, async () => {
        const leaf = await RawPeer.connect({ ...node.gnutella, role: 'leaf' });
        leaf.sendTable({ words: ['parsley', name] });
        await leaf.pingBarrier();
        const asker = await RawPeer.connect({ ...node.gnutella, role: 'ultrapeer' });
        const guids: string[] = [];
        // A table is in use everywhere a moment after the leaf joined, and the same text is asked for once.
        for (let i = 0; i < QUERIES; i++) {
          const arrived = async (): Promise<boolean> => {
            const { guid } = asker.sendQuery({ text: `parsley ${name} ${shortTokens()}`, ttl: 3 });
            guids[i] = guid;
            return leaf.nextOf('query', guid, QUERY_TIMEOUT_MS).then(
              () => true,
              () => false,
            );
          };
          await waitFor('the query', arrived);
        }
        await answerAndLeave(node, guids, deflate);
        for (let i = 0; i < HITS; i++) await asker.nextOf('hit', guids[i % QUERIES] ?? '');
        await Promise.all([leaf.close(), asker.close()]);
      });
    }

    it('a node that stops says BYE 200 to every link before it closes them', async () => {
      const peers = await Promise.all(
        STREAMS.flatMap(({ deflate }) =>
          (['leaf', 'ultrapeer'] as const).map((role) => RawPeer.connect({ ...node.gnutella, role, deflate })),
        ),
      );
      await Promise.all(peers.map((peer) => peer.pingBarrier()));
      const [{ code }] = await Promise.all([node.stop(), ...peers.map((peer) => peer.waitClosed())]);
      assert.equal(code, 0);
      assert.deepEqual(
        peers.map(({ bye }) => bye?.code),
        peers.map(() => 200),
      );
    });
  });
}

/** Joins as an ultrapeer and, once the node answers its PING, sends hits, a BYE and the end of the connection at once. */
async function answerAndLeave(node: NodeProcess, guids: readonly string[], deflate: boolean): Promise<void> {
  const socket = connect(node.gnutella);
  const received = async (enough: (bytes: Buffer) => boolean): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of on(socket, 'data')) {
      chunks.push(chunk[0] as Buffer);
      if (enough(Buffer.concat(chunks))) return;
    }
  };
  // Deflated in only: what the node says stays readable.
  const compression = deflate ? { 'Content-Encoding': 'deflate' } : {};
  const { ping, hit, bye } = RAW_DESCRIPTOR;
  const deflater = createDeflate();
  const packed = async (...frames: Buffer[]): Promise<Buffer> => {
    const bytes = Buffer.concat(frames);
    if (!deflate) return bytes;
    deflater.write(bytes);
    await new Promise<void>((resolve) => deflater.flush(constants.Z_SYNC_FLUSH, resolve));
    return deflater.read() as Buffer;
  };
  socket.write(formatBlock('GNUTELLA CONNECT/0.6', roleHeaders('ultrapeer', randomGuid(), '127.0.0.1', false)));
  await received((bytes) => bytes.includes('\r\n\r\n'));
  socket.write(formatBlock('GNUTELLA/0.6 200 OK', compression));
  const question = randomGuid();
  socket.write(
    await packed(encodeFrame({ guid: question, descriptor: ping, ttl: 1, hops: 0, payload: Buffer.alloc(0) })),
  );
  await received((bytes) => bytes.includes(Buffer.from(question, 'hex')));
  const records = [{ index: 1, size: 9, name: 'parsley.txt' }];
  const hits = Array.from({ length: HITS }, (_, i) => {
    const payload = hitPayload({ serventGuid: randomGuid(), records, privateArea: HIT_PADDING });
    return encodeFrame({ guid: guids[i % QUERIES] ?? '', descriptor: hit, ttl: 3, hops: 0, payload });
  });
  const farewell = { guid: randomGuid(), descriptor: bye, ttl: 1, hops: 0, payload: byePayload(200, 'Gone') };
  socket.end(await packed(...hits, encodeFrame(farewell)));
  await once(socket.resume(), 'close');
}
