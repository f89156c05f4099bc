import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatSha1Urn } from '@filbert/gnutella';
import { waitFor } from '../../support/wait-for.ts';
import { cleanUp, onCleanUp, startWorker, temporaryFolder } from '../worker.ts';

const MIB = 1024 * 1024;

describe('transfers: a worker that is killed', () => {
  afterEach(cleanUp);

  it('is followed by one that fetches no byte again that was checkpointed', async () => {
    const content = randomBytes(24 * MIB);
    const serving = await startWorker({ uploadRate: 12 * MIB });
    const file = serving.library.add('large', content);
    const data = temporaryFolder();
    const downloads = join(data, 'downloads');
    const script = new URL('./killed-worker.ts', import.meta.url);
    const args = [data, downloads, formatSha1Urn(file.sha1), `127.0.0.1:${serving.port}`, String(content.length)];
    const child = fork(script, args);
    onCleanUp(() => {
      child.kill('SIGKILL');
    });
    let done = 0;
    child.on('message', (bytes) => {
      done = Number(bytes);
    });
    await waitFor('half of the file', () => done > content.length / 2 || undefined, 15_000);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await waitFor('the end of the upload', () => serving.transfers.uploads.uploads.size === 0 || undefined);

    const next = await startWorker({ data, downloads });
    const [download] = next.transfers.downloads.all();
    assert.ok(download !== undefined);
    const remembered = download.doneBytes;
    // Checkpoints come every 50 ms, in which at most a few MiB arrive.
    assert.ok(remembered > done - 6 * MIB, `${remembered} of ${done} are remembered`);
    await waitFor('the file', () => download.state === 'completed' || undefined, 15_000);
    assert.ok(readFileSync(download.path).equals(content));
    assert.equal(next.transfers.counters.downloadedBytes, content.length - remembered);
  });
});
