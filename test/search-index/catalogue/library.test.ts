import assert from 'node:assert/strict';
import { Catalogue, openLibraryDatabase } from '../../../services/search-index/src/catalogue/catalogue.ts';
import { FORGET_AFTER_MS, Library } from '../../../services/search-index/src/catalogue/library.ts';
import {
  hashedFile,
  openLibrary,
  sha1Of,
  silent,
  TempFolder,
  type LibraryChanges,
  type TestLibrary,
} from '../support.ts';

describe('search-index: library', () => {
  let folder: TempFolder;
  let open: TestLibrary[];

  beforeEach(() => {
    folder = new TempFolder();
    open = [];
  });
  afterEach(() => {
    for (const library of open) library.close();
    folder.remove();
  });

  function library(options: LibraryChanges = {}): TestLibrary {
    const opened = openLibrary(folder.path, options);
    open.push(opened);
    return opened;
  }
  function reopen(before: TestLibrary, options: LibraryChanges = {}): TestLibrary {
    open.splice(open.indexOf(before), 1);
    before.close();
    return library(options);
  }

  it('finds a file by path, index, hash and words, and again after a restart', () => {
    const first = library();
    const [file] = first.add('/music/Some Song.mp3');
    assert.ok(file);
    for (const { library: each } of [first, reopen(first)]) {
      const again = each.atPath('/music/Some Song.mp3');
      assert.deepEqual({ ...again, sha1: Buffer.from(again?.sha1 ?? []) }, { ...file, sha1: Buffer.from(file.sha1) });
      assert.equal(each.byIndex(file.index)?.path, file.path);
      assert.equal(each.bySha1(file.sha1)?.path, file.path);
      assert.deepEqual(
        each.search('song', 5).map(({ name }) => name),
        ['Some Song.mp3'],
      );
      assert.equal(each.bytes, 1000);
    }
  });

  it('never gives an index again, also after a restart', () => {
    const first = library();
    const [a, b] = first.add('/a', '/b');
    first.library.withdraw(b === undefined ? [] : [b]);
    // Long gone: forgotten with its index.
    const second = reopen(first, { now: () => 1_700_000_000_000 + 2 * FORGET_AFTER_MS });
    assert.equal(second.library.absentAt('/b'), undefined);
    const [c] = second.add('/c');
    assert.ok(a && b && c);
    assert.ok(c.index > b.index && b.index > a.index);
  });

  it('gives changed content a new index, and keeps it where only the time changed', () => {
    const { library: index } = library();
    const [before] = index.add([hashedFile('/a')]);
    const [touched] = index.add([hashedFile('/a', { modifiedMs: 5 })]);
    assert.equal(touched?.index, before?.index);
    assert.equal(index.atPath('/a')?.modifiedMs, 5);
    const [changed] = index.add([hashedFile('/a', { sha1: sha1Of('other'), sizeBytes: 7 })]);
    assert.notEqual(changed?.index, before?.index);
    assert.equal(index.byIndex(before?.index ?? 0), undefined);
    assert.equal(index.bySha1(sha1Of('/a')), undefined);
    assert.deepEqual([index.size, index.bytes], [1, 7]);
  });

  it('does not share what is withdrawn, remembers it over a restart, and shares it again as it was', () => {
    const first = library();
    const [file] = first.add('/a song');
    assert.ok(file);
    first.library.withdraw([file]);
    assert.deepEqual([first.library.size, first.library.search('song', 5).length], [0, 0]);
    const { library: second } = reopen(first);
    assert.equal(second.size, 0);
    const absent = second.absentAt('/a song');
    assert.equal(absent?.index, file.index);
    assert.ok(absent);
    second.restore([absent]);
    assert.equal(second.byIndex(file.index)?.path, '/a song');
    assert.equal(second.absentAt('/a song'), undefined);
  });

  it('loads only what lies in a shared folder', () => {
    const first = library();
    first.add('/in/a', '/out/b');
    const second = reopen(first, { isShared: (path) => path.startsWith('/in/') });
    assert.deepEqual(
      [...second.library.all()].map(({ path }) => path),
      ['/in/a'],
    );
    // Shared again, it need not be hashed again.
    assert.ok(second.library.absentAt('/out/b'));
    assert.deepEqual(
      [...second.catalogue.files()].map(({ file, isMissing }) => [file.path, isMissing]),
      [
        ['/in/a', false],
        ['/out/b', true],
      ],
    );
  });

  it('names one file of each hash in an answer, and the next when that is gone', () => {
    const { library: index } = library();
    const same = { sha1: sha1Of('same') };
    const [first] = index.add([
      hashedFile('/x/song one', same),
      hashedFile('/x/song two', same),
      hashedFile('/x/song 3'),
    ]);
    assert.deepEqual(index.search('song', 10).length, 2);
    assert.equal([...index.distinct()].length, 2);
    index.withdraw(first === undefined ? [] : [first]);
    assert.equal(index.bySha1(same.sha1)?.name, 'song two');
    assert.deepEqual(index.search('song', 10).length, 2);
  });

  it('tells the newest files, the last first', () => {
    let now = 1_000;
    const { library: index } = library({ now: () => now });
    for (const path of ['/1', '/2', '/3', '/4', '/5']) {
      now += 1_000;
      index.add([hashedFile(path)]);
    }
    assert.deepEqual(
      index.newest(3).map(({ path }) => path),
      ['/5', '/4', '/3'],
    );
  });

  it('goes on without the catalogue when the disk refuses, and says so', () => {
    const { library: index, catalogue } = library();
    const [file] = index.add([hashedFile('/a')]);
    catalogue.close();
    open.pop();
    assert.deepEqual(index.add([hashedFile('/b')]), []);
    index.withdraw(file === undefined ? [] : [file]);
    assert.equal(index.size, 0);
    assert.equal(index.catalogueErrors, 2);
  });

  it('shares nothing more while the disk is full, keeps what it has, and goes on when there is room', () => {
    const database = openLibraryDatabase(folder.path);
    const catalogue = new Catalogue(database);
    const index = new Library({ catalogue, logger: silent, now: () => 1 });
    index.add([hashedFile('/a')]);
    // SQLite then says what it says when the disk is full.
    database.exec('PRAGMA max_page_count = 1');
    const many = Array.from({ length: 2_000 }, (_, at) => hashedFile(`/many/${at}`));
    assert.deepEqual(index.add(many), []);
    assert.deepEqual([index.size, index.catalogueErrors], [1, 1]);
    assert.deepEqual(
      index.inOrder().map(({ path }) => path),
      ['/a'],
    );
    database.exec('PRAGMA max_page_count = 1000000');
    assert.equal(index.add(many).length, 2_000);
    assert.deepEqual([...catalogue.files()].length, 2_001);
    catalogue.close();
  });

  it('is full at its limit', () => {
    const { library: index } = library({ maxFiles: 2 });
    index.add([hashedFile('/a'), hashedFile('/b')]);
    assert.equal(index.isFull, true);
  });

  it('keeps the folders that were added', () => {
    const first = library();
    first.catalogue.addShare('/music', 5);
    first.catalogue.addShare('/films', 6);
    first.catalogue.addShare('/music', 7);
    assert.deepEqual(reopen(first).catalogue.shares(), ['/music', '/films']);
  });
});
