import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '@filbert/kit';

const FIRST = 'CREATE TABLE notes (text TEXT NOT NULL) STRICT';
const SECOND = 'ALTER TABLE notes ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0';

describe('kit: sqlite', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-sqlite-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('makes folder and schema, and runs only the steps that are new when opened again', () => {
    const file = join(folder, 'deep', 'er', 'notes.sqlite');
    const first = openSqlite(file, [FIRST]);
    first.exec("INSERT INTO notes VALUES ('kept')");
    first.close();
    const second = openSqlite(file, [FIRST, SECOND]);
    assert.deepEqual({ ...second.prepare('SELECT text, at_ms FROM notes').get() }, { text: 'kept', at_ms: 0 });
    assert.equal(second.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal');
    second.close();
  });

  it('refuses a file that a newer version wrote, and leaves it alone', () => {
    const file = join(folder, 'notes.sqlite');
    openSqlite(file, [FIRST, SECOND]).close();
    assert.throws(() => openSqlite(file, [FIRST]), /cannot use .*notes\.sqlite: it was written by a newer Filbert/);
    openSqlite(file, [FIRST, SECOND]).close();
  });

  it('says which file cannot be used when it is no database', () => {
    const file = join(folder, 'notes.sqlite');
    writeFileSync(file, 'this is no database, and long enough to be told from an empty one');
    assert.throws(() => openSqlite(file, [FIRST]), /cannot use .*notes\.sqlite: file is not a database; check --data/);
  });

  it('leaves no half-done step behind', () => {
    const file = join(folder, 'notes.sqlite');
    assert.throws(() => openSqlite(file, [`${FIRST}; CREATE TABLE notes (again TEXT)`]));
    const database = openSqlite(file, [FIRST]);
    assert.equal(database.prepare('SELECT count(*) AS n FROM notes').get()?.['n'], 0);
    database.close();
  });
});
