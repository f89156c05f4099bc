import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { searchV1, transfersV1 } from '@filbert/contracts';
import { base32Encode } from '@filbert/gnutella';
import { parseHostPort } from '@filbert/kit';
import { runFilbert } from '../support/node-process.ts';
import {
  interruptFilbert,
  scriptControl,
  streamOf,
  type ControlScript,
  type ScriptedControl,
} from '../support/scripted-control.ts';

const CONTENT = Buffer.from('what the file holds\n'.repeat(100));
const HASH = base32Encode(createHash('sha1').update(CONTENT).digest());
const MAGNET = `magnet:?xt=urn:sha1:${HASH}&dn=file.txt`;
const WITH_SOURCE = `${MAGNET}&xs=http%3A%2F%2F192.0.2.1%3A6346%2Furi-res%2FN2R%3Furn%3Asha1%3A${HASH}`;
const { DownloadState } = transfersV1;

function download(state: transfersV1.DownloadState, more: Partial<transfersV1.Download> = {}): transfersV1.Download {
  const sizeBytes = CONTENT.length;
  return transfersV1.Download.fromPartial({ id: 'd1', state, name: 'file.txt', sha1: HASH, sizeBytes, ...more });
}

function source(more: Partial<searchV1.Source>): searchV1.SearchResponse {
  return searchV1.SearchResponse.fromPartial({
    file: { sha1: HASH, name: 'what they call it.txt', size: 1 },
    source: { servent: 'ab'.repeat(16), address: '192.0.2.1', port: 6346, index: 5, ...more },
  });
}

const SEARCH_END: searchV1.SearchResponse = {
  file: undefined,
  source: undefined,
  end: searchV1.SearchEnd.SEARCH_END_TIMEOUT,
};

