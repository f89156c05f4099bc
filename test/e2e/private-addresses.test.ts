import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { NodeProcess, runFilbert } from '../support/node-process.ts';
import { formatBlock, roleHeaders } from '../support/raw-handshake.ts';
import { randomGuid } from '../support/raw-wire.ts';
import { FORMS } from './support/forms.ts';

const CLOSE_TIMEOUT_MS = 5_000;

/** What a peer is told that dials and says hello. */
function said(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(CLOSE_TIMEOUT_MS, () => socket.destroy(new Error('it stays open')));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? undefined : reject(error)));
    socket.on('close', () => resolve(text));
    socket.write(formatBlock('GNUTELLA CONNECT/0.6', roleHeaders('leaf', randomGuid(), '127.0.0.1', false)));
  });
}

for (const form of FORMS) {
  describe(`e2e, ${form.name}: a node on all addresses without --allow-private`, function () {
    this.timeout(60_000);
    let node: NodeProcess;

    before(async () => {
      node = await NodeProcess.start({ ...form.options, listen: { host: '0.0.0.0' } });
    });
    after(() => node.stop());

    it('says nothing of private addresses', () => {
      assert.doesNotMatch(node.stdout.join('\n'), /private/);
    });

    it('ends a peer that comes from one without a word, and counts it', async () => {
      assert.equal(await said(node.gnutella.port), '');
      const counted = /^filbert_connections_connections_refused_total\{reason="private-address"[^}]*\} (\d+)/gm;
      const counts = [...(await node.metrics()).matchAll(counted)].map(([, count]) => Number(count));
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        1,
      );
    });

    it('dials none, and says which flag allows it', async () => {
      const { code, stderr } = await runFilbert(['connect', '127.0.0.1:6346', '--data', node.dataDir]);
      assert.notEqual(code, 0);
      assert.match(
        stderr,
        /127\.0\.0\.1:6346 is not an address of a peer; loopback and private ones need --allow-private/,
      );
    });
  });
}
