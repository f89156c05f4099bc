import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { transfersV1 } from '@filbert/contracts';
import {
  callStream,
  callUnary,
  createInProcessBus,
  createLogger,
  createMetrics,
  createReadiness,
  createRpcClient,
  createRpcServer,
  loadConfig,
  RpcError,
} from '@filbert/kit';
import { createTransfersService, transfersConfig } from '@filbert/transfers';
import { transfersControl } from '../../services/transfers/src/control.ts';
import { waitFor } from '../support/wait-for.ts';
import { cleanUp, onCleanUp, startWorker, temporaryFolder, type Worker } from './worker.ts';

const Service = transfersV1.TransfersServiceService;
const State = transfersV1.DownloadState;
const WAIT = { timeoutMs: 10_000 };

describe('transfers: control', () => {
  afterEach(cleanUp);

  async function controlled(worker: Worker): Promise<ReturnType<typeof createRpcClient>> {
    const server = createRpcServer({
      listen: { host: '127.0.0.1', port: 0 },
      services: [transfersControl(worker.transfers)],
      health: createReadiness(),
      logger: createLogger({ level: 'silent', name: 'test' }),
    });
    const address = await server.start();
    const client = createRpcClient({ address });
    onCleanUp(async () => {
      client.close();
      await server.stop();
    });
    return client;
  }

  it('starts a download, streams its progress to the end, and lists it', async () => {
    const serving = await startWorker({ uploadRate: 8 * 1024 * 1024 });
    const fetching = await startWorker();
    const file = serving.library.add('x.bin', randomBytes(4 * 1024 * 1024));
    const client = await controlled(fetching);
    const request = {
      target: Buffer.from(file.sha1).toString('hex'),
      sources: [{ address: `127.0.0.1:${serving.port}`, serventGuid: '', index: 0, firewalled: false }],
      name: 'wanted.bin',
      sizeBytes: file.sizeBytes,
    };
    const { download, created } = await callUnary(client, Service.startDownload, request, WAIT);
    assert.ok(created && download !== undefined);
    const states = new Set<transfersV1.DownloadState>();
    const amounts: number[] = [];
    for await (const message of callStream(client, Service.watchDownloads, { ids: [download.id] }, WAIT)) {
      states.add(message.download?.state ?? State.DOWNLOAD_STATE_UNSPECIFIED);
      amounts.push(message.download?.doneBytes ?? 0);
      if (message.download?.state === State.DOWNLOAD_STATE_COMPLETED) break;
    }
    assert.ok(states.has(State.DOWNLOAD_STATE_RUNNING));
    assert.deepEqual(
      amounts,
      [...amounts].sort((a, b) => a - b),
    );
    assert.equal(amounts.at(-1), file.sizeBytes);
    const { downloads } = await callUnary(client, Service.listDownloads, {}, WAIT);
    assert.equal(downloads[0]?.name, 'wanted.bin');
    assert.equal(downloads[0]?.sources[0]?.bytes, file.sizeBytes);
  });

  it('pauses, resumes and cancels, and tells a watcher of the last', async () => {
    const fetching = await startWorker();
    const client = await controlled(fetching);
    const request = { target: `urn:sha1:${'A'.repeat(32)}`, sources: [], name: '', sizeBytes: 0 };
    const { download } = await callUnary(client, Service.startDownload, request, WAIT);
    const id = download?.id ?? '';
    const paused = await callUnary(client, Service.pauseDownload, { id }, WAIT);
    assert.equal(paused.download?.state, State.DOWNLOAD_STATE_PAUSED);
    await callUnary(client, Service.resumeDownload, { id }, WAIT);
    const seen: transfersV1.DownloadState[] = [];
    for await (const message of callStream(client, Service.watchDownloads, { ids: [] }, WAIT)) {
      if (seen.length === 0) void callUnary(client, Service.cancelDownload, { id }, WAIT);
      seen.push(message.download?.state ?? State.DOWNLOAD_STATE_UNSPECIFIED);
      if (seen.at(-1) === State.DOWNLOAD_STATE_CANCELLED) break;
    }
    assert.ok(seen.length >= 2);
  });

  it('lists uploads with what was sent', async () => {
    const serving = await startWorker({ uploadRate: 4 * 1024 * 1024 });
    const fetching = await startWorker();
    const file = serving.library.add('slow', randomBytes(4 * 1024 * 1024));
    const target = Buffer.from(file.sha1).toString('hex');
    await fetching.transfers.downloads.add({ target, sources: [serving.source], name: '', sizeBytes: 0 });
    const client = await controlled(serving);
    const { uploads, slots, freeSlots } = await waitFor('an upload', async () => {
      const answer = await callUnary(client, Service.listUploads, {}, WAIT);
      return (answer.uploads[0]?.sentBytes ?? 0) > 0 ? answer : undefined;
    });
    assert.equal(uploads[0]?.name, 'slow');
    assert.match(uploads[0]?.userAgent ?? '', /^Filbert/);
    assert.equal(slots - freeSlots, 1);
  });

  const base = { target: `urn:sha1:${'A'.repeat(32)}`, sources: [], name: '', sizeBytes: 0 };
  const source = { address: '', serventGuid: '', index: 0, firewalled: false };
  const refusals: readonly (readonly [string, transfersV1.StartDownloadRequest])[] = [
    ['a target that is no hash', { ...base, target: 'a song' }],
    ['a magnet without SHA-1', { ...base, target: 'magnet:?dn=x' }],
    ['a negative size', { ...base, sizeBytes: -1 }],
    ['a size that is no whole number', { ...base, sizeBytes: 1.5 }],
    ['a source with a host name', { ...base, sources: [{ ...source, address: 'localhost:80' }] }],
    ['a source with a short GUID', { ...base, sources: [{ ...source, serventGuid: 'ab' }] }],
    ['a source that is nobody', { ...base, sources: [source] }],
    ['a source on a port of another service', { ...base, sources: [{ ...source, address: '203.0.114.1:25' }] }],
    [
      'too many sources',
      { ...base, sources: Array.from({ length: 201 }, () => ({ ...source, address: '203.0.114.1:80' })) },
    ],
  ];
  for (const [what, request] of refusals) {
    it(`refuses ${what}`, async () => {
      const client = await controlled(await startWorker());
      await assert.rejects(
        callUnary(client, Service.startDownload, request, WAIT),
        (error) => error instanceof RpcError && error.kind === 'invalid-argument',
      );
    });
  }

  it('says that there is no such download', async () => {
    const client = await controlled(await startWorker());
    const id = 'none';
    const calls = [
      callUnary(client, Service.pauseDownload, { id }, WAIT),
      callUnary(client, Service.resumeDownload, { id }, WAIT),
      callUnary(client, Service.cancelDownload, { id }, WAIT),
    ];
    for (const call of calls) {
      await assert.rejects(call, (error) => error instanceof RpcError && error.kind === 'not-found');
    }
  });

  it('is made from settings, and its metrics are well formed', async () => {
    const env = { FILBERT_DATA: temporaryFolder(), FILBERT_TRANSFERS_LISTEN: '127.0.0.1:0' };
    const config = loadConfig(transfersConfig, { env });
    assert.ok(config.ok);
    const metrics = createMetrics({ service: 'transfers', strict: true });
    const logger = createLogger({ level: 'silent', name: 'test' });
    const service = createTransfersService(config.value, { bus: createInProcessBus(), logger, metrics });
    onCleanUp(() => service.transfers.stop());
    const text = await metrics.registry.metrics();
    assert.match(text, /filbert_transfers_requests_total\{result="busy"\} 0/);
    assert.match(text, /filbert_transfers_uploads_refused_total\{reason="library-away"\} 0/);
    assert.match(text, /filbert_transfers_queue_places_ended_total\{reason="expired"\} 0/);
    assert.match(text, /filbert_transfers_source_faults_total\{reason="wrong-hash"\} 0/);
    assert.match(text, /filbert_transfers_ingress_frames_total\{result="disconnected"\} 0/);
    assert.match(text, /filbert_transfers_deliveries_total\{result="unknown-link"\} 0/);
    assert.match(text, /filbert_transfers_upload_first_byte_seconds_count 0/);
    assert.match(text, /filbert_transfers_upload_slots\{use="free"\} 20/);
    const bad = loadConfig(transfersConfig, { env: { ...env, FILBERT_TRANSFERS_ID: 'No Good' } });
    assert.match(bad.ok ? '' : bad.problems.join(), /FILBERT_TRANSFERS_ID is "No Good": it must be 1 to 63 lower-case/);
  });
});
