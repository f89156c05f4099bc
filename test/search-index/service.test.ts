import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@grpc/grpc-js';
import {
  allEdgeStates,
  edgeEgress,
  EgressBatchBuilder,
  egressBytes,
  forEachFrame,
  libraryBrowse,
  libraryLookup,
  librarySummary,
  LinkKind,
  nodeFactsRequest,
  routerIngress,
  searchV1,
  type LibrarySummary,
  type StateBatch,
} from '@filbert/contracts';
import { base32Encode, decodeQueryHit, encodeQuery, HEADER_BYTES, QueryFlag } from '@filbert/gnutella';
import {
  callStream,
  callUnary,
  createInProcessBus,
  createMetrics,
  createReadiness,
  createRpcClient,
  createRpcServer,
  loadConfig,
  type Bus,
} from '@filbert/kit';
import { createSearchIndexService, searchIndexConfig, type SearchIndexService } from '@filbert/search-index';
import { someFacts } from '../support/frame-bench.ts';
import { waitFor } from '../support/wait-for.ts';
import { sha1Of, silent, TempFolder } from './support.ts';

const { SearchServiceService } = searchV1;
const timeoutMs = 5_000;

/** One run of the service over a bus of its own, with bootstrap's part played. */
interface Running {
  readonly service: SearchIndexService;
  readonly bus: Bus;
  readonly metrics: ReturnType<typeof createMetrics>;
  stop(): Promise<void>;
}

