import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../../support/wait-for.ts';
import { cleanUp, requestFor, startWorker, temporaryFolder, type Worker, type WorkerOptions } from '../worker.ts';

const MIB = 1024 * 1024;

describe('transfers: the disk', () => {
  afterEach(cleanUp);
  const content = randomBytes(6 * MIB);

  async function fillUp(options: WorkerOptions): Promise<{ fetching: Worker; id: string }> {
    const serving = await startWorker();
    const fetching = await startWorker(options);
    const file = serving.library.add('large', content);
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [serving.source]));
    await waitFor('the full disk', () => download.state === 'disk-full' || undefined);
    assert.match(download.reason, /disk of .* is full/);
    assert.ok(download.doneBytes > 0);
    return { fetching, id: download.id };
  }

  /** A disk that is full as far as the download can tell; a real one is filled in test/e2e/sharing-bad-input.test.ts. */
  function simulated(): { writeAt: NonNullable<WorkerOptions['writeAt']>; makeRoom: () => void } {
    let room = 3 * MIB;
    return {
      writeAt: async (handle, bytes, position) => {
        if (position + bytes.length > room) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
        await handle.write(bytes, 0, bytes.length, position);
      },
      makeRoom: () => {
        room = Number.POSITIVE_INFINITY;
      },
    };
  }

  it('when full pauses the download with a clear state; it goes on where it was when there is room', async () => {
    const { writeAt, makeRoom } = simulated();
    const { fetching, id } = await fillUp({ writeAt });
    const done = fetching.transfers.downloads.get(id).doneBytes;
    const before = fetching.transfers.counters.downloadedBytes;
    makeRoom();
    const download = fetching.transfers.downloads.resume(id);
    await waitFor('the file', () => download.state === 'completed' || undefined);
    assert.ok(readFileSync(download.path).equals(content));
    assert.equal(fetching.transfers.counters.downloadedBytes - before, content.length - done);
  });

  it('stays full over a restart until a person resumes', async () => {
    const { writeAt } = simulated();
    const { fetching, id } = await fillUp({ writeAt });
    await fetching.stop();
    const again = await startWorker({ data: fetching.data });
    const download = again.transfers.downloads.get(id);
    assert.equal(download.state, 'disk-full');
    assert.ok(download.doneBytes > 0);
    again.transfers.downloads.resume(id);
    await waitFor('the file', () => download.state === 'completed' || undefined);
  });

  it('that cannot be written fails the download with the reason', async () => {
    const serving = await startWorker();
    const folder = temporaryFolder();
    const downloads = join(folder, 'a-file');
    writeFileSync(downloads, '');
    const fetching = await startWorker({ downloads });
    const file = serving.library.add('x', Buffer.from('x'));
    const { download } = await fetching.transfers.downloads.add(requestFor(file, [serving.source]));
    await waitFor('the failure', () => download.state === 'failed' || undefined);
    assert.match(download.reason, /cannot use .*a-file/);
    rmSync(downloads);
    mkdirSync(downloads);
    chmodSync(downloads, 0o755);
    fetching.transfers.downloads.resume(download.id);
    await waitFor('the file', () => download.state === 'completed' || undefined);
  });

  it('loses a file that somebody deleted, and the download begins anew', async () => {
    const serving = await startWorker({ uploadRate: 8 * MIB });
    const first = await startWorker();
    const file = serving.library.add('gone', content);
    const { download } = await first.transfers.downloads.add(requestFor(file, [serving.source]));
    await waitFor('some bytes', () => download.doneBytes > MIB || undefined);
    await first.stop();
    rmSync(join(first.downloads, 'incomplete'), { recursive: true });
    const second = await startWorker({ data: first.data });
    const [again] = second.transfers.downloads.all();
    await waitFor('the file', () => again?.state === 'completed' || undefined);
    assert.ok(readFileSync(again?.path ?? '').equals(content));
  });
});
