import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killChild } from '../support/node-process.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { waitFor } from '../support/wait-for.ts';
import { SharingNode } from './support/sharing-node.ts';

const FILES = 10_000;
const FILES_PER_FOLDER = 500;
/** How soon after the kill of search-index a peer is answered again. */
const SERVES_AGAIN_MS = 5_000;

describe('e2e, processes: a large library', function () {
  this.timeout(180_000);
  const folder = mkdtempSync(join(tmpdir(), 'filbert-large-'));
  let node: SharingNode;
  let peer: RawPeer;

  before(async () => {
    for (let at = 0; at < FILES; at++) {
      const sub = join(folder, `disc ${Math.floor(at / FILES_PER_FOLDER)}`);
      if (at % FILES_PER_FOLDER === 0) mkdirSync(sub);
      writeFileSync(join(sub, `track number${at} take.ogg`), `content of ${at}`);
    }
    node = await SharingNode.start({ processes: true, args: ['--share', folder] });
    await node.shares(FILES, 120_000);
    peer = await RawPeer.connect({ ...node.node.gnutella, role: 'ultrapeer' });
    assert.ok(peer.accepted, peer.status.line);
  });
  after(async () => {
    // A start that failed must not keep what was started.
    await (peer as RawPeer | undefined)?.close();
    await (node as SharingNode | undefined)?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Whether a query of now is answered with the file within a moment. */
  async function isAnswered(file: number): Promise<boolean> {
    const { guid } = peer.sendQuery({ text: `number${file} take`, ttl: 2 });
    return peer.nextOf('hit', guid, 200).then(
      (hit) => hit.payload.includes(`track number${file} take.ogg`),
      () => false,
    );
  }

  it('is served again 5 s after search-index was killed, without a file being hashed again', async () => {
    await waitFor('the first answer', () => isAnswered(7), 20_000);
    assert.equal(await node.metric('filbert_search_index_hashed_files_total'), FILES);
    const [index] = node.node.childrenLike('services/search-index');
    assert.ok(index);
    const killedAt = performance.now();
    await killChild(index);
    // Each time another file: no answer of before can be taken for one of now.
    let file = 100;
    await waitFor('an answer', () => isAnswered(file++), SERVES_AGAIN_MS);
    const tookMs = performance.now() - killedAt;
    assert.ok(tookMs < SERVES_AGAIN_MS, `it took ${Math.round(tookMs)} ms`);
    assert.equal(await node.metric('filbert_supervisor_child_restarts_total', 'kind="search-index"'), 1);

    await waitFor(
      'a whole look through the folders',
      async () => (await node.metric('filbert_search_index_scans_total', 'extent="full"')) === 1,
      60_000,
    );
    assert.equal(await node.metric('filbert_search_index_hash_queue'), 0);
    assert.equal(await node.metric('filbert_search_index_hashed_files_total'), 0);
    assert.equal(await node.metric('filbert_search_index_shared_files'), FILES);
  });
});