describe('search-index: service', () => {
  let folder: TempFolder;
  let running: Running[];

  beforeEach(() => {
    folder = new TempFolder();
    mkdirSync(join(folder.path, 'share'));
    running = [];
  });
  afterEach(async () => {
    for (const each of running) await each.stop();
    folder.remove();
  });

  function create(share: readonly string[] = ['share']): Running {
    const loaded = loadConfig(searchIndexConfig, {
      env: {
        FILBERT_DATA: join(folder.path, 'data'),
        FILBERT_SHARE: share.map((name) => join(folder.path, name)).join(),
        FILBERT_RESCAN_INTERVAL: '1h',
        FILBERT_ALLOW_PRIVATE: 'true',
      },
    });
    assert.ok(loaded.ok);
    const bus = createInProcessBus();
    bus.respond(nodeFactsRequest, () => someFacts({ advertisedAddress: '127.0.0.1:6346' }));
    const metrics = createMetrics({ service: 'search_index', strict: true });
    const service = createSearchIndexService(loaded.value, { bus, logger: silent, metrics });
    const made: Running = {
      service,
      bus,
      metrics,
      async stop() {
        running = running.filter((other) => other !== made);
        await service.component.stop?.();
        await bus.drain();
      },
    };
    running.push(made);
    return made;
  }
  async function start(share?: readonly string[]): Promise<Running> {
    const made = create(share);
    await made.service.component.start?.(new AbortController().signal);
    return made;
  }
  const parts = ({ service }: Running): NonNullable<SearchIndexService['index']['parts']> => {
    assert.ok(service.index.parts);
    return service.index.parts;
  };
  const names = (each: Running): string[] => [...parts(each).library.all()].map(({ name }) => name).sort();
  /** Waits until everything is seen and hashed. */
  async function settled(each: Running): Promise<void> {
    await parts(each).scanner.rescan();
    await waitFor('the hash queue to run empty', () => parts(each).pool.isIdle);
  }
  const hashedFiles = (each: Running): number => parts(each).pool.filesHashed;

  it('shares what lies in its folders, and tells transfers and bootstrap of it', async () => {
    folder.write('share/a.txt', 'content of a');
    folder.write('share/sub/b.txt', 'content of b');
    const node = create();
    const summaries: LibrarySummary[] = [];
    node.bus.subscribe(librarySummary, (summary) => summaries.push(summary));
    await node.service.component.start?.(new AbortController().signal);
    await settled(node);
    assert.deepEqual(names(node), ['a.txt', 'b.txt']);
    await waitFor('the summary', () => summaries.some(({ files, kib }) => files === 2 && kib === 1));
    const reply = await node.bus.request(libraryLookup, { sha1: sha1Of('content of b'), index: 0 }, { timeoutMs });
    assert.deepEqual([reply.path, reply.size], [join(folder.path, 'share/sub/b.txt'), 12]);
    assert.equal(reply.shareFolder, join(folder.path, 'share'));
    const page = await node.bus.request(libraryBrowse, { offset: 0 }, { timeoutMs });
    assert.equal(page.nextOffset, 0);
    const decoded = decodeQueryHit(page.frames, HEADER_BYTES, page.frames.length);
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value.records.map(({ name }) => name).sort(), ['a.txt', 'b.txt']);
  });

  it('answers a query that the router sends over the library link', async () => {
    folder.write('share/blue song.mp3');
    const node = create();
    const hits: Uint8Array[] = [];
    const states: StateBatch[] = [];
    node.bus.subscribe(allEdgeStates, (batch) => states.push(batch));
    node.bus.openReader(routerIngress(0), (batch) => {
      forEachFrame(batch, (bytes, from, to) => hits.push(bytes.slice(from, to)));
    });
    await node.service.component.start?.(new AbortController().signal);
    await settled(node);
    const record = await waitFor('the library link with its table', () =>
      states
        .flatMap(({ records }) => records)
        .find(({ kind, table }) => kind === LinkKind.LINK_KIND_LIBRARY && (table?.setSlots.length ?? 0) > 0),
    );
    const query = encodeQuery(
      { guid: Buffer.alloc(16, 3), ttl: 1, hops: 1 },
      { flags: QueryFlag.IS_FLAGS, text: 'song' },
    );
    const builder = new EgressBatchBuilder();
    builder.send(1, Buffer.from(query), 0, query.length, 1, 1, record.link);
    const batch = builder.take();
    const epoch = states[0]?.epoch ?? 0;
    batch.edgeEpoch = epoch;
    node.bus.openWriter(edgeEgress('library'), { epoch: 1 }).send(batch, egressBytes(batch));
    const hit = await waitFor('the hit', () => hits[0]);
    const decoded = decodeQueryHit(hit, HEADER_BYTES, hit.length);
    assert.ok(decoded.ok);
    assert.equal(decoded.value.records[0]?.name, 'blue song.mp3');
    assert.equal(decoded.value.port, 6346);
  });

  it('hashes nothing twice: a restart serves at once what was known, under the same index', async () => {
    for (let at = 0; at < 30; at++) folder.write(`share/${at}.txt`);
    const first = await start();
    await settled(first);
    const before = parts(first)
      .library.inOrder()
      .map(({ index, path }) => [index, path]);
    assert.deepEqual([before.length, hashedFiles(first)], [30, 30]);
    await first.stop();
    const second = await start();
    assert.deepEqual(
      parts(second)
        .library.inOrder()
        .map(({ index, path }) => [index, path]),
      before,
    );
    await settled(second);
    assert.equal(hashedFiles(second), 0);
    assert.equal(names(second).length, 30);
  });

  it('notices at the restart what changed, vanished and came meanwhile', async () => {
    const changed = folder.write('share/changed.txt', 'before');
    const touched = folder.write('share/touched.txt');
    folder.write('share/gone/x.txt');
    const first = await start();
    await settled(first);
    const index = (each: Running, name: string): number | undefined =>
      parts(each).library.atPath(join(folder.path, 'share', name))?.index;
    const before = [index(first, 'changed.txt'), index(first, 'touched.txt')];
    await first.stop();
    appendFileSync(changed, ' and after');
    utimesSync(touched, 1, 1);
    rmSync(join(folder.path, 'share/gone'), { recursive: true });
    folder.write('share/new.txt');
    const second = await start();
    await settled(second);
    assert.deepEqual(names(second), ['changed.txt', 'new.txt', 'touched.txt']);
    assert.equal(hashedFiles(second), 3);
    assert.notEqual(index(second, 'changed.txt'), before[0]);
    assert.equal(index(second, 'touched.txt'), before[1]);
    assert.ok(parts(second).library.bySha1(sha1Of('before and after')));
  });

  it('follows changes while it runs: new, renamed, written, removed', async () => {
    folder.write('share/a.txt');
    const node = await start();
    await settled(node);
    folder.write('share/b.txt');
    folder.write('share/new folder/c.txt');
    await waitFor('the new files', () => names(node).join() === 'a.txt,b.txt,c.txt');
    folder.write('share/new folder/d.txt');
    await waitFor('a file in the new folder', () => names(node).includes('d.txt'));
    renameSync(join(folder.path, 'share/a.txt'), join(folder.path, 'share/renamed.txt'));
    appendFileSync(join(folder.path, 'share/b.txt'), 'more');
    await waitFor('the rename', () => names(node).includes('renamed.txt') && !names(node).includes('a.txt'));
    await waitFor('the new content', () => parts(node).library.bySha1(sha1Of('share/b.txtmore')));
    rmSync(join(folder.path, 'share/new folder'), { recursive: true });
    await waitFor('the end of the folder', () => names(node).join() === 'b.txt,renamed.txt');
  });

  it('serves what is left when a share folder vanishes, and all of it again without hashing when it is back', async () => {
    folder.write('share/a.txt');
    folder.write('other/b.txt');
    const node = await start(['share', 'other']);
    await settled(node);
    renameSync(join(folder.path, 'other'), join(folder.path, 'away'));
    await settled(node);
    assert.deepEqual(names(node), ['a.txt']);
    assert.deepEqual(
      parts(node)
        .shares.all()
        .map(({ state }) => state),
      ['served', 'missing'],
    );
    renameSync(join(folder.path, 'away'), join(folder.path, 'other'));
    await settled(node);
    assert.deepEqual(names(node), ['a.txt', 'b.txt']);
    assert.equal(hashedFiles(node), 2);
  });

  it('never shares its own data or what a link leads to', async () => {
    folder.write('outside/secret.txt');
    folder.write('share/a.txt');
    symlinkSync(join(folder.path, 'outside'), join(folder.path, 'share/link'));
    const node = await start(['.']);
    await settled(node);
    assert.deepEqual(names(node), ['a.txt', 'secret.txt']);
    assert.equal(parts(node).library.search('library sqlite', 5).length, 0);
    const paths = [...parts(node).library.all()].map(({ path }) => path);
    assert.deepEqual(
      paths.filter((path) => path.includes('link') || path.includes('/data/')),
      [],
    );
    const { leftOut } = parts(node).scanner;
    assert.deepEqual([leftOut.symlink, leftOut['own-data']], [1, 1]);
  });

  it('hashes a file again that changed while it was hashed', async () => {
    const node = await start();
    await settled(node);
    const path = folder.write('share/growing.bin', 'first');
    parts(node).scanner.hashFailed(path, 'changed', 'told by the test');
    await waitFor('the second attempt', () => parts(node).library.bySha1(sha1Of('first')));
  });

  it('says in a sentence why it cannot start where the data folder cannot be used', async () => {
    folder.write('data', 'a file where the folder should be');
    const node = create();
    const started = Promise.resolve(node.service.component.start?.(new AbortController().signal));
    await assert.rejects(started, /cannot use .*library\.sqlite.*check --data/);
  });

  it('refuses a name that the bus cannot carry', () => {
    const loaded = loadConfig(searchIndexConfig, { env: { FILBERT_LIBRARY_EDGE_ID: 'Not.Good' } });
    assert.ok(!loaded.ok);
    assert.match(loaded.problems.join(), /FILBERT_LIBRARY_EDGE_ID/);
  });

  it('tells its figures as metrics', async () => {
    folder.write('share/a.txt', '12345');
    const node = await start();
    await settled(node);
    const text = await node.metrics.registry.metrics();
    for (const line of [
      'filbert_search_index_shared_files 1',
      'filbert_search_index_shared_bytes 5',
      'filbert_search_index_hashed_files_total 1',
      'filbert_search_index_left_out{reason="hidden"} 0',
      'filbert_search_index_queries_total{result="answered"} 0',
      // The library's own.
      'filbert_search_index_links 1',
      'filbert_search_index_ingress_frames_total{result="shed-query"} 0',
      'filbert_search_index_deliveries_total{result="old-epoch"} 0',
    ]) {
      assert.ok(text.includes(line), line);
    }
    await create().metrics.registry.metrics();
  });

  describe('control', () => {
    let client: Client;
    let node: Running;
    let stopServer: () => Promise<void>;

    async function serve(share?: readonly string[]): Promise<void> {
      node = await start(share);
      await settled(node);
      const server = createRpcServer({
        services: [node.service.control],
        health: createReadiness(),
        logger: silent,
        drainMs: 50,
      });
      client = createRpcClient({ address: await server.start() });
      stopServer = async () => {
        client.close();
        await server.stop();
      };
    }
    afterEach(() => stopServer());
    async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
      const collected: T[] = [];
      for await (const message of messages) collected.push(message);
      return collected;
    }

    it('looks up and lists the library', async () => {
      for (const name of ['a', 'b', 'c']) folder.write(`share/${name}.txt`, name);
      await serve();
      const sha1 = base32Encode(sha1Of('b'));
      for (const text of [sha1, `urn:sha1:${sha1}`]) {
        const { found, file } = await callUnary(
          client,
          SearchServiceService.lookUp,
          { sha1: text, index: 0 },
          { timeoutMs },
        );
        assert.deepEqual([found, file?.name, file?.sha1, file?.size], [true, 'b.txt', sha1, 1]);
      }
      const none = await callUnary(client, SearchServiceService.lookUp, { sha1: '', index: 4711 }, { timeoutMs });
      assert.deepEqual([none.found, none.file], [false, undefined]);
      await assert.rejects(
        callUnary(client, SearchServiceService.lookUp, { sha1: 'rubbish', index: 0 }, { timeoutMs }),
        /is no SHA-1/,
      );
      const listed = await collect(callStream(client, SearchServiceService.browse, { afterIndex: 0 }, { timeoutMs }));
      assert.deepEqual(listed.map(({ file }) => file?.name).sort(), ['a.txt', 'b.txt', 'c.txt']);
      const after = listed[1]?.file?.index ?? 0;
      const rest = await collect(callStream(client, SearchServiceService.browse, { afterIndex: after }, { timeoutMs }));
      assert.equal(rest.length, 1);
      const stats = await callUnary(client, SearchServiceService.getStats, {}, { timeoutMs });
      assert.deepEqual([stats.files, stats.bytes, stats.words], [3, 3, 4]);
    });

    it('looks through the folders when told to, and tells how far it is until all is hashed', async () => {
      folder.write('share/a.txt');
      await serve();
      folder.write('share/b.txt');
      folder.write('share/empty.txt', '');
      const told = await collect(callStream(client, SearchServiceService.rescan, {}, { timeoutMs }));
      assert.deepEqual(names(node), ['a.txt', 'b.txt']);
      const last = told.at(-1)?.progress;
      assert.equal(last?.hashFilesDone, last?.hashFilesTotal);
      assert.deepEqual(last?.leftOut, [{ reason: 'empty', count: 1 }]);
    });

    it('shares a folder that is added, also after a restart, and refuses one that is not there', async () => {
      folder.write('more/c.txt');
      await serve();
      const path = join(folder.path, 'more');
      const added = await callUnary(client, SearchServiceService.addShare, { path }, { timeoutMs });
      assert.deepEqual(added, { added: true, reason: '' });
      await waitFor('its file', () => names(node).includes('c.txt'));
      const again = await callUnary(client, SearchServiceService.addShare, { path }, { timeoutMs });
      assert.match(again.reason, /shared already/);
      const missing = await callUnary(client, SearchServiceService.addShare, { path: `${path}x` }, { timeoutMs });
      assert.match(missing.reason, /does not exist/);
      const listed = await collect(callStream(client, SearchServiceService.listShares, {}, { timeoutMs }));
      assert.deepEqual(listed, [
        { path: join(folder.path, 'share'), state: 'served', files: 0, bytes: 0, configured: true },
        { path, state: 'served', files: 1, bytes: 10, configured: false },
      ]);
      await stopServer();
      await node.stop();
      await serve();
      assert.deepEqual(names(node), ['c.txt']);
      assert.equal(hashedFiles(node), 0);
    });

    it('shares a folder no longer that was added, also after a restart, but not one of its settings', async () => {
      folder.write('more/c.txt');
      folder.write('share/kept.txt');
      await serve();
      const path = join(folder.path, 'more');
      await callUnary(client, SearchServiceService.addShare, { path }, { timeoutMs });
      await waitFor('its file', () => names(node).includes('c.txt'));
      const configured = { path: join(folder.path, 'share') };
      const kept = await callUnary(client, SearchServiceService.removeShare, configured, { timeoutMs });
      assert.match(kept.reason, /by the node's settings \(--share\)/);
      const unknown = { path: join(folder.path, 'nowhere') };
      assert.match(
        (await callUnary(client, SearchServiceService.removeShare, unknown, { timeoutMs })).reason,
        /not shared/,
      );
      const removed = await callUnary(client, SearchServiceService.removeShare, { path }, { timeoutMs });
      assert.deepEqual(removed, { removed: true, reason: '' });
      await waitFor('its file to be gone', () => !names(node).includes('c.txt'));
      assert.deepEqual(names(node), ['kept.txt']);
      await stopServer();
      await node.stop();
      await serve();
      assert.deepEqual(names(node), ['kept.txt']);
      await callUnary(client, SearchServiceService.addShare, { path }, { timeoutMs });
      await waitFor('its file again', () => names(node).includes('c.txt'));
      assert.equal(hashedFiles(node), 0, 'nothing is hashed twice');
    });

    it('searches the network until the time is up', async () => {
      await serve();
      const request = { query: 'blue song', enough: 0, timeoutMs: 50 };
      const told = await collect(callStream(client, SearchServiceService.search, request, { timeoutMs }));
      assert.deepEqual(told, [{ file: undefined, source: undefined, end: searchV1.SearchEnd.SEARCH_END_TIMEOUT }]);
      const bad = callStream(client, SearchServiceService.search, { ...request, query: 'a' }, { timeoutMs });
      await assert.rejects(collect(bad), /at least 3 letters/);
    });
  });
});
