import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha1FromBase32 } from '@filbert/gnutella';
import { openSqliteJobStore } from '../../services/transfers/src/jobs/sqlite-job-store.ts';
import {
  bytesOfFile,
  LARGE_FILE_BYTES,
  LARGE_FILE_SHA1,
  largeFileBytes,
  requireFreeSpace,
  writeLargeFile,
} from '../support/large-file.ts';
import { runFilbert } from '../support/node-process.ts';
import { peakResidentBytes } from '../support/process-tree.ts';
import { SharingNode } from './support/sharing-node.ts';

const MIB = 1024 * 1024;
const FOUR_GIB = 2 ** 32;
const NAME = 'wide plateau survey.iso';
/** What the seeker does not have yet: a stretch across 2^32, and the end. All else it fetched in an earlier life. */
const GAPS = [
  { start: FOUR_GIB - 6 * MIB, end: FOUR_GIB + 6 * MIB },
  { start: LARGE_FILE_BYTES - 12 * MIB, end: LARGE_FILE_BYTES },
] as const;
const GAP_BYTES = GAPS.reduce((sum, { start, end }) => sum + end - start, 0);
/** Both files are sparse; what is written takes far less. */
const DISK_BYTES = 300 * MIB;
/** Far below the file, far above what Node takes by itself. */
const MAX_RESIDENT_BYTES = 400 * MIB;

describe('e2e: a file of 5 GiB', function () {
  this.timeout(240_000);
  let folder: string;
  let sharer: SharingNode;
  let seeker: SharingNode;
  const started: SharingNode[] = [];

  before(async () => {
    requireFreeSpace(tmpdir(), DISK_BYTES);
    folder = mkdtempSync(join(tmpdir(), 'filbert-five-gib-'));
    const share = join(folder, 'share');
    mkdirSync(share);
    writeLargeFile(join(share, NAME));
    sharer = await SharingNode.start({ args: ['--share', share] });
    started.push(sharer);
    await sharer.shares(1, 180_000);
    const data = join(folder, 'seeker');
    await leaveUnfinished(data);
    seeker = await SharingNode.start({ dataDir: data, args: ['--connect', sharer.node.address] });
    started.push(seeker);
    await seeker.ultrapeers(1);
  });
  after(async () => {
    await Promise.all(started.map((node) => node.stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  /** A paused download of all but the gaps, as an earlier process would have left it. */
  async function leaveUnfinished(data: string): Promise<void> {
    const incomplete = join(data, 'downloads', 'incomplete');
    mkdirSync(incomplete, { recursive: true });
    writeLargeFile(join(incomplete, `${NAME}.${LARGE_FILE_SHA1}.part`), { bytes: GAPS[1].start, holes: [GAPS[0]] });
    const sha1 = sha1FromBase32(LARGE_FILE_SHA1);
    assert.ok(sha1);
    const store = openSqliteJobStore(join(data, 'transfers.sqlite'), 'transfers-0');
    await store.put({
      id: 'five',
      sha1,
      name: NAME,
      sizeBytes: LARGE_FILE_BYTES,
      sizeIsLearned: false,
      state: 'paused',
      reason: '',
      ranges: [
        { start: 0, end: GAPS[0].start },
        { start: GAPS[0].end, end: GAPS[1].start },
      ],
      sources: [],
      contributors: [],
      oneSourceOnly: false,
      path: '',
      createdAtMs: Date.now(),
      finishedAtMs: 0,
      part: '',
      partIsShared: false,
    });
    await store.close();
  }

  it('is found by a word with its true size and hash', async () => {
    const source = await seeker.find('plateau', (_, sha1) => sha1 === LARGE_FILE_SHA1);
    assert.deepEqual([source.name, source.size], [NAME, LARGE_FILE_BYTES]);
    const printed = await runFilbert(
      ['search', 'survey', 'wide', '--enough', '1', '--json', '--data', seeker.node.dataDir],
      { timeoutMs: 40_000 },
    );
    const found = JSON.parse(printed.stdout) as Record<string, unknown>;
    assert.deepEqual([found['size'], found['sha1']], [LARGE_FILE_BYTES, LARGE_FILE_SHA1]);
    const listed = await runFilbert(['share', 'list', '--data', sharer.node.dataDir]);
    assert.match(listed.stdout, /served {2}1 +5\.0 GiB/);
  });

  it('gives ranges around and beyond 2^32', async () => {
    const url = `http://${sharer.node.address}/uri-res/N2R?urn:sha1:${LARGE_FILE_SHA1}`;
    for (const [range, start, end] of [
      [`bytes=${FOUR_GIB - 20}-${FOUR_GIB + 19}`, FOUR_GIB - 20, FOUR_GIB + 20],
      [`bytes=${LARGE_FILE_BYTES - 1000}-`, LARGE_FILE_BYTES - 1000, LARGE_FILE_BYTES],
      ['bytes=-100000', LARGE_FILE_BYTES - 100_000, LARGE_FILE_BYTES],
    ] as const) {
      const response = await fetch(url, { headers: { range } });
      assert.equal(response.status, 206, range);
      assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${LARGE_FILE_BYTES}`);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(largeFileBytes(start, end)), range);
    }
    const beyond = await fetch(url, { headers: { range: `bytes=${LARGE_FILE_BYTES}-` } });
    assert.equal(beyond.status, 416);
    const head = await fetch(url, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), String(LARGE_FILE_BYTES));
  });

  it('is completed across 2^32 and checked by its SHA-1, with little memory on both sides', async () => {
    const listed = await runFilbert(['downloads', '--json', '--data', seeker.node.dataDir]);
    const unfinished = JSON.parse(listed.stdout) as Record<string, unknown>;
    assert.deepEqual(
      [unfinished['state'], unfinished['doneBytes'], unfinished['sizeBytes']],
      ['paused', LARGE_FILE_BYTES - GAP_BYTES, LARGE_FILE_BYTES],
    );
    const magnet = `magnet:?xt=urn:sha1:${LARGE_FILE_SHA1}&xs=http://${sharer.node.address}/uri-res/N2R?urn:sha1:${LARGE_FILE_SHA1}`;
    const fetched = await runFilbert(['download', magnet, '--data', seeker.node.dataDir], { timeoutMs: 150_000 });
    assert.equal(fetched.code, 0, fetched.stderr);
    assert.match(fetched.stdout, /^done, 5\.0 GiB in /);
    assert.equal(await seeker.metric('filbert_transfers_downloaded_bytes_total'), GAP_BYTES);
    assert.equal(await seeker.metric('filbert_transfers_hash_mismatches_total'), 0);
    const path = join(seeker.node.dataDir, 'downloads', NAME);
    for (const { start, end } of [...GAPS, { start: 0, end: 2 * MIB }]) {
      assert.ok(bytesOfFile(path, start, end).equals(largeFileBytes(start, end)), `the bytes from ${start}`);
    }
    for (const { node } of [sharer, seeker]) {
      const peak = peakResidentBytes(node.pid);
      assert.ok(peak > 0 && peak < MAX_RESIDENT_BYTES, `${Math.round(peak / MIB)} MiB were resident`);
    }
  });
});
