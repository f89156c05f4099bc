import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { base32Encode } from '@filbert/gnutella';
import { connectNatsKeyValue, createLogger } from '@filbert/kit';
import type { DownloadRequest } from '../../../services/transfers/src/download/downloads.ts';
import { JOBS_BUCKET_BYTES, MAX_RECORD_BYTES } from '../../../services/transfers/src/jobs/job-records.ts';
import { KvJobStore } from '../../../services/transfers/src/jobs/kv-job-store.ts';
import { decodeJob } from '../../../services/transfers/src/jobs/stored-download.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { startRawServer, type SeenRequest } from '../raw-http.ts';
import { cleanUp, finishedFiles, onCleanUp, partFiles, startWorker, temporaryFolder, type Worker } from '../worker.ts';

const MIB = 1024 * 1024;
const LEASE_MS = 600;

let server: NatsServer;

/** A worker whose downloads are in JetStream; with `lives` false it never renews its lease. */
function startKvWorker(workerId: string, downloads: string, { lives = true } = {}): Promise<Worker> {
  const store = new KvJobStore({
    connect: () =>
      connectNatsKeyValue({ servers: server.url, name: workerId, reconnectWaitMs: 10, reconnectJitterMs: 0 }),
    worker: workerId,
    downloads,
    holder: randomBytes(8).toString('hex'),
    logger: createLogger({ level: 'silent', name: workerId }),
    timings: { leaseMs: LEASE_MS, renewMs: lives ? 100 : 60_000, lookMs: 100 },
  });
  return startWorker({ workerId, downloads, store, timings: { checkpointMs: 300, stallMs: 20_000 } });
}

function head(content: Buffer, { first, last }: SeenRequest, socket: Socket): void {
  const end = Math.min(last + 1, content.length);
  socket.write(
    `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${first}-${end - 1}/${content.length}\r\n` +
      `Content-Length: ${end - first}\r\n\r\n`,
  );
}

function requestOf(content: Buffer, port: number): DownloadRequest {
  return {
    target: base32Encode(new Uint8Array(createHash('sha1').update(content).digest())),
    sources: [{ address: { host: '127.0.0.1', port }, serventGuid: undefined, index: 0, firewalled: false }],
    name: 'shared.bin',
    sizeBytes: content.length,
  };
}

