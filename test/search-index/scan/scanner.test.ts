import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { HashedFile } from '../../../services/search-index/src/catalogue/shared-file.ts';
import { QUIET_MS } from '../../../services/search-index/src/scan/dirty-folders.ts';
import { FolderWatcher } from '../../../services/search-index/src/scan/folder-watcher.ts';
import { Scanner } from '../../../services/search-index/src/scan/scanner.ts';
import { ShareFolders } from '../../../services/search-index/src/scan/share-folders.ts';
import { FIRST_RETRY_MS } from '../../../services/search-index/src/scan/unsettled-files.ts';
import { systemFiles, type WalkedFile, type WalkFileSystem } from '../../../services/search-index/src/scan/walker.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openLibrary, sha1Of, silent, TempFolder, type TestLibrary } from '../support.ts';

const RESCAN_MS = 600_000;

describe('search-index: scanner', () => {
  let folder: TempFolder;
  let opened: TestLibrary;
  let clock: FakeClock;
  let shares: ShareFolders;
  let scanner: Scanner;
  /** Files that were given to be hashed, and whether there is room for more. */
  let queued: WalkedFile[];
  let hasRoom: boolean;
  /** Folders that fail when they are opened, with the code. */
  let failing: Map<string, string>;

  beforeEach(async () => {
    folder = new TempFolder();
    opened = openLibrary(join(folder.path, 'data'));
    clock = new FakeClock();
    queued = [];
    hasRoom = true;
    failing = new Map();
    const fs: WalkFileSystem = {
      ...systemFiles,
      opendir: async (path) => {
        const code = failing.get(path);
        if (code !== undefined) throw Object.assign(new Error(code), { code });
        return systemFiles.opendir(path);
      },
    };
    folder.write('share/a.txt');
    folder.write('share/sub/b.txt');
    shares = new ShareFolders({
      fs,
      configured: [join(folder.path, 'share')],
      added: [],
      dataFolder: join(folder.path, 'data'),
    });
    const watchFolder = (): { close: () => void } => ({ close: () => undefined });
    scanner = new Scanner({
      library: opened.library,
      shares,
      watcher: new FolderWatcher({ logger: silent, onChange: () => undefined, watchFolder }),
      fs,
      hash: (file) => {
        if (hasRoom) queued.push(file as WalkedFile);
        return hasRoom;
      },
      clock,
      timers: clock,
      logger: silent,
      rescanIntervalMs: RESCAN_MS,
    });
    await scanner.start();
  });
  afterEach(async () => {
    await scanner.stop();
    opened.close();
    folder.remove();
  });

  /** Looks through everything; what is new is in `queued` afterwards. */
  async function look(): Promise<void> {
    const done = scanner.rescan();
    clock.advance(0);
    await done;
    await waitFor('the end of the look', () => !scanner.isScanning);
  }
  /** Lets the time pass, and the look end that it brings. */
  async function partialLook(ms: number): Promise<void> {
    const before = scanner.scans.partial;
    clock.advance(ms);
    await waitFor('a partial look', () => scanner.scans.partial > before && !scanner.isScanning);
  }
  /** Hashes what waits. */
  function hashQueued(): void {
    const files: HashedFile[] = queued.splice(0).map((file) => ({ ...file, sha1: sha1Of(file.path) }));
    scanner.hashed(files);
  }
  const names = (): string[] => [...opened.library.all()].map(({ name }) => name).sort();
  const waiting = (): string[] => queued.map(({ path }) => path.slice(folder.path.length + 1)).sort();

  it('gives to hash what it does not know, and nothing that it knows', async () => {
    await look();
    assert.deepEqual(waiting(), ['share/a.txt', 'share/sub/b.txt']);
    hashQueued();
    await look();
    assert.deepEqual([waiting(), names()], [[], ['a.txt', 'b.txt']]);
    assert.equal(shares.all()[0]?.state, 'served');
    assert.deepEqual(scanner.seen, { folders: 2, files: 2 });
  });

  it('looks again by itself after the interval', async () => {
    await look();
    hashQueued();
    folder.write('share/c.txt');
    clock.advance(RESCAN_MS - 1);
    assert.equal(scanner.isScanning, false);
    clock.advance(1);
    await waitFor('the second look', () => scanner.scans.full === 2);
    assert.deepEqual(waiting(), ['share/c.txt']);
  });

  it('withdraws what lies in a folder that cannot be read, and serves it again without hashing', async () => {
    await look();
    hashQueued();
    failing.set(join(folder.path, 'share/sub'), 'EACCES');
    await look();
    assert.deepEqual([names(), scanner.leftOut.unreadable], [['a.txt'], 1]);
    failing.set(join(folder.path, 'share'), 'EIO');
    await look();
    assert.deepEqual([names(), shares.all()[0]?.state], [[], 'unreadable']);
    failing.clear();
    await look();
    assert.deepEqual([names(), waiting(), shares.all()[0]?.state], [['a.txt', 'b.txt'], [], 'served']);
  });

  it('looks only at what changed once it is quiet there', async () => {
    await look();
    hashQueued();
    folder.write('share/sub/c.txt');
    folder.write('share/new/deep/d.txt');
    rmSync(join(folder.path, 'share/a.txt'));
    scanner.changed(join(folder.path, 'share/sub'));
    await partialLook(QUIET_MS);
    assert.deepEqual(waiting(), ['share/sub/c.txt']);
    assert.deepEqual(names(), ['a.txt', 'b.txt']);
    scanner.changed(join(folder.path, 'share'));
    await partialLook(QUIET_MS);
    assert.deepEqual(waiting(), ['share/new/deep/d.txt', 'share/sub/c.txt']);
    assert.deepEqual(names(), ['b.txt']);
    rmSync(join(folder.path, 'share/sub'), { recursive: true });
    scanner.changed(join(folder.path, 'share/sub'));
    await partialLook(QUIET_MS);
    assert.deepEqual(names(), []);
  });

  it('never looks at a changed folder outside the share folders', async () => {
    await look();
    queued = [];
    folder.write('outside/x.txt');
    scanner.changed(join(folder.path, 'outside'));
    await partialLook(QUIET_MS);
    assert.deepEqual(waiting(), []);
  });

  it('hashes a file that changed meanwhile again, later each time', async () => {
    await look();
    const [file] = queued.splice(0);
    assert.ok(file);
    scanner.hashFailed(file.path, 'changed', '');
    // Each write tells of the folder, and the file is left alone all the same.
    scanner.changed(join(folder.path, 'share'));
    await partialLook(QUIET_MS);
    assert.deepEqual(waiting().includes('share/a.txt'), false);
    await partialLook(FIRST_RETRY_MS);
    assert.equal(waiting().includes('share/a.txt'), true);
    assert.equal(scanner.unsettled, 0);
  });

  it('stops sharing a file as it was as soon as it changed, and hashes one that changes all the time ever less often', async () => {
    await look();
    hashQueued();
    let pauseMs = FIRST_RETRY_MS;
    for (const content of ['one', 'and two', 'and then three']) {
      folder.write('share/a.txt', content);
      scanner.changed(join(folder.path, 'share'));
      await partialLook(QUIET_MS);
      assert.deepEqual([names(), waiting(), scanner.unsettled], [['b.txt'], [], 1]);
      await partialLook(pauseMs);
      assert.deepEqual(waiting(), ['share/a.txt']);
      hashQueued();
      assert.deepEqual(names(), ['a.txt', 'b.txt']);
      pauseMs *= 2;
    }
  });

  it('looks again for the files that found the hash queue full', async () => {
    hasRoom = false;
    await look();
    assert.deepEqual(waiting(), []);
    hasRoom = true;
    scanner.hashingIdle();
    clock.advance(0);
    await waitFor('the second look', () => scanner.scans.full === 2);
    assert.equal(waiting().length, 2);
  });

  it('does not share a file that was hashed when its folder is not shared any more', async () => {
    await look();
    scanner.hashed([{ path: '/elsewhere/x', sizeBytes: 1, modifiedMs: 1, sha1: sha1Of('x') }]);
    assert.deepEqual(names(), []);
  });

  it('lets those who wait for a look go when it stops', async () => {
    const done = scanner.rescan();
    await scanner.stop();
    await done;
    assert.equal(scanner.scans.full, 0);
  });
});
