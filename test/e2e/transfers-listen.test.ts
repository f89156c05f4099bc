import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base32Encode } from '@filbert/gnutella';
import { freePort } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

const HIT_TIMEOUT_MS = 500;
/** The library is hashed, and the address told, apart from the queries. */
const FIRST_HIT_TIMEOUT_MS = 20_000;

const content = randomBytes(300_000);
const sha1 = base32Encode(createHash('sha1').update(content).digest());
const folder = mkdtempSync(join(tmpdir(), 'filbert-listen-'));
writeFileSync(join(folder, 'quiet river.bin'), content);
after(() => rmSync(folder, { recursive: true, force: true }));
/** Of the node that runs. */
let port = 0;

/** Several workers, of which one has the port. */
async function args(): Promise<readonly string[]> {
  port = await freePort();
  return ['--share', folder, '--transfers', '2', '--transfers-listen', `127.0.0.1:${port}`];
}

describeOnBothForms(
  'a port of its own for transfers (--transfers-listen)',
  (net) => {
    it('is the one that hits name, and serves the file without an edge', async function () {
      this.timeout(FIRST_HIT_TIMEOUT_MS + 10_000);
      const peer = await net.ultrapeer();
      const host = await waitFor(
        'a hit that names the port',
        async () => {
          const { guid } = peer.sendQuery({ text: 'quiet river', ttl: 2 });
          const hit = await peer.nextOf('hit', guid, HIT_TIMEOUT_MS).catch(() => undefined);
          // Behind the number of files (protocol page 02 §10).
          return hit?.payload.readUInt16LE(1) === port ? [...hit.payload.subarray(3, 7)].join('.') : undefined;
        },
        FIRST_HIT_TIMEOUT_MS,
      );
      assert.equal(host, '127.0.0.1');
      const response = await fetch(`http://${host}:${port}/uri-res/N2R?urn:sha1:${sha1}`);
      assert.equal(response.status, 200);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(content));
      assert.equal(await net.node.metric('filbert_transfers_uploaded_bytes_total'), content.length);
      assert.equal(await net.node.metric('filbert_connections_transfers_handed_over_total'), 0);
    });
  },
  { args },
);
