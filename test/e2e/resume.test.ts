import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Range } from '../../services/transfers/src/download/range-set.ts';
import { killChild, runFilbert } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import type { SeenRequest } from '../transfers/raw-http.ts';
import { cleanUp } from '../transfers/worker.ts';
import { DownloadRecords } from './support/download-records.ts';
import { SharingNode } from './support/sharing-node.ts';
import { magnetOf, slowSource } from './support/slow-source.ts';

const MIB = 1024 * 1024;
/** What of the file was asked for, as ranges in order that do not touch. @throws AssertionError where a byte was twice */
function askedFor(requests: readonly SeenRequest[]): Range[] {
  const ranges = requests.map(({ first, last }) => ({ start: first, end: last + 1 })).sort((a, b) => a.start - b.start);
  const joined: { start: number; end: number }[] = [];
  for (const range of ranges) {
    const before = joined.at(-1);
    if (before !== undefined) assert.ok(before.end <= range.start, `byte ${range.start} was asked for twice`);
    if (before?.end === range.start) before.end = range.end;
    else joined.push({ ...range });
  }
  return joined;
}

/** What of `size` bytes is not in these ranges, which are in order. */
function missing(ranges: readonly Range[], size: number): Range[] {
  const gaps: Range[] = [];
  let at = 0;
  for (const { start, end } of [...ranges, { start: size, end: size }]) {
    if (start > at) gaps.push({ start: at, end: start });
    at = end;
  }
  return gaps;
}

describe('e2e: downloads that are cut', function () {
  this.timeout(90_000);
  afterEach(cleanUp);

  it('embedded: goes on at the very byte where the source closed the connection', async () => {
    const content = randomBytes(6 * MIB);
    const cutBytes = 1_500_000;
    const source = await slowSource(content, {
      bytesPerSecond: () => 20 * MIB,
      cutAfter: (request) => (request === 0 ? cutBytes : undefined),
    });
    const seeker = await SharingNode.start();
    try {
      const fetched = await runFilbert(['download', magnetOf(content, source.port), '--data', seeker.node.dataDir], {
        timeoutMs: 60_000,
      });
      assert.equal(fetched.code, 0, fetched.stderr);
      assert.ok(readFileSync(join(seeker.node.dataDir, 'downloads', 'resumed.bin')).equals(content));
      assert.equal(source.requests[1]?.first, cutBytes);
      // The first answer ended early; what was asked for after it is all the rest, each byte once.
      assert.deepEqual(askedFor(source.requests.slice(1)), [{ start: cutBytes, end: content.length }]);
      assert.equal(await seeker.metric('filbert_transfers_downloaded_bytes_total'), content.length);
    } finally {
      await seeker.stop();
    }
  });

  it('processes: a transfers process that is killed is started again, and fetches nothing that was noted again', async () => {
    const content = randomBytes(24 * MIB);
    let gate = Promise.resolve();
    const source = await slowSource(content, { bytesPerSecond: () => 4 * MIB, gate: () => gate });
    const seeker = await SharingNode.start({ processes: true });
    const records = await DownloadRecords.open(seeker.node);
    const noted = async (): Promise<readonly Range[]> => (await records.jobs())[0]?.job.ranges ?? [];
    const bytesOf = (ranges: readonly Range[]): number => ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    try {
      const command = runFilbert(['download', magnetOf(content, source.port), '--data', seeker.node.dataDir], {
        timeoutMs: 80_000,
      });
      await waitFor('half of the file', async () => bytesOf(await noted()) > content.length / 2, 40_000);
      // The next process gets its first bytes only after what the last one noted was looked at.
      const { promise, resolve: open } = Promise.withResolvers<void>();
      gate = promise;
      const [worker] = seeker.node.childrenLike('services/transfers');
      assert.ok(worker);
      await killChild(worker);
      const before = source.requests.length;
      const kept = await noted();
      const keptBytes = bytesOf(kept);
      assert.ok(keptBytes > content.length / 2 && keptBytes < content.length, `${keptBytes} bytes were noted`);
      open();

      const fetched = await command;
      assert.equal(fetched.code, 0, fetched.stderr);
      assert.ok(readFileSync(join(seeker.node.dataDir, 'downloads', 'resumed.bin')).equals(content));
      assert.deepEqual(askedFor(source.requests.slice(before)), missing(kept, content.length));
      assert.equal(await seeker.metric('filbert_supervisor_child_restarts_total', 'kind="transfers"'), 1);
      const again = await seeker.metric('filbert_transfers_downloaded_bytes_total');
      assert.equal(again, content.length - keptBytes, 'bytes that the second process received');
    } finally {
      await records.close();
      await seeker.stop();
    }
  });
});