/** Bytes of the only download that are on record. */
async function notedBytes(): Promise<number> {
  const kv = await connectNatsKeyValue({ servers: server.url, name: 'test' });
  const limits = { maxValueBytes: MAX_RECORD_BYTES, maxBytes: JOBS_BUCKET_BYTES };
  const [entry] = await (await kv.openBucket({ name: 'filbert-downloads', ...limits })).list();
  await kv.close();
  const ranges = entry === undefined ? [] : (decodeJob(entry.value)?.job.ranges ?? []);
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

describe('transfers: a download that another worker takes over', () => {
  beforeEach(async () => {
    server = await startNatsServer({ jetStream: true });
    onCleanUp(() => server.stop());
  });
  afterEach(cleanUp);

  it('is finished byte for byte and nothing noted is fetched again, whatever the first worker still writes', async () => {
    const content = randomBytes(3 * MIB);
    const stale = Promise.withResolvers<void>();
    const fresh = Promise.withResolvers<void>();
    // The first answer stops after 1 MiB and goes on with lies when the download is somebody else's.
    const source = await startRawServer((request, socket) => {
      const isFirst = source.requests.length === 1;
      head(content, request, socket);
      if (isFirst) {
        socket.write(content.subarray(0, MIB));
        void stale.promise.then(() => socket.write(randomBytes(2 * MIB)));
      } else {
        socket.write(content.subarray(request.first, 2 * MIB));
        void fresh.promise.then(() => socket.write(content.subarray(2 * MIB, request.last + 1)));
      }
    });
    const downloads = join(temporaryFolder(), 'downloads');
    const first = await startKvWorker('first', downloads, { lives: false });
    const { download } = await first.transfers.downloads.add(requestOf(content, source.port));
    await waitFor('the note of 1 MiB', async () => (await notedBytes()) === MIB);

    const second = await startKvWorker('second', downloads);
    const taken = await waitFor('the takeover', () => second.transfers.downloads.all()[0]);
    assert.equal(taken.id, download.id);
    await waitFor('a MiB of the second', () => taken.doneBytes === 2 * MIB);
    stale.resolve();
    await waitFor('the lies to be written', () => first.transfers.counters.downloadedBytes > MIB);
    await waitFor('the first to drop it', () => first.transfers.downloads.all().length === 0);
    assert.ok(first.transfers.downloads.wasTakenAway(download.id));
    fresh.resolve();
    await waitFor('the file', () => taken.state === 'completed');

    assert.ok(readFileSync(taken.path).equals(content));
    assert.equal(source.requests[1]?.first, MIB, 'goes on behind what was noted');
    assert.equal(second.transfers.counters.downloadedBytes, 2 * MIB);
    assert.equal(second.transfers.counters.hashMismatches, 0);
    assert.deepEqual([second.transfers.jobs.takenOver, first.transfers.jobs.takenAway], [1, 1]);
    assert.deepEqual(partFiles(second), [], 'no part file of either is left');
    assert.deepEqual([...finishedFiles(second).keys()].sort(), ['.filbert-folder', 'shared.bin']);
  });

  it('goes on in the same part file where the first worker had put it away', async () => {
    const content = randomBytes(3 * MIB);
    const source = await startRawServer((request, socket) => {
      const isFirst = source.requests.length === 1;
      head(content, request, socket);
      socket.write(content.subarray(request.first, isFirst ? MIB : request.last + 1));
    });
    const downloads = join(temporaryFolder(), 'downloads');
    const first = await startKvWorker('first', downloads);
    const second = await startKvWorker('second', downloads);
    await first.transfers.downloads.add(requestOf(content, source.port));
    await waitFor('the note of 1 MiB', async () => (await notedBytes()) === MIB);
    await first.stop();
    const taken = await waitFor('the takeover', () => second.transfers.downloads.all()[0]);
    await waitFor('the file', () => taken.state === 'completed');
    assert.ok(readFileSync(taken.path).equals(content));
    assert.equal(second.transfers.counters.downloadedBytes, 2 * MIB);
  });

  it('is refused to a second worker while the first has it', async () => {
    const content = randomBytes(1000);
    const source = await startRawServer(() => undefined);
    const downloads = join(temporaryFolder(), 'downloads');
    const first = await startKvWorker('first', downloads);
    const second = await startKvWorker('second', downloads);
    const { download } = await first.transfers.downloads.add(requestOf(content, source.port));
    await assert.rejects(second.transfers.downloads.add(requestOf(content, source.port)), {
      code: 'download-exists',
      message: `first has a download of this file already: ${download.id}`,
    });
    assert.deepEqual(second.transfers.downloads.all(), []);
    await first.transfers.downloads.cancel(download.id);
    const again = await second.transfers.downloads.add(requestOf(content, source.port));
    assert.ok(again.created);
  });
});

describe('transfers: downloads while NATS is away', () => {
  beforeEach(async () => {
    server = await startNatsServer({ jetStream: true });
    onCleanUp(() => server.stop());
  });
  afterEach(cleanUp);

  it('are fetched to the last byte, and get their name when NATS is back', async () => {
    const content = randomBytes(3 * MIB);
    const rest = Promise.withResolvers<void>();
    const source = await startRawServer((request, socket) => {
      head(content, request, socket);
      socket.write(content.subarray(0, MIB));
      void rest.promise.then(() => socket.write(content.subarray(MIB)));
    });
    const downloads = join(temporaryFolder(), 'downloads');
    const worker = await startKvWorker('first', downloads);
    const { download } = await worker.transfers.downloads.add(requestOf(content, source.port));
    await waitFor('the note of 1 MiB', async () => (await notedBytes()) === MIB);
    await server.kill();
    rest.resolve();
    await waitFor('all bytes', () => download.state === 'verifying' && download.reason !== '');
    assert.equal(download.doneBytes, content.length);
    assert.deepEqual([...finishedFiles(worker).keys()], ['.filbert-folder'], 'nobody knows whose it is');
    await assert.rejects(worker.transfers.downloads.add(requestOf(randomBytes(10), source.port)), {
      code: 'jobs-unavailable',
    });
    await assert.rejects(worker.transfers.downloads.cancel(download.id), { code: 'jobs-unavailable' });
    assert.equal(partFiles(worker).length, 1, 'what was fetched is not thrown away');
    await server.restart();
    await waitFor('the file', () => download.state === 'completed', 10_000);
    assert.ok(readFileSync(download.path).equals(content));
    assert.equal(source.requests.length, 1, 'nothing was fetched again');
    await worker.stop();
    const next = await startKvWorker('first', downloads);
    const [listed] = next.transfers.downloads.all();
    assert.deepEqual([listed?.id, listed?.state], [download.id, 'completed']);
  });
});
