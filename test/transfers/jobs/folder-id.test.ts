import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { downloadsFolderId } from '../../../services/transfers/src/jobs/folder-id.ts';
import { cleanUp, temporaryFolder } from '../worker.ts';

describe('transfers: id of a downloads folder', () => {
  afterEach(cleanUp);

  it('is one for all who ask at once, stays, and is another for another folder', async () => {
    const folder = join(temporaryFolder(), 'downloads');
    const ids = new Set(await Promise.all(Array.from({ length: 20 }, () => downloadsFolderId(folder))));
    assert.equal(ids.size, 1);
    assert.ok(ids.has(await downloadsFolderId(folder)));
    assert.ok(!ids.has(await downloadsFolderId(temporaryFolder())));
    assert.deepEqual(readdirSync(folder), ['.filbert-folder'], 'nothing else is left behind');
  });

  it('is not guessed from a file that holds none', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, '.filbert-folder'), '');
    await assert.rejects(downloadsFolderId(folder), /remove it while no worker runs/);
  });

  it('needs a folder', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    await assert.rejects(downloadsFolderId(file), /check --downloads/);
  });
});
