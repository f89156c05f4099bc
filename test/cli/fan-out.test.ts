import assert from 'node:assert/strict';
import { bootstrapV1, connectionsV1, routerV1, transfersV1 } from '@filbert/contracts';
import {
  callStream,
  callUnary,
  createLogger,
  createReadiness,
  createRpcClient,
  createRpcServer,
  RpcError,
  rpcService,
  type RpcServer,
  type RpcService,
} from '@filbert/kit';
import { SERVICE_AWAY, type ControlledProcess } from '../../cli/src/control/asking.ts';
import { fanOutControl } from '../../cli/src/control/fan-out.ts';

type Client = ReturnType<typeof createRpcClient>;

/** What a worker does otherwise than to list its downloads and start one. */
interface WorkerScript {
  /** Throws what the start fails with. */
  readonly startDownload?: () => void;
  readonly downloads?: () => readonly Partial<transfersV1.Download>[];
  readonly cancelDownload?: () => transfersV1.CancelDownloadResponse;
  readonly findDownload?: () => transfersV1.FindDownloadResponse;
  readonly others?: () => readonly transfersV1.OthersDownload[];
}

function notFound(): never {
  throw new RpcError('not-found', 'there is no such download');
}

const edges = connectionsV1.ConnectionsServiceService;
const timeoutMs = 5_000;

