import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  systemFiles,
  walk,
  type WalkEvent,
  type WalkFileSystem,
} from '../../../services/search-index/src/scan/walker.ts';
import { TempFolder } from '../support.ts';

const READER = fileURLToPath(new URL('../walk-as-reader.ts', import.meta.url));

describe('search-index: walker', () => {
  let folder: TempFolder;
  let outside: TempFolder;

  beforeEach(() => {
    folder = new TempFolder();
    outside = new TempFolder();
  });
  afterEach(() => {
    folder.remove();
    outside.remove();
  });

  interface Walked {
    readonly files: string[];
    /** `path reason` each. */
    readonly leftOut: string[];
    readonly folders: string[];
  }

  async function walked(options: { fs?: WalkFileSystem; maxEntries?: number } = {}): Promise<Walked> {
    const events: WalkEvent[] = [];
    const { fs = systemFiles, ...limits } = options;
    const { signal } = new AbortController();
    const all = walk([folder.path], { fs, descend: () => true, onEnter: () => undefined, signal, ...limits });
    for await (const event of all) events.push(event);
    const name = (path: string): string => relative(folder.path, path);
    return {
      files: events
        .flatMap((event) => (event.kind === 'files' ? event.files.map(({ path }) => name(path)) : []))
        .sort(),
      leftOut: events
        .flatMap((event) => (event.kind === 'left-out' ? [`${name(event.path)} ${event.reason}`] : []))
        .sort(),
      folders: events.flatMap((event) => (event.kind === 'folder' ? [name(event.path)] : [])).sort(),
    };
  }

  it('finds files in folders of any depth, with their size and time', async () => {
    folder.write('a.mp3', 'abc');
    folder.write('deep/er/b.mp3');
    assert.deepEqual(await walked(), {
      files: ['a.mp3', 'deep/er/b.mp3'],
      leftOut: [],
      folders: ['', 'deep', 'deep/er'],
    });
  });

  it('leaves out hidden, temporary and empty files, and says so', async () => {
    for (const name of ['.secret', 'film.mkv.part', 'x.crdownload', 'notes.txt~', 'Thumbs.db']) folder.write(name);
    folder.write('.git/config');
    folder.write('empty.txt', '');
    const { files, leftOut } = await walked();
    assert.deepEqual(files, []);
    assert.deepEqual(leftOut, [
      '.git hidden',
      '.secret hidden',
      'Thumbs.db hidden',
      'empty.txt empty',
      'film.mkv.part temporary',
      'notes.txt~ temporary',
      'x.crdownload temporary',
    ]);
  });

  it('takes odd names as they are, but for those that are no UTF-8 or that peers would refuse', async () => {
    const odd = [
      'new\nline.txt',
      'Ünïcödé 東京.txt',
      'a b  c.txt',
      '-rf.txt',
      'it\'s "quoted".txt',
      '%2e%2e.txt',
      '💿.txt',
    ];
    for (const name of odd) folder.write(name);
    folder.write('back\\..\\slash.txt');
    writeFileSync(
      Buffer.concat([Buffer.from(`${folder.path}/bad`), Buffer.from([0xff, 0xfe]), Buffer.from('.txt')]),
      'x',
    );
    const { files, leftOut } = await walked();
    assert.deepEqual(files, odd.sort());
    assert.deepEqual(leftOut, ['back\\..\\slash.txt odd-name', 'bad\ufffd\ufffd.txt odd-name']);
  });

  it('follows no symbolic link, out of the folder or in it', async () => {
    outside.write('secret.txt');
    folder.write('inside/a.txt');
    symlinkSync(join(outside.path, 'secret.txt'), join(folder.path, 'file-out'));
    symlinkSync(outside.path, join(folder.path, 'folder-out'));
    symlinkSync(join(folder.path, 'inside'), join(folder.path, 'folder-in'));
    symlinkSync(folder.path, join(folder.path, 'inside', 'loop'));
    symlinkSync('/nowhere', join(folder.path, 'broken'));
    const { files, leftOut } = await walked();
    assert.deepEqual(files, ['inside/a.txt']);
    assert.deepEqual(leftOut, [
      'broken symlink',
      'file-out symlink',
      'folder-in symlink',
      'folder-out symlink',
      'inside/loop symlink',
    ]);
  });

  it('does not look into a folder whose place a link took after it was come across', async () => {
    folder.write('inner/a.txt');
    outside.write('secret.txt');
    const fs: WalkFileSystem = {
      ...systemFiles,
      realpath: (path) => (path.endsWith('inner') ? Promise.resolve(outside.path) : systemFiles.realpath(path)),
    };
    const { files, leftOut } = await walked({ fs });
    assert.deepEqual([files, leftOut], [[], ['inner symlink']]);
  });

  it('leaves out a socket, and takes a hard link for a file', async () => {
    const server = createServer().listen(join(folder.path, 'socket'));
    await once(server, 'listening');
    linkSync(folder.write('a.txt'), join(folder.path, 'b.txt'));
    const { files, leftOut } = await walked();
    server.close();
    assert.deepEqual([files, leftOut], [['a.txt', 'b.txt'], ['socket not-a-file']]);
  });

  it('goes on behind what cannot be read, what vanishes, and a disk that fails', async () => {
    for (const name of ['a.txt', 'b.txt', 'locked/c.txt', 'gone/d.txt', 'z/e.txt']) folder.write(name);
    const failing = (code: string): never => {
      throw Object.assign(new Error(`${code}: told by the test`), { code });
    };
    const fs: WalkFileSystem = {
      ...systemFiles,
      opendir: async (path) => {
        if (path.endsWith('locked')) failing('EACCES');
        if (path.endsWith('gone')) failing('ENOENT');
        return systemFiles.opendir(path);
      },
      lstat: async (path) => (path.endsWith('b.txt') ? failing('EIO') : systemFiles.lstat(path)),
    };
    const { files, leftOut } = await walked({ fs });
    assert.deepEqual(files, ['a.txt', 'z/e.txt']);
    assert.deepEqual(leftOut, ['b.txt unreadable', 'gone vanished', 'locked unreadable']);
  });

  it('says which folders an ordinary user cannot read', () => {
    folder.write('open/a.txt');
    folder.write('locked/b.txt');
    chmodSync(join(folder.path, 'locked'), 0);
    // Root reads everything: the walk is another user's, where that is possible.
    const isRoot = process.getuid?.() === 0;
    const child = spawnSync(process.execPath, [READER, folder.path, isRoot ? '65534' : ''], { encoding: 'utf8' });
    chmodSync(join(folder.path, 'locked'), 0o755);
    assert.equal(child.status, 0, child.stderr);
    assert.deepEqual(JSON.parse(child.stdout), { files: ['open/a.txt'], leftOut: ['locked unreadable'] });
  });

  it('ends at its limits, and says so', async () => {
    for (let at = 0; at < 20; at++) folder.write(`${at}.txt`);
    const { leftOut } = await walked({ maxEntries: 10 });
    assert.match(leftOut.join(), /too-many/);
    let path = folder.path;
    for (let depth = 0; depth < 40; depth++) path = join(path, 'd');
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'deep.txt'), 'x');
    const deep = await walked();
    assert.equal(deep.files.includes(relative(folder.path, join(path, 'deep.txt'))), false);
    assert.match(deep.leftOut.join(), /too-deep/);
  });
});
