import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base32Encode } from '@filbert/gnutella';
import { callStream } from '@filbert/kit';
import { searchV1, transfersV1 } from '@filbert/contracts';
import { runFilbert, type CommandResult, type NodeOptions } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { RawHttp, sendRange, startRawServer } from '../transfers/raw-http.ts';
import { cleanUp, onCleanUp, temporaryFolder } from '../transfers/worker.ts';
import { FORMS } from './support/forms.ts';
import { SharingNode } from './support/sharing-node.ts';

const MIB = 1024 * 1024;
const { DownloadState } = transfersV1;

function sha1Of(content: string | Buffer): string {
  return base32Encode(createHash('sha1').update(content).digest());
}

function magnetOf(sha1: string, extra: Readonly<Record<string, string | readonly string[]>> = {}): string {
  const parameters = Object.entries(extra).flatMap(([name, values]) =>
    [values].flat().map((value) => `&${name}=${encodeURIComponent(value)}`),
  );
  return `magnet:?xt=urn:sha1:${sha1}${parameters.join('')}`;
}

/** Every path below a folder. */
function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

for (const form of FORMS) {
  describe(`e2e, ${form.name}: bad input to sharing and fetching`, function () {
    this.timeout(90_000);
    afterEach(cleanUp);

    async function start(options: NodeOptions): Promise<SharingNode> {
      const node = await SharingNode.start({ ...form.options, ...options });
      onCleanUp(() => node.stop());
      return node;
    }

    function filbert(node: SharingNode, ...args: string[]): Promise<CommandResult> {
      return runFilbert([...args, '--data', node.node.dataDir], { timeoutMs: 60_000 });
    }

    it('odd names are shared, found and fetched as they are; what is no UTF-8 or leads out is left out and counted', async () => {
      const folder = temporaryFolder();
      const outside = temporaryFolder();
      const names = [
        'Ünïcödé 東京 river.txt',
        '-rf river.txt',
        'new\nline river.txt',
        `river ${'x'.repeat(245)}.txt`,
        'it\'s "quoted" $(river).txt',
        '100%25 river.txt',
        'river 💿 \u202etxt.exe',
      ];
      for (const name of names) writeFileSync(join(folder, name), `content of ${name}`);
      const badBytes = Buffer.concat([Buffer.from(`${folder}/river `), Buffer.from([0xff, 0xfe]), Buffer.from('.txt')]);
      writeFileSync(badBytes, 'not UTF-8');
      writeFileSync(join(folder, 'up\\..\\river.txt'), 'backslashes');
      writeFileSync(join(outside, 'secret river.txt'), 'secret');
      symlinkSync(join(outside, 'secret river.txt'), join(folder, 'linked river.txt'));
      symlinkSync(outside, join(folder, 'linked folder'));
      const sharer = await start({ args: ['--share', folder] });
      const seeker = await start({ args: ['--connect', sharer.node.address] });
      await sharer.shares(names.length);
      await seeker.ultrapeers(1);
      await seeker.find('river', () => true);

      const found = new Map<string, searchV1.Source>();
      // Another spelling than before: the same text is dropped as a repetition.
      const request = { query: 'RIVER', enough: names.length, timeoutMs: 5_000 };
      const answers = callStream(seeker.client, searchV1.SearchServiceService.search, request, { timeoutMs: 15_000 });
      for await (const { file, source } of answers) if (file && source) found.set(file.sha1, source);
      for (const name of names) {
        const sha1 = sha1Of(`content of ${name}`);
        const source = found.get(sha1);
        assert.equal(source?.name, name);
        const wanted = { sha1, sizeBytes: source.size, name: source.name };
        const way = { address: sharer.node.address, serventGuid: '', index: source.index, firewalled: false };
        const done = await seeker.completed(await seeker.fetch(wanted, [way]));
        const downloads = join(seeker.node.dataDir, 'downloads');
        const fetched = readdirSync(downloads).filter((each) => join(downloads, each) === done.path);
        assert.equal(fetched.length, 1, `${done.path} lies in the downloads folder itself`);
        assert.doesNotMatch(fetched[0] ?? '', /[\n\u202e]/);
        assert.equal(readFileSync(done.path, 'utf8'), `content of ${name}`);
      }
      assert.equal(found.size, names.length, 'nothing else was found');
      assert.equal(await sharer.metric('filbert_search_index_left_out', 'reason="odd-name"'), 2);
      assert.equal(await sharer.metric('filbert_search_index_left_out', 'reason="symlink"'), 2);
    });

    it('requests that lead out of the share folders get nothing', async () => {
      const folder = temporaryFolder();
      mkdirSync(join(folder, 'shared'));
      writeFileSync(join(folder, 'secret'), 'secret');
      writeFileSync(join(folder, 'shared', 'open river.txt'), 'open');
      const sharer = await start({ args: ['--share', join(folder, 'shared')] });
      await sharer.shares(1);
      const paths = [
        '/get/1/../../secret',
        '/get/1/..%2f..%2fsecret',
        '/get/2/secret',
        '/../secret',
        `/${folder}/secret`,
        `file://${folder}/secret`,
        '/uri-res/N2R?../secret',
        `/uri-res/N2R?urn:sha1:${sha1Of('secret')}`,
        '/get/1/open%00river.txt',
        '//etc/passwd',
      ];
      for (const path of paths) {
        const http = await RawHttp.connect(sharer.node.gnutella.port);
        const { status, body } = await http.ask(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
        assert.ok(status === 400 || status === 404, `${path}: ${status}`);
        assert.doesNotMatch(body.toString('latin1'), /secret\n?$|root:/, path);
      }
    });

    it('names in magnet links write nothing outside the downloads folder, and only their hosts are asked', async () => {
      const home = temporaryFolder();
      const content = randomBytes(10_000);
      const source = await startRawServer((request, socket) => sendRange(content, request, socket));
      const seeker = await start({ dataDir: join(home, 'deep', 'data') });
      const before = tree(home).filter((path) => !path.startsWith('deep/data'));
      const sha1 = sha1Of(content);
      const xs = `http://127.0.0.1:${source.port}/uri-res/N2R?urn:sha1:${sha1}`;
      for (const dn of ['../../../escape', join(home, 'absolute'), '..', 'a/../../b\0c']) {
        const fetched = await filbert(
          seeker,
          'download',
          magnetOf(sha1, { dn, xs, xl: String(content.length) }),
          '--json',
        );
        assert.equal(fetched.code, 0, fetched.stderr);
        const done = JSON.parse(fetched.stdout.trimEnd().split('\n').at(-1) ?? '') as { path: string };
        const downloads = join(seeker.node.dataDir, 'downloads');
        assert.ok(
          readdirSync(downloads).some((name) => join(downloads, name) === done.path),
          done.path,
        );
        assert.ok(readFileSync(done.path).equals(content));
      }
      assert.deepEqual(
        tree(home).filter((path) => !path.startsWith('deep/data')),
        before,
      );

      const asked = source.requests.length;
      const elsewhere = [
        `http://127.0.0.1:${source.port}/etc/passwd`,
        'file:///etc/passwd',
        `ftp://127.0.0.1:${source.port}/uri-res/N2R?urn:sha1:${sha1}`,
      ];
      const other = magnetOf(sha1Of('another file'), { xs: elsewhere, dn: 'x' });
      const id = await seeker.begin({ target: other, sources: [], name: '', sizeBytes: 0 });
      await waitFor('the state', async () => (await seeker.download(id))?.reason === 'no source is known');
      assert.equal(source.requests.length, asked);
    });

    it('a file that vanishes is told as not there; when it is back a resume fetches it', async () => {
      const folder = temporaryFolder();
      const path = join(folder, 'fleeting river.txt');
      writeFileSync(path, 'fleeting content');
      const sharer = await start({ args: ['--share', folder] });
      const seeker = await start({});
      await sharer.shares(1);
      rmSync(path);
      const sha1 = sha1Of('fleeting content');
      const id = await seeker.fetch({ sha1, sizeBytes: 16, name: 'fleeting.txt' }, [
        { address: sharer.node.address, serventGuid: '', index: 0, firewalled: false },
      ]);
      const given = await waitFor('the blame', async () => {
        const known = await seeker.download(id);
        return known?.state === DownloadState.DOWNLOAD_STATE_WAITING && known.reason !== '' ? known : undefined;
      });
      assert.equal(given.reason, 'every source was given up: not-found');
      await sharer.shares(0);
      writeFileSync(path, 'fleeting content');
      await sharer.shares(1);
      assert.equal((await filbert(seeker, 'downloads', 'resume', id)).code, 0);
      assert.equal(readFileSync((await seeker.completed(id)).path, 'utf8'), 'fleeting content');
    });

    it('a full disk stops the download with a sentence, and loses nothing', async () => {
      const content = randomBytes(8 * MIB);
      const source = await startRawServer((request, socket) => sendRange(content, request, socket));
      const downloads = smallDisk(5);
      const seeker = await start({ args: ['--downloads', downloads] });
      const sha1 = sha1Of(content);
      const xs = `http://127.0.0.1:${source.port}/uri-res/N2R?urn:sha1:${sha1}`;
      const magnet = magnetOf(sha1, { dn: 'wide.bin', xs, xl: String(content.length) });
      const refused = await filbert(seeker, 'download', magnet);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /the disk of \S+ is full: make room and resume; nothing fetched is lost/);
      const [, id = ''] = /"filbert downloads resume (\w+)" goes on/.exec(refused.stderr) ?? [];
      const kept = (await seeker.download(id))?.doneBytes ?? 0;
      assert.ok(kept > 0 && kept < content.length, `${kept} bytes are kept`);
      const received = await seeker.metric('filbert_transfers_downloaded_bytes_total');

      execFileSync('mount', ['-o', 'remount,size=20m', downloads]);
      assert.equal((await filbert(seeker, 'downloads', 'resume', id)).code, 0);
      const done = await seeker.completed(id);
      assert.ok(readFileSync(done.path).equals(content));
      const further = (await seeker.metric('filbert_transfers_downloaded_bytes_total')) - received;
      assert.equal(further, content.length - kept);
    });

    /** A file system of so many MiB. @throws Error with a sentence where this user may not mount one */
    function smallDisk(mib: number): string {
      const folder = temporaryFolder();
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', folder], { stdio: 'ignore' });
      } catch (cause) {
        throw new Error('this test fills a small tmpfs, which this user may not mount: run it as root', { cause });
      }
      onCleanUp(() => {
        execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
      });
      return folder;
    }

    it('an ordinary user’s node shares what it may read, and says what it may not', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'filbert-modes-'));
      onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
      chmodSync(folder, 0o755);
      mkdirSync(join(folder, 'locked'));
      writeFileSync(join(folder, 'locked', 'hidden river.txt'), 'hidden');
      writeFileSync(join(folder, 'open river.txt'), 'open');
      writeFileSync(join(folder, 'closed river.txt'), 'closed');
      chmodSync(join(folder, 'locked'), 0);
      chmodSync(join(folder, 'closed river.txt'), 0);
      onCleanUp(() => chmodSync(join(folder, 'locked'), 0o700));
      const node = await start({ args: ['--share', folder], ordinaryUser: true });
      await node.shares(1);
      await waitFor('the look through the folders', async () => {
        const unreadable = await node.metric('filbert_search_index_left_out', 'reason="unreadable"');
        const failed = await node.metric('filbert_search_index_hash_failures_total', 'reason="unreadable"');
        return unreadable === 1 && failed === 1;
      });
      const rescan = await filbert(node, 'share', 'rescan');
      assert.match(rescan.stdout, /left out: 1 unreadable/);
      assert.ok(node.node.stderr.some((line) => line.includes('locked') && line.includes('it cannot be read')));
      for (const [content, status] of [
        ['open', 200],
        ['closed', 404],
        ['hidden', 404],
      ] as const) {
        const response = await fetch(`http://${node.node.address}/uri-res/N2R?urn:sha1:${sha1Of(content)}`);
        await response.arrayBuffer();
        assert.equal(response.status, status, content);
      }
      // What may be read from now on is shared by the next look.
      chmodSync(join(folder, 'locked'), 0o755);
      await filbert(node, 'share', 'rescan');
      await node.shares(2);
      const refused = await filbert(node, 'share', 'add', join(node.node.dataDir, 'downloads'));
      assert.equal(refused.code, 1);
    });

    it('sources that lie of the size, close, or send a page are blamed by name, and an honest one completes the file', async () => {
      const content = randomBytes(6 * MIB);
      const folder = temporaryFolder();
      writeFileSync(join(folder, 'true river.bin'), content);
      const honest = await start({ args: ['--share', folder] });
      await honest.shares(1);
      const sha1 = sha1Of(content);
      const liars = {
        'wrong-size': await startRawServer(({ first, last }, socket) => {
          socket.write(`HTTP/1.1 206 OK\r\nContent-Range: bytes ${first}-${last}/${content.length * 2}\r\n`);
          socket.write(`Content-Length: ${last - first + 1}\r\n\r\n`);
        }),
        'closed-early': await startRawServer((_, socket) => socket.resetAndDestroy()),
        html: await startRawServer((_, socket) => {
          socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello');
        }),
      };
      const seeker = await start({});
      const ports = Object.values(liars).map(({ port }) => `127.0.0.1:${port}`);
      const id = await seeker.fetch(
        { sha1, sizeBytes: content.length, name: 'true.bin' },
        ports.map((address) => ({ address, serventGuid: '', index: 0, firewalled: false })),
      );
      const blamed = await waitFor('the blames', async () => {
        const known = await seeker.download(id);
        return known?.sources.every(({ blame }) => blame !== '') === true ? known : undefined;
      });
      assert.deepEqual(
        blamed.sources.map(({ name, blame }) => [name, blame]),
        Object.entries(liars).map(([blame, { port }]) => [`127.0.0.1:${port}`, blame]),
      );
      assert.match(blamed.reason, /sources rest and are tried again: /);
      const xs = `http://${honest.node.address}/uri-res/N2R?urn:sha1:${sha1}`;
      const fetched = await filbert(seeker, 'download', magnetOf(sha1, { xs }));
      assert.equal(fetched.code, 0, fetched.stderr);
      assert.ok(readFileSync(join(seeker.node.dataDir, 'downloads', 'true.bin')).equals(content));
      assert.equal(await seeker.metric('filbert_transfers_hash_mismatches_total'), 0);
    });

    it('a source that hangs is told as asked, and a cancel ends it at once without a trace', async () => {
      const source = await startRawServer(() => undefined);
      const seeker = await start({});
      const sha1 = sha1Of('what never comes');
      const way = { address: `127.0.0.1:${source.port}`, serventGuid: '', index: 0, firewalled: false };
      const id = await seeker.fetch({ sha1, sizeBytes: 16, name: 'never.txt' }, [way]);
      await waitFor('the request', () => source.requests.length === 1);
      const listed = await filbert(seeker, 'downloads');
      assert.match(listed.stdout, new RegExp(`^${id} +running +0\\.0 % +16 B +- +- +1/1 +never\\.txt$`, 'm'));
      assert.equal((await filbert(seeker, 'downloads', 'cancel', id)).code, 0);
      assert.equal(await seeker.download(id), undefined);
      assert.deepEqual(readdirSync(join(seeker.node.dataDir, 'downloads', 'incomplete')), []);
    });
  });
}
