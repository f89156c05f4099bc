import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transfersV1 } from '@filbert/contracts';
import { callUnary } from '@filbert/kit';
import type { ProcessId } from '../support/process-tree.ts';
import { waitFor } from '../support/wait-for.ts';
import { cleanUp } from '../transfers/worker.ts';
import { DownloadRecords } from './support/download-records.ts';
import { SharingNode } from './support/sharing-node.ts';
import { magnetOf, slowSource } from './support/slow-source.ts';

const MIB = 1024 * 1024;
const CALL = { timeoutMs: 10_000 };
const transfers = transfersV1.TransfersServiceService;

describe('e2e: a download whose worker stands still', function () {
  this.timeout(120_000);
  let node: SharingNode;
  let records: DownloadRecords;

  before(async () => {
    node = await SharingNode.start({ processes: true, args: ['--transfers', '2'] });
    records = await DownloadRecords.open(node.node);
  });

  after(async () => {
    await records.close();
    await node.stop();
    await cleanUp();
  });

  /** The process of a worker, by its own environment. */
  function processOf(worker: string): ProcessId {
    const found = node.node
      .childrenLike('services/transfers')
      .find(({ pid }) => readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`FILBERT_TRANSFERS_ID=${worker}\0`));
    assert.ok(found);
    return found;
  }

  it('is finished by the other worker byte for byte, and left alone by the first when that goes on', async () => {
    const content = randomBytes(8 * MIB);
    let bytesPerSecond = MIB;
    const source = await slowSource(content, { bytesPerSecond: () => bytesPerSecond });
    const id = await node.begin({
      target: magnetOf(content, source.port, 'taken.bin'),
      sources: [],
      name: '',
      sizeBytes: 0,
    });
    const record = async () => (await records.jobs()).find(({ job }) => job.id === id);
    const noted = async (): Promise<number> =>
      ((await record())?.job.ranges ?? []).reduce((sum, { start, end }) => sum + end - start, 0);
    await waitFor('2 MiB on record', async () => (await noted()) > 2 * MIB, 20_000);
    const first = (await record())?.owner.worker ?? '';
    const stopped = processOf(first);
    process.kill(stopped.pid, 'SIGSTOP');
    try {
      const kept = await noted();
      const before = source.requests.length;
      bytesPerSecond = 8 * MIB;
      const other = await waitFor(
        'the takeover',
        async () => {
          const worker = (await record())?.owner.worker;
          return worker !== first && worker;
        },
        40_000,
      );
      assert.notEqual(other, first);
      const path = join(node.node.dataDir, 'downloads', 'taken.bin');
      await waitFor('the file', async () => (await record())?.job.state === 'completed', 30_000);
      assert.ok(readFileSync(path).equals(content));
      const asked = source.requests.slice(before).reduce((sum, { first: from, last }) => sum + last + 1 - from, 0);
      assert.equal(asked, content.length - kept, 'asked for by the second: what was not on record');

      process.kill(stopped.pid, 'SIGCONT');
      await waitFor(
        'the first to drop it',
        async () => (await node.metric('filbert_transfers_downloads_taken_away_total')) === 1,
        20_000,
      );
      const { downloads } = await callUnary(node.client, transfers.listDownloads, {}, CALL);
      assert.deepEqual(
        downloads.map((one) => [one.id, one.state, one.path]),
        [[id, transfersV1.DownloadState.DOWNLOAD_STATE_COMPLETED, path]],
      );
      assert.ok(readFileSync(path).equals(content), 'the file is intact');
      assert.deepEqual(readdirSync(join(node.node.dataDir, 'downloads', 'incomplete')), []);
      assert.deepEqual(readdirSync(join(node.node.dataDir, 'downloads')).sort(), [
        '.filbert-folder',
        'incomplete',
        'taken.bin',
      ]);
      assert.equal(await node.metric('filbert_transfers_download_takeovers_total'), 1);
    } finally {
      process.kill(stopped.pid, 'SIGCONT');
    }
  });

  it('is one, however many ask for the file at once', async () => {
    const content = randomBytes(MIB);
    const source = await slowSource(content, { bytesPerSecond: () => 4 * MIB });
    const request = { target: magnetOf(content, source.port, 'once.bin'), sources: [], name: '', sizeBytes: 0 };
    const ids = new Set(await Promise.all(Array.from({ length: 6 }, () => node.begin(request))));
    assert.equal(ids.size, 1);
    const [id = ''] = ids;
    await node.completed(id);
    const asked = source.requests.reduce((sum, { first, last }) => sum + last + 1 - first, 0);
    assert.equal(asked, content.length);
  });
});
