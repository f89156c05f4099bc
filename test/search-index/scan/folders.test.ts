import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  DirtyFolders,
  LONGEST_WAIT_MS,
  MAX_DIRTY_FOLDERS,
  QUIET_MS,
} from '../../../services/search-index/src/scan/dirty-folders.ts';
import { FolderTree } from '../../../services/search-index/src/scan/folder-tree.ts';
import {
  FolderWatcher,
  MAX_WATCHED_FOLDERS,
  systemWatch,
} from '../../../services/search-index/src/scan/folder-watcher.ts';
import { isWithin, ShareFolders } from '../../../services/search-index/src/scan/share-folders.ts';
import {
  FIRST_RETRY_MS,
  LONGEST_RETRY_MS,
  MAX_UNSETTLED_FILES,
  UnsettledFiles,
} from '../../../services/search-index/src/scan/unsettled-files.ts';
import { systemFiles } from '../../../services/search-index/src/scan/walker.ts';
import { waitFor } from '../../support/wait-for.ts';
import { silent, TempFolder } from '../support.ts';

describe('search-index: folders in which something changed', () => {
  it('are due when they are quiet, and at the latest some time after the first change', () => {
    const dirty = new DirtyFolders();
    assert.equal(dirty.nextMs, undefined);
    dirty.add('/a', 0);
    assert.deepEqual(dirty.take(QUIET_MS - 1), []);
    dirty.add('/a', QUIET_MS - 1);
    assert.deepEqual(dirty.take(QUIET_MS), []);
    for (let now = QUIET_MS; now < 2 * LONGEST_WAIT_MS; now += 100) dirty.add('/a', now);
    assert.equal(dirty.nextMs, LONGEST_WAIT_MS);
    assert.deepEqual(dirty.take(LONGEST_WAIT_MS), ['/a']);
    assert.equal(dirty.size, 0);
  });

  it('become everything when there are too many', () => {
    const dirty = new DirtyFolders();
    for (let at = 0; at <= MAX_DIRTY_FOLDERS; at++) dirty.add(`/${at}`, 0);
    assert.equal(dirty.size, 1);
    assert.deepEqual(dirty.take(0), []);
    assert.equal(dirty.take(QUIET_MS), 'all');
    assert.equal(dirty.size, 0);
  });
});

describe('search-index: files that somebody writes to', () => {
  it('are left alone longer with each change, within bounds', () => {
    const unsettled = new UnsettledFiles();
    assert.equal(unsettled.changed('/a', 0), FIRST_RETRY_MS);
    assert.equal(unsettled.restMs('/a', 400), FIRST_RETRY_MS - 400);
    assert.equal(unsettled.restMs('/b', 400), 0);
    assert.equal(unsettled.changed('/a', 0), 2 * FIRST_RETRY_MS);
    for (let at = 0; at < 40; at++) unsettled.changed('/a', 0);
    assert.equal(unsettled.changed('/a', 0), LONGEST_RETRY_MS);
    assert.deepEqual([unsettled.resting(0), unsettled.resting(LONGEST_RETRY_MS)], [1, 0]);
  });

  it('begin anew when they were quiet for long, or went away', () => {
    const unsettled = new UnsettledFiles();
    for (let at = 0; at < 3; at++) unsettled.changed('/a', 0);
    assert.equal(unsettled.changed('/a', 2 * LONGEST_RETRY_MS), FIRST_RETRY_MS);
    unsettled.changed('/a', 2 * LONGEST_RETRY_MS);
    unsettled.forget('/a');
    assert.equal(unsettled.changed('/a', 2 * LONGEST_RETRY_MS), FIRST_RETRY_MS);
  });

  it('are forgotten from the first on when there are too many', () => {
    const unsettled = new UnsettledFiles();
    for (let at = 0; at <= MAX_UNSETTLED_FILES; at++) unsettled.changed(`/${at}`, 0);
    assert.equal(unsettled.size, MAX_UNSETTLED_FILES);
    assert.equal(unsettled.restMs('/0', 0), 0);
    assert.notEqual(unsettled.restMs('/1', 0), 0);
  });
});

describe('search-index: folder tree', () => {
  const tree = (...paths: string[]): FolderTree => {
    const result = new FolderTree();
    for (const path of paths) result.add(path);
    return result;
  };
  const seen = (entries: Record<string, string[]>): Map<string, Set<string>> =>
    new Map(Object.entries(entries).map(([folder, files]) => [folder, new Set(files)]));

  it('tells which files a complete look did not see', () => {
    const folders = tree('/s/a', '/s/b', '/s/x/c');
    assert.deepEqual(folders.replaceAll(seen({ '/s': ['/s/a', '/s/new'] })), ['/s/b', '/s/x/c']);
    assert.deepEqual(folders.replaceAll(seen({ '/s': ['/s/a'] })), ['/s/new']);
  });

  it('leaves alone what lies in known subfolders when one folder is looked through', () => {
    const folders = tree('/s/a', '/s/x/c');
    assert.deepEqual(folders.replaceSome(['/s'], seen({ '/s': [] }), new Set(['/s/x'])), ['/s/a']);
    assert.equal(folders.has('/s/x'), true);
  });

  it('takes a folder that is gone for gone with everything in it', () => {
    const folders = tree('/s/a', '/s/x/c', '/s/x/y/d', '/s/xx/e');
    const gone = folders.replaceSome(['/s'], seen({ '/s': ['/s/a'] }), new Set(['/s/xx']));
    assert.deepEqual(gone, ['/s/x/c', '/s/x/y/d']);
    assert.deepEqual(folders.replaceSome(['/s/xx'], seen({}), new Set()), ['/s/xx/e']);
  });

  it('takes a folder that is gone with more files than a call takes arguments', () => {
    const many = Array.from({ length: 300_000 }, (_, i) => `/s/x/${i}`);
    assert.equal(tree(...many.slice(0, 1)).replaceAll(seen({})).length, 1);
    const whole = new FolderTree();
    const part = new FolderTree();
    for (const path of many) for (const folders of [whole, part]) folders.add(path);
    assert.equal(whole.replaceAll(seen({ '/s': [] })).length, many.length);
    assert.equal(part.replaceSome(['/s/x'], seen({}), new Set()).length, many.length);
  });
});

