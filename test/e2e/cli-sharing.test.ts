import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { base32Encode } from '@filbert/gnutella';
import { runFilbert, type CommandResult } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { FORMS } from './support/forms.ts';
import { SharingNode } from './support/sharing-node.ts';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
const NAME = 'slow harbour evening.flac';
const FILE_BYTES = 220_000;
/** So large at this rate that it is not there before a test has seen what is shown meanwhile. */
const LONG_NAME = 'endless plain.flac';
const LONG_FILE_BYTES = 60_000_000;
const UPLOAD_RATE = 200_000;
/** An end of a search by `--timeout`. */
const SEARCH_S = 6;

function objects({ stdout }: Pick<CommandResult, 'stdout'>): Record<string, unknown>[] {
  const lines = stdout.trimEnd().split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}

for (const form of FORMS) {
  describe(`e2e, ${form.name}: the command line of a node that shares, searches and fetches`, function () {
    this.timeout(180_000);
    const content = randomBytes(FILE_BYTES);
    const sha1 = base32Encode(createHash('sha1').update(content).digest());
    const longContent = Buffer.alloc(LONG_FILE_BYTES, content);
    const longSha1 = base32Encode(createHash('sha1').update(longContent).digest());
    const started: SharingNode[] = [];
    let folder: string;
    let sharer: SharingNode;
    let seeker: SharingNode;

    const bySharer = (...args: string[]): Promise<CommandResult> => run(sharer, args);
    const bySeeker = (...args: string[]): Promise<CommandResult> => run(seeker, args);
    const run = (node: SharingNode, args: readonly string[]): Promise<CommandResult> =>
      runFilbert([...args, '--data', node.node.dataDir], { timeoutMs: 60_000 });

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), 'filbert-cli-'));
      writeFileSync(join(folder, NAME), content);
      writeFileSync(join(folder, LONG_NAME), longContent);
      sharer = await SharingNode.start({ ...form.options, args: ['--upload-rate', String(UPLOAD_RATE)] });
      started.push(sharer);
      seeker = await SharingNode.start({ args: ['--connect', sharer.node.address] });
      started.push(seeker);
      await seeker.ultrapeers(1);
    });
    after(async () => {
      await Promise.all(started.map((node) => node.stop()));
      rmSync(folder, { recursive: true, force: true });
    });

    it('share add, list and rescan say what is shared', async () => {
      assert.match((await bySharer('share', 'list')).stdout, /^nothing is shared; "filbert share add FOLDER"/);
      const added = await bySharer('share', 'add', folder);
      assert.deepEqual([added.code, added.stderr], [0, '']);
      assert.match(added.stdout, / is shared; its files are found as they are hashed\n$/);
      await sharer.shares(2);
      const rescanned = await bySharer('share', 'rescan');
      assert.equal(rescanned.code, 0);
      assert.match(rescanned.stdout, /^2 files in 1 folder\n$/);
      const [share, ...more] = objects(await bySharer('share', 'list', '--json'));
      assert.equal(more.length, 0);
      assert.deepEqual(share, {
        path: folder,
        configured: false,
        state: 'served',
        files: 2,
        bytes: FILE_BYTES + LONG_FILE_BYTES,
      });
      const again = await bySharer('share', 'add', folder);
      assert.equal(again.code, 1);
      assert.match(again.stderr, /is shared already/);
    });

    it('search --json prints one object a source, and ends with enough', async () => {
      await seeker.find('harbour', (_, hash) => hash === sha1);
      const startedAt = performance.now();
      const found = await bySeeker('search', 'harbour', 'evening', '--enough', '1', '--timeout', '60s', '--json');
      assert.ok(performance.now() - startedAt < 50_000, 'it does not wait for the time to be up');
      assert.equal(found.code, 0);
      const [source, ...more] = objects(found);
      assert.equal(more.length, 0);
      const { name, size, sha1: hash, servent, address, port, firewalled, hops } = source ?? {};
      const facts = await sharer.facts();
      assert.deepEqual(
        { name, size, hash, servent, address: `${String(address)}:${String(port)}`, firewalled, hops },
        {
          name: NAME,
          size: FILE_BYTES,
          hash: sha1,
          servent: facts.serventGuid,
          address: sharer.node.address,
          firewalled: false,
          hops: 1,
        },
      );
      const byHash = await bySeeker('search', `urn:sha1:${sha1}`, '--enough', '1', '--json');
      assert.equal(objects(byHash)[0]?.['sha1'], sha1);
    });

    it('search prints what is found as it comes, and ends when the time is up', async () => {
      const args = ['search', 'slow harbour', '--timeout', `${SEARCH_S}s`, '--data', seeker.node.dataDir];
      const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
      let stdout = '';
      let firstAt = 0;
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (stdout === '') firstAt = performance.now();
        stdout += text;
      });
      await new Promise((resolve) => child.once('close', resolve));
      assert.match(stdout, new RegExp(`^1\\. ${NAME} {2}214\\.8 KiB {2}urn:sha1:${sha1}\n {5}${sharer.node.address} `));
      assert.match(stdout, /\n1 file from 1 source in \d+s: the time was up\n$/);
      assert.ok(performance.now() - firstAt > 1_000, 'the first line came well before the end');
    });

    it('download draws a live bar with rate and time left, while downloads and uploads tell of it', async () => {
      // A terminal of its own: without one there is no bar to draw over.
      const command = [process.execPath, CLI, 'download', longSha1, '--data', seeker.node.dataDir];
      const terminal = spawn('script', ['-qec', command.map((part) => `'${part}'`).join(' '), '/dev/null'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let shown = '';
      terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
      const ended = new Promise((resolve) => terminal.once('close', resolve));
      const drawn = /\r\[-+\] \d+\.\d % {2}[\d.]+ [KM]iB\/s {2}(\d+m )?\d+s left {2}1 of 1 source/;
      await waitFor('the bar', () => drawn.test(shown), 60_000);

      const [downloads, uploads, table] = await Promise.all([
        bySeeker('downloads', '--json'),
        bySharer('uploads', '--json'),
        bySharer('uploads'),
      ]);
      const [download] = objects(downloads);
      assert.equal(download?.['state'], 'running');
      const facts = { name: LONG_NAME, sha1: longSha1, sizeBytes: LONG_FILE_BYTES, activeSources: 1 };
      for (const [field, value] of Object.entries(facts)) assert.equal(download[field], value, field);
      assert.ok(Number(download['doneBytes']) > 0 && Number(download['bytesPerSecond']) > 0);
      const [upload] = objects(uploads);
      assert.deepEqual([upload?.['name'], upload?.['sha1'], upload?.['pushed']], [LONG_NAME, longSha1, false]);
      assert.ok(Number(upload?.['sentBytes']) > 0);
      assert.match(String(upload?.['address']), /^127\.0\.0\.1:\d+$/);
      assert.match(table.stdout, /\n1 upload, 1 of 20 slots in use, 0 waiting\n$/);

      const cancelled = await bySeeker('downloads', 'cancel', String(download['id']));
      assert.equal(cancelled.code, 0);
      await ended;
      assert.match(shown, /the download was cancelled/);
      assert.deepEqual(objects(await bySeeker('downloads', '--json')), []);
    });

    it('download writes the finished file where it is told to', async () => {
      const out = join(folder, '..', `${sha1}.flac`);
      const fetched = await bySeeker('download', sha1, '--out', out);
      assert.equal(fetched.code, 0, fetched.stderr);
      const [done = '', copied] = fetched.stdout.split('\n');
      assert.match(done, /^done, 214\.8 KiB in \S+: .*\/downloads\//);
      assert.equal(copied, `copied to ${resolve(out)}`);
      assert.ok(readFileSync(out).equals(content));
      rmSync(out);
      const listed = await bySeeker('downloads');
      assert.match(listed.stdout, /^\w+ +completed +100\.0 % +214\.8 KiB +- /m);
    });

    it('hosts lists who was met', async () => {
      const hosts = await waitFor('the host', async () => {
        const known = objects(await bySeeker('hosts', '--json'));
        return known.some(({ address }) => address === sharer.node.address) ? known : undefined;
      });
      const host = hosts.find(({ address }) => address === sharer.node.address);
      assert.equal(host?.['ultrapeer'], true);
      assert.match((await bySeeker('hosts')).stdout, new RegExp(`^${sharer.node.address} +ultrapeer +\\d+`, 'm'));
    });
  });
}
