import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '@filbert/kit';

describe('kit folders', () => {
  let root: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'filbert-test-'));
  });

  afterEach(() => rmSync(root, { recursive: true }));

  it('makes a folder and those above it for the owner alone, and leaves one that is there', () => {
    const deep = join(root, 'a', 'b', 'c');
    makeFolder(deep);
    makeFolder(deep);
    for (const folder of [deep, join(root, 'a')]) assert.equal(statSync(folder).mode & 0o777, 0o700);
    writeFileSync(join(deep, 'file'), '');
    makeFolder(deep);
  });

  it('fails where a file is in the way, or the file system takes no such name', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    assert.throws(() => makeFolder(file), { code: 'EEXIST' });
    assert.throws(() => makeFolder(join(file, 'below')), { code: 'ENOTDIR' });
    assert.throws(() => makeFolder('/proc/filbert/data'), { code: 'ENOENT' });
  });
});
