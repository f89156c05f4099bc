import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base32Encode } from '@filbert/gnutella';
import { waitFor } from '../support/wait-for.ts';
import { RawHttp } from '../transfers/raw-http.ts';
import { SharingNode, type Wanted } from './support/sharing-node.ts';

const WORKERS = 3;
const MIB = 1024 * 1024;
/** Files that are fetched one after the other until a GIV came to another worker than the one that waits for it. */
const FILES = 12;
/** Uploads at one time, so that every worker gets some. */
const UPLOADS = 6;

describe('e2e, processes: several connections and transfers processes', function () {
  this.timeout(90_000);
  const folder = mkdtempSync(join(tmpdir(), 'filbert-workers-'));
  const big = randomBytes(2 * MIB);
  const small = Array.from({ length: FILES }, () => randomBytes(50_000));
  let many: SharingNode;
  let one: SharingNode;

  const wantedOf = (content: Buffer, name: string): Wanted => ({
    sha1: base32Encode(createHash('sha1').update(content).digest()),
    sizeBytes: content.length,
    name,
  });

  before(async () => {
    for (const name of ['many', 'one']) mkdirSync(join(folder, name));
    writeFileSync(join(folder, 'many', 'broad lake survey.bin'), big);
    small.forEach((content, i) => writeFileSync(join(folder, 'one', `narrow creek ${i}.bin`), content));
    many = await SharingNode.start({
      processes: true,
      connections: 2,
      args: ['--transfers', String(WORKERS), '--share', join(folder, 'many'), '--uploads-per-host', String(UPLOADS)],
    });
    one = await SharingNode.start({ args: ['--share', join(folder, 'one'), '--connect', many.node.address] });
    await many.ultrapeers(1);
    await Promise.all([many.shares(1), one.shares(FILES)]);
  });
  after(async () => {
    await Promise.all([many.stop(), one.stop()]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('every worker sends: uploads at one time are spread over all of them, byte for byte', async () => {
    const { sha1 } = wantedOf(big, '');
    await waitFor(
      'all workers to be heard of',
      async () => {
        const response = await (
          await RawHttp.connect(many.node.gnutella.port)
        ).ask(`HEAD /uri-res/N2R?urn:sha1:${sha1} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, { head: true });
        return response.status === 200;
      },
      20_000,
    );
    const clients = await Promise.all(Array.from({ length: UPLOADS }, () => RawHttp.connect(many.node.gnutella.port)));
    const range = (i: number): string => `${i * 100_000}-${i * 100_000 + 99_999}`;
    // Kept open: a worker's slot stays taken while its client may ask for more.
    const bodies = await Promise.all(
      clients.map((client, i) =>
        client.ask(`GET /uri-res/N2R?urn:sha1:${sha1} HTTP/1.1\r\nHost: x\r\nRange: bytes=${range(i)}\r\n\r\n`),
      ),
    );
    bodies.forEach(({ status, body }, i) => {
      assert.equal(status, 206);
      assert.ok(body.equals(big.subarray(i * 100_000, i * 100_000 + 100_000)), `part ${i}`);
    });
    // One of the two connections processes has at least three of them, and gives each to another worker.
    for (let worker = 0; worker < WORKERS; worker++) {
      const sent = await many.metric('filbert_transfers_uploaded_bytes_total', `process="transfers-${worker}"`);
      assert.ok(sent >= 100_000, `transfers-${worker} sent ${sent} bytes`);
    }
    assert.equal(await many.metric('filbert_transfers_uploaded_bytes_total'), UPLOADS * 100_000);
    assert.equal(await many.metric('filbert_connections_transfers_handed_over_total', 'result="no-worker"'), 0);
  });

  it('a GIV finds the worker that waits for it, whichever one its connection was handed to', async () => {
    const source = await many.find('narrow creek', () => true);
    let relayed = 0;
    for (let i = 0; i < FILES && relayed === 0; i++) {
      const content = small[i] ?? assert.fail();
      const wanted = wantedOf(content, `narrow creek ${i}.bin`);
      const pushed = { address: '', serventGuid: source.servent, index: 0, firewalled: true };
      const done = await many.completed(await many.fetch(wanted, [pushed]));
      assert.ok(readFileSync(done.path).equals(content), wanted.name);
      relayed = await many.metric('filbert_transfers_givs_total', 'result="relayed"');
    }
    assert.ok(relayed > 0, `of ${FILES} GIVs none came to another worker`);
    assert.equal(await many.metric('filbert_transfers_givs_total', 'result="unrequested"'), 0);
  });
});
