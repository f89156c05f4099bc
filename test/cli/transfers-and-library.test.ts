import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { searchV1, transfersV1, type bootstrapV1 } from '@filbert/contracts';
import { RpcError } from '@filbert/kit';
import { runFilbert } from '../support/node-process.ts';
import { interruptFilbert, scriptControl, streamOf, type ScriptedControl } from '../support/scripted-control.ts';

const { DownloadState } = transfersV1;
const HASH = 'A'.repeat(32);

function rowsOf(stdout: string): string[][] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
}

function objectsOf(stdout: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('filbert downloads, uploads, share and hosts', function () {
  this.timeout(30_000);
  let node: ScriptedControl;
  let downloads: transfersV1.Download[];
  let uploads: transfersV1.ListUploadsResponse;
  let shares: searchV1.ListSharesResponse[];
  let hosts: bootstrapV1.ListHostsResponse[];
  const calls: string[] = [];

  const running = transfersV1.Download.fromPartial({
    id: 'd1',
    state: DownloadState.DOWNLOAD_STATE_RUNNING,
    name: 'blue\x1b[31m song.mp3',
    sha1: HASH,
    sizeBytes: 4096,
    doneBytes: 1024,
    bytesPerSecond: 1024,
    activeSources: 1,
    sources: [{ name: '192.0.2.1:6346', active: true }, { name: '192.0.2.2:6346' }],
  });
  const waiting = transfersV1.Download.fromPartial({
    id: 'd2',
    state: DownloadState.DOWNLOAD_STATE_WAITING,
    name: 'red.mp3',
    reason: 'no source can be asked now',
  });

  before(async () => {
    const change = (what: string, state: transfersV1.DownloadState) => {
      return ({ id }: { readonly id: string }) => {
        calls.push(`${what} ${id}`);
        if (id !== 'd1') throw new RpcError('not-found', `there is no download ${id}`);
        return { download: { ...running, state } };
      };
    };
    node = await scriptControl({
      transfers: {
        listDownloads: () => ({ downloads }),
        watchDownloads: (_, { signal }) =>
          streamOf(
            downloads.map((download) => ({ download })),
            signal,
          ),
        pauseDownload: change('pause', DownloadState.DOWNLOAD_STATE_PAUSED),
        resumeDownload: change('resume', DownloadState.DOWNLOAD_STATE_QUEUED),
        cancelDownload: change('cancel', DownloadState.DOWNLOAD_STATE_CANCELLED),
        listUploads: () => uploads,
      },
      search: {
        addShare({ path }) {
          calls.push(`share ${path}`);
          return path.endsWith('missing') ? { added: false, reason: 'it cannot be read' } : { added: true, reason: '' };
        },
        removeShare({ path }) {
          calls.push(`unshare ${path}`);
          return path.endsWith('missing')
            ? { removed: false, reason: 'it is not shared' }
            : { removed: true, reason: '' };
        },
        listShares: () => streamOf(shares),
        rescan: () =>
          streamOf(
            [
              { scanning: true, foldersSeen: 1, filesSeen: 2 },
              { foldersSeen: 2, filesSeen: 10, hashFilesTotal: 2, leftOut: [{ reason: 'unreadable', count: 3 }] },
            ].map((progress) => searchV1.RescanResponse.fromPartial({ progress })),
          ),
      },
      bootstrap: { listHosts: () => streamOf(hosts) },
    });
  });
  beforeEach(() => {
    calls.length = 0;
    downloads = [running, waiting];
  });
  after(() => node.stop());

  const filbert = (...args: string[]) => runFilbert([...args, '--control', node.address]);

  it('lists downloads as a table, with what is known of each', async () => {
    const { code, stdout } = await filbert('downloads');
    assert.equal(code, 0);
    assert.deepEqual(rowsOf(stdout), [
      ['ID', 'STATE', 'DONE', 'SIZE', 'RATE', 'LEFT', 'SOURCES', 'NAME'],
      ['d1', 'running', '25.0 %', '4.0 KiB', '1.0 KiB/s', '3s', '1/2', 'blue song.mp3'],
      ['d2', 'waiting', '-', '-', '-', '-', '0/0', 'red.mp3 (no source can be asked now)'],
    ]);
    downloads = [];
    assert.equal((await filbert('downloads')).stdout, 'no downloads\n');
  });

  it('lists downloads as JSON, one a line, with states by name', async () => {
    const [first, second] = objectsOf((await filbert('downloads', '--json')).stdout);
    assert.deepEqual([first?.['id'], first?.['state'], first?.['name']], ['d1', 'running', running.name]);
    assert.equal(second?.['state'], 'waiting');
  });

  it('watches downloads until Ctrl-C', async () => {
    const args = ['downloads', '--watch', '--control', node.address];
    const { code, stdout } = await interruptFilbert(args, 'red.mp3');
    assert.deepEqual([code, rowsOf(stdout).map(([id]) => id)], [0, ['d1', 'd2']]);
  });

  it('pauses, resumes and cancels a download, wherever the flags stand', async () => {
    assert.equal((await filbert('downloads', 'pause', 'd1')).stdout, 'd1  paused  blue song.mp3\n');
    const resumed = await runFilbert(['downloads', '--control', node.address, '--json', 'resume', 'd1']);
    assert.equal(objectsOf(resumed.stdout)[0]?.['state'], 'queued');
    assert.equal((await filbert('downloads', 'cancel', 'd1')).code, 0);
    const unknown = await filbert('downloads', 'cancel', 'd9');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /there is no download d9/);
    assert.deepEqual(calls, ['pause d1', 'resume d1', 'cancel d1', 'cancel d9']);
  });

  it('lists uploads with the slots', async () => {
    const upload = {
      address: '192.0.2.7:4000',
      name: 'a.mp3',
      userAgent: 'X\x1b]0;/1',
      lastByte: 2047,
      sentBytes: 1024,
    };
    const startedAtMs = Date.now() - 10_000;
    uploads = transfersV1.ListUploadsResponse.fromPartial({
      uploads: [{ ...upload, startedAtMs, pushed: true }],
      slots: 20,
      freeSlots: 19,
      queued: 2,
    });
    const { code, stdout } = await filbert('uploads');
    assert.equal(code, 0);
    const [, row, last] = rowsOf(stdout);
    assert.deepEqual(row?.slice(0, 3), ['192.0.2.7:4000', '1.0 KiB', '2.0 KiB']);
    assert.equal(row[5], 'push');
    assert.doesNotMatch(stdout, /\x1b/); // eslint-disable-line no-control-regex -- it is what is looked for
    assert.deepEqual(last, ['1 upload, 1 of 20 slots in use, 2 waiting']);
    assert.equal(objectsOf((await filbert('uploads', '--json')).stdout)[0]?.['address'], '192.0.2.7:4000');
  });

  it('shares a folder by its absolute path, and fails with the reason where it is refused', async () => {
    assert.equal((await filbert('share', 'add', 'docs')).code, 0);
    const refused = await filbert('share', 'add', '/missing');
    assert.deepEqual([refused.code, refused.stderr], [1, 'filbert: it cannot be read\n']);
    assert.deepEqual(calls, [`share ${resolve('docs')}`, 'share /missing']);
  });

  it('shares no folder that was not named, and a home or everything only by force', async () => {
    for (const folder of ['', ' ', '/', homedir(), dirname(homedir())]) {
      const { code, stderr } = await filbert('share', 'add', folder);
      assert.equal(code, 64, folder);
      assert.match(stderr, /^filbert: (no folder is named|\/\S* holds more than files to share: .*--force.*)\n$/);
    }
    assert.deepEqual(calls, []);
    assert.equal((await filbert('share', 'add', '/', '--force')).code, 0);
    assert.deepEqual(calls, ['share /']);
  });

  it('shares a folder no longer, and fails with the reason where that cannot be', async () => {
    const removed = await filbert('share', 'remove', 'docs');
    assert.deepEqual([removed.code, removed.stdout], [0, `${resolve('docs')} is shared no longer\n`]);
    const refused = await filbert('share', 'remove', '/missing');
    assert.deepEqual([refused.code, refused.stderr], [1, 'filbert: it is not shared\n']);
    assert.deepEqual(calls, [`unshare ${resolve('docs')}`, 'unshare /missing']);
  });

  it('lists shares, and tells how to share where there is none', async () => {
    shares = [{ path: '/music', state: 'not yet seen', files: 3, bytes: 2048, configured: true }];
    assert.deepEqual(rowsOf((await filbert('share', 'list')).stdout)[1], [
      ...['/music', 'not yet seen', '3', '2.0 KiB', '--share'],
    ]);
    assert.deepEqual(objectsOf((await filbert('share', 'list', '--json')).stdout), shares);
    shares = [];
    assert.match((await filbert('share', 'list')).stdout, /^nothing is shared; /);
  });

  it('rescans with progress, and says at the end what was left out', async () => {
    const { code, stdout, stderr } = await filbert('share', 'rescan');
    assert.equal(code, 0);
    assert.equal(stdout, '10 files in 2 folders; left out: 3 unreadable\n');
    assert.match(stderr, /^looking: 2 files in 1 folder\n/);
    assert.deepEqual(
      objectsOf((await filbert('share', 'rescan', '--json')).stdout).map(({ filesSeen }) => filesSeen),
      [2, 10],
    );
  });

  it('lists hosts, the latest seen first', async () => {
    const host = { ultrapeer: true, lastTriedMs: 0, failures: 1, source: 'pong' };
    hosts = [
      { ...host, address: '192.0.2.1:6346', lastSeenMs: Date.now() - 7_200_000 },
      { ...host, address: '192.0.2.2:6346', lastSeenMs: Date.now() - 60_500 },
    ];
    const { code, stdout } = await filbert('hosts');
    assert.equal(code, 0);
    assert.deepEqual(
      rowsOf(stdout)
        .slice(1)
        .map((row) => row.join('|').replace(/\d+s ago/, 'Ns ago')),
      ['192.0.2.2:6346|ultrapeer|1m Ns ago|never|1|pong', '192.0.2.1:6346|ultrapeer|2h 0m ago|never|1|pong'],
    );
    assert.equal(objectsOf((await filbert('hosts', '--json')).stdout).length, 2);
  });

  it('ends with 69 where no node answers', async () => {
    for (const command of [['downloads'], ['uploads'], ['share', 'list'], ['hosts'], ['search', 'name']]) {
      const { code, stderr } = await runFilbert([...command, '--control', '127.0.0.1:1']);
      assert.equal(code, 69, stderr);
      assert.match(stderr, /does not answer/);
    }
  });
});