describe('filbert download', function () {
  this.timeout(30_000);
  let folder: string;
  let finished: string;
  const nodes: ScriptedControl[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-cli-'));
    finished = join(folder, 'finished.txt');
    writeFileSync(finished, CONTENT);
  });
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
    rmSync(folder, { recursive: true });
  });

  async function script(one: ControlScript, listen?: string): Promise<string> {
    const node = await scriptControl(one, listen === undefined ? undefined : parseHostPort(listen));
    nodes.push(node);
    return node.address;
  }

  /** A node that starts a download as queued and tells these changes of it. */
  function transfers(
    changes: readonly transfersV1.Download[],
    asked: transfersV1.StartDownloadRequest[] = [],
  ): NonNullable<ControlScript['transfers']> {
    return {
      startDownload(request) {
        asked.push(request);
        return { download: download(DownloadState.DOWNLOAD_STATE_QUEUED), created: true };
      },
      watchDownloads: (_, { signal }) =>
        streamOf(
          changes.map((change) => ({ download: change })),
          signal,
        ),
      listDownloads: () => ({ downloads: [] }),
    };
  }

  const completed = (): transfersV1.Download =>
    download(DownloadState.DOWNLOAD_STATE_COMPLETED, { doneBytes: CONTENT.length, path: finished });

  it('starts at once where the magnet names a source, and ends with where the file is', async () => {
    const asked: transfersV1.StartDownloadRequest[] = [];
    const running = download(DownloadState.DOWNLOAD_STATE_RUNNING, { doneBytes: 500, bytesPerSecond: 100 });
    const control = await script({ transfers: transfers([running, completed()], asked) });
    const { code, stdout, stderr } = await runFilbert(['download', WITH_SOURCE, '--control', control]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^done, 2\\.0 KiB in \\d+s: ${finished}\n$`));
    assert.match(
      stderr,
      /downloading file\.txt as d1\n\[#####-{15}\] 25\.0 % {2}100 B\/s {2}15s left {2}0 of 0 sources\n/,
    );
    assert.deepEqual(asked, [{ target: WITH_SOURCE, sources: [], name: 'file.txt', sizeBytes: 0 }]);
  });

  it('searches the network for a bare hash and passes on who has it, not what size they say', async () => {
    const asked: transfersV1.StartDownloadRequest[] = [];
    const searches: searchV1.SearchRequest[] = [];
    const control = await script({
      transfers: transfers([completed()], asked),
      search: {
        search(request) {
          searches.push(request);
          return streamOf([source({}), source({ address: '', port: 0, firewalled: true }), SEARCH_END]);
        },
      },
    });
    const { code, stderr } = await runFilbert(['download', HASH.toLowerCase(), '--control', control]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      searches.map(({ query }) => query),
      [`urn:sha1:${HASH}`],
    );
    const servent = { serventGuid: 'ab'.repeat(16), index: 5 };
    assert.deepEqual(asked, [
      {
        target: HASH.toLowerCase(),
        sources: [
          { ...servent, address: '192.0.2.1:6346', firewalled: false },
          { ...servent, address: '', firewalled: true },
        ],
        name: 'what they call it.txt',
        sizeBytes: 0,
      },
    ]);
  });

  it('searches for the name of a magnet beside its hash', async () => {
    const searches: searchV1.SearchRequest[] = [];
    const search = {
      search(request: searchV1.SearchRequest) {
        searches.push(request);
        return streamOf([source({}), SEARCH_END]);
      },
    };
    const control = await script({ transfers: transfers([completed()]), search });
    const { code, stderr } = await runFilbert(['download', MAGNET, '--control', control]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      searches.map(({ query }) => query),
      [MAGNET],
    );
  });

  it('waits only a little for further sources once one has answered', async () => {
    const control = await script({
      transfers: transfers([completed()]),
      search: { search: (_, { signal }) => streamOf([source({})], signal) },
    });
    const startedAtMs = Date.now();
    const { code } = await runFilbert(['download', MAGNET, '--control', control]);
    assert.equal(code, 0);
    assert.ok(Date.now() - startedAtMs < 12_000);
  });

  it('starts nothing where nobody has the file, unless the node has it under way', async () => {
    const asked: transfersV1.StartDownloadRequest[] = [];
    const search = { search: () => streamOf([SEARCH_END]) };
    const none = await script({ transfers: transfers([completed()], asked), search });
    const refused = await runFilbert(['download', MAGNET, '--control', none]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, new RegExp(`filbert: no source of urn:sha1:${HASH} was found in 20s`));
    assert.deepEqual(asked, []);

    const waiting = download(DownloadState.DOWNLOAD_STATE_WAITING);
    const known = await script({
      transfers: { ...transfers([completed()]), findDownload: () => ({ download: waiting }) },
      search,
    });
    assert.equal((await runFilbert(['download', MAGNET, '--control', known])).code, 0);
  });

  it('fetches no file again that it fetched before and that is still there, and copies it for --out', async () => {
    const asked: transfersV1.StartDownloadRequest[] = [];
    const findDownload = (): transfersV1.FindDownloadResponse => ({ download: completed() });
    const control = await script({ transfers: { ...transfers([completed()], asked), findDownload } });
    const out = join(folder, 'copy.txt');
    const jsonOut = join(folder, 'copy-too.txt');
    const [known, json, copied, copiedJson] = await Promise.all([
      runFilbert(['download', HASH, '--control', control]),
      runFilbert(['download', HASH, '--json', '--control', control]),
      runFilbert(['download', HASH, '--out', out, '--control', control]),
      runFilbert(['download', HASH, '--out', jsonOut, '--json', '--control', control]),
    ]);
    const there = `is there already, 2.0 KiB: ${finished}\n`;
    assert.deepEqual([known.code, known.stdout], [0, there]);
    assert.equal(json.code, 0);
    const printed: unknown = JSON.parse(json.stdout);
    assert.ok(typeof printed === 'object' && printed !== null && 'state' in printed);
    assert.equal(printed.state, 'completed');
    assert.deepEqual([copied.stdout, readFileSync(out)], [`${there}copied to ${out}\n`, CONTENT]);
    assert.match(copiedJson.stdout, new RegExp(`"copiedTo":"${jsonOut}"}\n$`));
    assert.deepEqual(asked, []);
  });

  it('watches at once what is on its way, and searches for more sources of what waits', async () => {
    const searches: string[] = [];
    const asked: transfersV1.StartDownloadRequest[] = [];
    const known = (state: transfersV1.DownloadState): ControlScript => ({
      transfers: { ...transfers([completed()], asked), findDownload: () => ({ download: download(state) }) },
      search: {
        search({ query }) {
          searches.push(query);
          return streamOf([source({}), SEARCH_END]);
        },
      },
    });
    const busy = await script(known(DownloadState.DOWNLOAD_STATE_RUNNING));
    const watched = await runFilbert(['download', HASH, '--control', busy]);
    assert.match(watched.stdout, /^done, /);
    assert.deepEqual([searches, asked], [[], []]);
    const waiting = await script(known(DownloadState.DOWNLOAD_STATE_WAITING));
    const helped = await runFilbert(['download', HASH, '--control', waiting]);
    assert.match(helped.stdout, /^done, /);
    assert.deepEqual([searches.length, asked[0]?.sources.length], [1, 1]);
  });

  it('lets a download that was paused go on', async () => {
    const resumed: string[] = [];
    const control = await script({
      transfers: {
        ...transfers([completed()]),
        startDownload: () => ({ download: download(DownloadState.DOWNLOAD_STATE_PAUSED), created: false }),
        resumeDownload({ id }) {
          resumed.push(id);
          return { download: download(DownloadState.DOWNLOAD_STATE_QUEUED) };
        },
      },
    });
    assert.equal((await runFilbert(['download', WITH_SOURCE, '--control', control])).code, 0);
    assert.deepEqual(resumed, ['d1']);
  });

  it('copies the finished file with --out, and replaces one that is there only with --force', async () => {
    const asked: transfersV1.StartDownloadRequest[] = [];
    const control = await script({ transfers: transfers([completed()], asked) });
    const out = join(folder, 'copy.txt');
    const args = ['download', WITH_SOURCE, '--out', out, '--control', control];
    const first = await runFilbert(args);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, new RegExp(`: ${finished}\ncopied to ${out}\n$`));
    assert.deepEqual(readFileSync(out), CONTENT);
    assert.ok(existsSync(finished));

    writeFileSync(out, 'precious');
    const second = await runFilbert(args);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /it exists already; --force replaces it/);
    assert.equal(readFileSync(out, 'utf8'), 'precious');
    assert.equal(asked.length, 1, 'nothing is fetched that has no place');

    assert.equal((await runFilbert([...args, '--force'])).code, 0);
    assert.deepEqual(readFileSync(out), CONTENT);
    assert.deepEqual(readdirSync(folder).sort(), ['copy.txt', 'finished.txt']);
  });

  it('takes no other file for the finished one, and leaves nothing behind', async () => {
    const control = await script({ transfers: transfers([completed()]) });
    const out = join(folder, 'copy.txt');
    const args = ['download', WITH_SOURCE, '--out', out, '--control', control];
    writeFileSync(finished, 'another file of that name');
    const other = await runFilbert(args);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /is not the file that was fetched: is the node on another machine\?\n.*finished\.txt/);
    rmSync(finished);
    const missing = await runFilbert(args);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /cannot be read from here/);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('fails with the reason, in printable letters, where the download fails, is cancelled, or fills the disk', async () => {
    const reason = 'the folder cannot be written\x1b[2J';
    const failed = await script({ transfers: transfers([download(DownloadState.DOWNLOAD_STATE_FAILED, { reason })]) });
    const one = await runFilbert(['download', WITH_SOURCE, '--control', failed]);
    assert.equal(one.code, 1);
    assert.match(
      one.stderr,
      /filbert: the download failed: the folder cannot be written\nfilbert: .*downloads resume d1"/,
    );

    const cancelled = await script({ transfers: transfers([download(DownloadState.DOWNLOAD_STATE_CANCELLED)]) });
    const two = await runFilbert(['download', WITH_SOURCE, '--control', cancelled]);
    assert.deepEqual([two.code, /filbert: the download was cancelled\n$/.test(two.stderr)], [1, true]);

    const full = await script({ transfers: transfers([download(DownloadState.DOWNLOAD_STATE_DISK_FULL)]) });
    const three = await runFilbert(['download', WITH_SOURCE, '--json', '--control', full]);
    assert.deepEqual([three.code, (JSON.parse(three.stdout) as { state: string }).state], [1, 'disk-full']);
  });

  it('leaves the download to the node at Ctrl-C and says so', async () => {
    const running = download(DownloadState.DOWNLOAD_STATE_RUNNING, { doneBytes: 10 });
    const control = await script({ transfers: transfers([running]) });
    const int = await interruptFilbert(['download', WITH_SOURCE, '--control', control], 'of 0 sources');
    assert.equal(int.code, 130);
    assert.match(int.stderr, /filbert: interrupted: the download goes on in the node; .*cancel d1" ends it\n$/);
    const term = await interruptFilbert(['download', WITH_SOURCE, '--control', control], 'of 0 sources', 'SIGTERM');
    assert.equal(term.code, 143);
  });

  /** A node that tells of a running download once, and then is told to stop. */
  function endsWith(stop: () => void): ControlScript {
    const running = download(DownloadState.DOWNLOAD_STATE_RUNNING, { doneBytes: 10 });
    return {
      transfers: {
        ...transfers([]),
        // eslint-disable-next-line @typescript-eslint/require-await -- a stream that ends, as of a node that stops
        async *watchDownloads() {
          yield { download: running };
          setImmediate(stop);
        },
      },
    };
  }

  it('follows the download over a restart of the node', async () => {
    const control = await script(endsWith(() => void restart()));
    const restart = async (): Promise<void> => {
      await nodes.pop()?.stop();
      await script({ transfers: transfers([completed()]) }, control);
    };
    const { code, stderr } = await runFilbert(['download', WITH_SOURCE, '--control', control]);
    assert.equal(code, 0, stderr);
  });

  it('finds the node again that listens elsewhere since it was started again', async () => {
    const listensAt = (control: string): void => {
      const content = { control, admin: '127.0.0.1:1', gnutella: '127.0.0.1:2', pid: process.pid };
      writeFileSync(join(folder, 'control.json'), JSON.stringify(content));
    };
    const first = await script(endsWith(() => void restart()));
    const restart = async (): Promise<void> => {
      await nodes.pop()?.stop();
      listensAt(await script({ transfers: transfers([completed()]) }));
    };
    listensAt(first);
    const { code, stderr } = await runFilbert(['download', WITH_SOURCE, '--data', folder]);
    assert.equal(code, 0, stderr);
  });

  it('only starts it with --no-wait', async () => {
    const control = await script({ transfers: transfers([]) });
    const human = await runFilbert(['download', WITH_SOURCE, '--no-wait', '--control', control]);
    assert.deepEqual([human.code, human.stdout], [0, 'd1  queued  file.txt\n']);
    const both = await runFilbert(['download', WITH_SOURCE, '--no-wait', '--out', 'x', '--control', control]);
    assert.equal(both.code, 64);
  });

  it('refuses what is no hash before it calls', async () => {
    for (const target of ['file.txt', 'magnet:?dn=x', 'urn:sha1:short']) {
      const { code, stderr } = await runFilbert(['download', target, '--control', '127.0.0.1:1']);
      assert.equal(code, 64, stderr);
    }
  });
});