describe('search-index: share folders', () => {
  let folder: TempFolder;

  beforeEach(() => {
    folder = new TempFolder();
    folder.write('music/a.mp3');
    folder.write('data/library.sqlite');
    folder.write('data/downloads/b.mp3');
  });
  afterEach(() => folder.remove());

  async function shares(...configured: string[]): Promise<ShareFolders> {
    const dataFolder = join(folder.path, 'data');
    const result = new ShareFolders({
      fs: systemFiles,
      configured: configured.map((name) => join(folder.path, name)),
      added: [],
      dataFolder,
    });
    await result.refresh();
    return result;
  }

  it('hold what lies in them, and not what only begins like them', async () => {
    const music = await shares('music');
    assert.equal(music.holds(join(folder.path, 'music/x/y.mp3')), true);
    assert.equal(music.holds(join(folder.path, 'music2/y.mp3')), false);
    assert.equal(isWithin('/anything', '/'), true);
  });

  it('never hold the data folder, unless a folder within it is shared by name', async () => {
    const all = await shares('.');
    assert.equal(all.holds(join(folder.path, 'data/library.sqlite')), false);
    assert.equal(all.holds(join(folder.path, 'data/downloads/b.mp3')), false);
    const downloads = await shares('data/downloads');
    assert.equal(downloads.holds(join(folder.path, 'data/downloads/b.mp3')), true);
    assert.equal(downloads.holds(join(folder.path, 'data/library.sqlite')), false);
    assert.deepEqual((await shares('data')).roots(), []);
  });

  it('are walked once where one lies in another, and by their real path', async () => {
    symlinkSync(join(folder.path, 'music'), join(folder.path, 'link'));
    const nested = await shares('link', 'music', '.');
    assert.deepEqual(nested.roots(), [folder.path]);
    assert.deepEqual((await shares('link')).roots(), [join(folder.path, 'music')]);
  });

  it('are missing while they are not there', async () => {
    const missing = await shares('later');
    assert.deepEqual([missing.roots(), missing.all()[0]?.state], [[], 'missing']);
    folder.write('later/a.mp3');
    await missing.refresh();
    assert.deepEqual(missing.roots(), [join(folder.path, 'later')]);
  });

  it('take only a folder that is there, can be read, and is not shared yet', async () => {
    const music = await shares('music');
    const problem = async (path: string): Promise<string> => {
      const verdict = await music.judge(path);
      return 'problem' in verdict ? verdict.problem : '';
    };
    assert.match(await problem('music'), /not an absolute path/);
    assert.match(await problem(join(folder.path, 'nowhere')), /does not exist/);
    assert.match(await problem(join(folder.path, 'music/a.mp3')), /not a folder/);
    assert.match(await problem(join(folder.path, 'music')), /shared already$/);
    folder.write('music/deep/d.mp3');
    assert.match(await problem(join(folder.path, 'music/deep')), /shared already, with ".*music"$/);
    folder.write('other node/bootstrap.sqlite');
    assert.match(await problem(join(folder.path, 'other node')), /data folder of another node/);
    assert.match(await problem(join(folder.path, 'data')), /own data folder/);
    folder.write('films/c.mkv');
    assert.deepEqual(await music.judge(join(folder.path, 'films')), { realPath: join(folder.path, 'films') });
  });

  it('are taken away by whichever way to them', async () => {
    const all = await shares();
    const music = join(folder.path, 'music');
    const link = join(folder.path, 'another way');
    symlinkSync(music, link);
    for (const path of [music, link]) {
      all.add(music);
      await all.refresh();
      assert.deepEqual(await all.remove(path), { removed: music });
    }
    assert.ok('problem' in (await all.remove(link)));
  });
});

describe('search-index: watcher', () => {
  it('tells of a folder in which a file appears', async () => {
    const folder = new TempFolder();
    const changed: string[] = [];
    const watcher = new FolderWatcher({
      logger: silent,
      watchFolder: systemWatch,
      onChange: (path) => changed.push(path),
    });
    watcher.add(folder.path);
    watcher.add(join(folder.path, 'missing'));
    assert.equal(watcher.watched, 1);
    folder.write('a.txt');
    await waitFor('the change', () => changed.includes(folder.path));
    watcher.close();
    assert.equal(watcher.watched, 0);
    folder.remove();
  });

  it('is content with less where the system has no watch left, and with a bounded number', () => {
    let left = 3;
    const watcher = new FolderWatcher({
      logger: silent,
      onChange: () => undefined,
      watchFolder: () => {
        if (left-- <= 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
        return { close: () => undefined };
      },
    });
    for (let at = 0; at < 10; at++) watcher.add(`/${at}`);
    assert.equal(watcher.watched, 3);
    left = 1e9;
    for (let at = 0; at < MAX_WATCHED_FOLDERS + 10; at++) watcher.add(`/${at}`);
    assert.equal(watcher.watched, MAX_WATCHED_FOLDERS);
    watcher.retain((path) => path === '/1');
    assert.equal(watcher.watched, 1);
  });
});