describe('supervisor: control of several processes', () => {
  const logger = createLogger({ level: 'silent', name: 'test' });
  const servers: RpcServer[] = [];
  const clients: Client[] = [];
  const dialled: string[] = [];
  after(async () => {
    for (const client of clients) client.close();
    await Promise.all(servers.map((server) => server.stop()));
  });

  async function serve(services: readonly RpcService[]): Promise<Client> {
    const server = createRpcServer({ services, logger, health: createReadiness(), drainMs: 100 });
    servers.push(server);
    const client = createRpcClient({ address: await server.start() });
    clients.push(client);
    return client;
  }

  /** A connections process with so many ultrapeers; with `breaks` its list of links fails after the first. */
  async function edge(name: string, ultrapeers: number, breaks = false): Promise<ControlledProcess> {
    const stats = connectionsV1.EdgeStats.fromPartial({ edgeId: name, ultrapeers });
    const client = await serve([
      rpcService(edges, {
        // eslint-disable-next-line @typescript-eslint/require-await -- a stream is an async generator, also where nothing waits
        async *listLinks() {
          yield connectionsV1.ListLinksResponse.fromPartial({ edgeId: name, link: 1 });
          if (breaks) throw new RpcError('internal', 'broken');
          yield connectionsV1.ListLinksResponse.fromPartial({ edgeId: name, link: 2 });
        },
        connect({ address }) {
          dialled.push(`${name} ${address}`);
          return connectionsV1.ConnectResponse.fromPartial({ accepted: true });
        },
        disconnect: ({ edgeId, link }) => ({ found: (edgeId === '' || edgeId === name) && link === 1 }),
        getStats: () => ({ edges: [stats] }),
      }),
    ]);
    return { name, client };
  }

  /** A transfers worker with these downloads, of which it tells which it was asked to start. */
  async function worker(
    name: string,
    downloads: readonly Partial<transfersV1.Download>[],
    started: string[],
    script: WorkerScript = {},
  ) {
    const unscripted = (): never => {
      throw new RpcError('unimplemented', 'the test has no script for this call');
    };
    const client = await serve([
      rpcService(transfersV1.TransfersServiceService, {
        startDownload({ target }) {
          script.startDownload?.();
          started.push(`${name} ${target}`);
          return { download: undefined, created: true };
        },
        listDownloads: () => ({
          downloads: (script.downloads?.() ?? downloads).map((one) => transfersV1.Download.fromPartial(one)),
        }),
        findDownload: script.findDownload ?? unscripted,
        listOthersDownloads: () => ({ downloads: (script.others?.() ?? []).map((one) => ({ ...one })) }),
        watchDownloads: unscripted,
        pauseDownload: unscripted,
        resumeDownload: unscripted,
        cancelDownload: script.cancelDownload ?? unscripted,
        listUploads: unscripted,
      }),
    ]);
    return { name, client };
  }

  async function node(
    connections: readonly ControlledProcess[],
    workers?: readonly ControlledProcess[],
  ): Promise<Client> {
    const away = { name: 'away', client: undefined };
    return serve(
      fanOutControl({
        bootstrap: { ...away, name: 'bootstrap' },
        routers: [away],
        connections,
        searchIndex: away,
        transfers: workers ?? [away],
      }),
    );
  }

  async function linksOf(client: Client): Promise<string[]> {
    const links: string[] = [];
    for await (const { edgeId, link } of callStream(client, edges.listLinks, {}, { timeoutMs })) {
      links.push(`${edgeId}/${link}`);
    }
    return links;
  }

  it('lists the links of all connections processes, without those of one that is away or fails', async () => {
    const gone = { name: 'edge-2', client: undefined };
    const client = await node([await edge('edge-0', 0), await edge('edge-1', 0, true), gone]);
    assert.deepEqual(await linksOf(client), ['edge-0/1', 'edge-0/2', 'edge-1/1']);
    const { edges: stats } = await callUnary(client, edges.getStats, {}, { timeoutMs });
    assert.deepEqual(
      stats.map(({ edgeId }) => edgeId),
      ['edge-0', 'edge-1'],
    );
  });

  it('dials from the connections process with the fewest ultrapeers', async () => {
    const client = await node([await edge('edge-0', 3), await edge('edge-1', 1), await edge('edge-2', 2)]);
    const { accepted } = await callUnary(client, edges.connect, { address: '10.0.0.1:1', waitMs: 0 }, { timeoutMs });
    assert.equal(accepted, true);
    assert.deepEqual(dialled, ['edge-1 10.0.0.1:1']);
  });

  it('ends a link at the connections process named, which only one of several need be', async () => {
    const several = await node([await edge('edge-0', 0), await edge('edge-1', 0)]);
    const one = await node([await edge('edge-0', 0)]);
    const call = (client: Client, edgeId: string) =>
      callUnary(client, edges.disconnect, { edgeId, link: 1, reason: '' }, { timeoutMs });
    assert.equal((await call(several, 'edge-1')).found, true);
    assert.equal((await call(several, 'edge-9')).found, false);
    await assert.rejects(call(several, ''), { kind: 'invalid-argument' });
    assert.equal((await call(one, '')).found, true);
    const halfAway = await node([await edge('edge-0', 0), { name: 'edge-1', client: undefined }]);
    assert.equal((await call(halfAway, 'edge-0')).found, true);
    await assert.rejects(call(halfAway, 'edge-1'), { kind: 'unavailable', code: SERVICE_AWAY });
  });

  it('starts a download at the worker with the fewest, unless one has the file under way, or finished', async () => {
    const { DownloadState } = transfersV1;
    const started: string[] = [];
    const [paused, done, fresh] = ['A', 'B', 'C'].map((digit) => digit.repeat(32));
    const others = [{ sha1: 'D'.repeat(32) }, { sha1: 'E'.repeat(32) }];
    const client = await node(
      [],
      [
        await worker(
          'transfers-0',
          [{ sha1: paused ?? '', state: DownloadState.DOWNLOAD_STATE_PAUSED }, ...others],
          started,
        ),
        await worker('transfers-1', [], started),
        await worker('transfers-2', [{ sha1: done ?? '', state: DownloadState.DOWNLOAD_STATE_COMPLETED }], started),
      ],
    );
    const { startDownload } = transfersV1.TransfersServiceService;
    const targets = [`magnet:?xt=urn:sha1:${paused}`, `urn:sha1:${done}`, `${fresh}`, 'nonsense'];
    for (const target of targets) {
      await callUnary(client, startDownload, { target, sources: [], name: '', sizeBytes: 0 }, { timeoutMs });
    }
    assert.deepEqual(
      started,
      targets.map((target, at) => `transfers-${[0, 2, 1, 1][at]} ${target}`),
    );
  });

  it('goes on to the worker that was quicker with a download of the file', async () => {
    const { startDownload } = transfersV1.TransfersServiceService;
    const started: string[] = [];
    const sha1 = 'A'.repeat(32);
    const found: Partial<transfersV1.Download>[] = [];
    const busy = await worker('transfers-1', [{ id: 'other' }], started, { downloads: () => found });
    const refusing = await worker('transfers-0', [], started, {
      startDownload: () => {
        // The other has listed it since it was asked.
        found.push({ id: 'quick', sha1, state: transfersV1.DownloadState.DOWNLOAD_STATE_RUNNING });
        throw new RpcError('already-exists', 'transfers-1 has a download of this file already: quick');
      },
    });
    const client = await node([], [refusing, busy]);
    await callUnary(client, startDownload, { target: sha1, sources: [], name: '', sizeBytes: 0 }, { timeoutMs });
    assert.deepEqual(started, [`transfers-1 ${sha1}`]);
  });

  it('says who has a download of the file where that worker does not answer', async () => {
    const { startDownload } = transfersV1.TransfersServiceService;
    const refusing = await worker('transfers-0', [], [], {
      startDownload: () => {
        throw new RpcError('already-exists', 'transfers-1 has it');
      },
    });
    const client = await node([], [refusing, { name: 'transfers-1', client: undefined }]);
    const request = { target: 'A'.repeat(32), sources: [], name: '', sizeBytes: 0 };
    await assert.rejects(callUnary(client, startDownload, request, { timeoutMs }), {
      kind: 'already-exists',
      message: 'transfers-1 has it',
    });
  });

  it('lists a download once that is changing hands, and asks the other worker where one does not answer', async () => {
    const { DownloadState } = transfersV1;
    const { listDownloads, cancelDownload } = transfersV1.TransfersServiceService;
    const asked: string[] = [];
    const stale = await worker('transfers-0', [{ id: 'x', state: DownloadState.DOWNLOAD_STATE_RUNNING }], [], {
      cancelDownload: () => {
        asked.push('transfers-0');
        throw new RpcError('unavailable', 'NATS is away');
      },
    });
    const owner = await worker('transfers-1', [{ id: 'x', state: DownloadState.DOWNLOAD_STATE_COMPLETED }], [], {
      cancelDownload: () => {
        asked.push('transfers-1');
        return { download: transfersV1.Download.fromPartial({ id: 'x' }) };
      },
    });
    const client = await node([], [stale, owner]);
    const { downloads } = await callUnary(client, listDownloads, {}, { timeoutMs });
    assert.deepEqual(
      downloads.map(({ id, state }) => [id, state]),
      [['x', DownloadState.DOWNLOAD_STATE_COMPLETED]],
    );
    await callUnary(client, cancelDownload, { id: 'x' }, { timeoutMs });
    assert.deepEqual(asked, ['transfers-0', 'transfers-1']);
    const other = await node([], [stale, await worker('transfers-1', [], [], { cancelDownload: notFound })]);
    await assert.rejects(callUnary(other, cancelDownload, { id: 'x' }, { timeoutMs }), { kind: 'unavailable' });
  });

  it('tells of downloads on record of a worker that does not answer, and that they are to be waited for', async () => {
    const { DownloadState } = transfersV1;
    const { listDownloads, cancelDownload } = transfersV1.TransfersServiceService;
    const recorded = (
      id: string,
      createdAtMs: number,
      state: transfersV1.DownloadState = DownloadState.DOWNLOAD_STATE_WAITING,
    ) => ({
      worker: 'transfers-1',
      download: transfersV1.Download.fromPartial({ id, createdAtMs, state }),
    });
    const others = () => [
      recorded('moved', 1),
      recorded('left', 3),
      recorded('done', 4, DownloadState.DOWNLOAD_STATE_COMPLETED),
    ];
    const downloads = [
      { id: 'moved', createdAtMs: 1, state: DownloadState.DOWNLOAD_STATE_RUNNING },
      { id: 'own', createdAtMs: 2, state: DownloadState.DOWNLOAD_STATE_RUNNING },
    ];
    const script = { others, cancelDownload: notFound };
    const client = await node(
      [],
      [await worker('transfers-0', downloads, [], script), { name: 'x', client: undefined }],
    );
    const listed = (await callUnary(client, listDownloads, {}, { timeoutMs })).downloads;
    assert.deepEqual(
      listed.map(({ id }) => id),
      ['moved', 'own', 'left', 'done'],
    );
    assert.equal(listed[0]?.state, DownloadState.DOWNLOAD_STATE_RUNNING);
    assert.match(listed[2]?.reason ?? '', /^transfers-1 has it and does not answer; where it is gone, another worker/);
    assert.equal(listed[3]?.reason, '');
    const waits = { kind: 'unavailable', code: SERVICE_AWAY, message: /^transfers-1 has it and does not answer/ };
    await assert.rejects(callUnary(client, cancelDownload, { id: 'left' }, { timeoutMs }), waits);
    await assert.rejects(callUnary(client, cancelDownload, { id: 'none' }, { timeoutMs }), { kind: 'not-found' });
  });

  it('fails as unavailable, and says who is away, where nobody can answer', async () => {
    const client = await node([{ name: 'edge-0', client: undefined }]);
    const away = (message: RegExp) => (error: unknown) =>
      error instanceof RpcError && error.kind === 'unavailable' && message.test(error.message);
    await assert.rejects(linksOf(client), away(/edge-0/));
    const { getFacts } = bootstrapV1.BootstrapServiceService;
    await assert.rejects(
      callUnary(client, getFacts, {}, { timeoutMs }),
      away(/^bootstrap does not answer; it may be starting$/),
    );
    const { getStats } = routerV1.RouterServiceService;
    await assert.rejects(callUnary(client, getStats, {}, { timeoutMs }), away(/away/));
  });
});
