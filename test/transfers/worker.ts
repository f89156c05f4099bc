// Transfers workers with share folders of their own, as a node has them, in one process.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asSha1, encodeQueryHit, formatSha1Urn, parsePeerAddress, type Sha1 } from '@filbert/gnutella';
import { nodeFactsRequest, type NodeFacts } from '@filbert/contracts';
import { createInProcessBus, createLogger, type Bus } from '@filbert/kit';
import type { SourceFacts } from '../../services/transfers/src/download/source.ts';
import { openSqliteJobStore } from '../../services/transfers/src/jobs/sqlite-job-store.ts';
import type { LibraryAnswer, LibraryFile, LibraryLookup } from '../../services/transfers/src/library.ts';
import { Transfers, type TransfersOptions } from '../../services/transfers/src/transfers.ts';

const cleanups: (() => Promise<void> | void)[] = [];

/** Ends and removes everything that the helpers here made; for `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const work of cleanups.splice(0).reverse()) await work();
}

/** Has `work` done by `cleanUp`. */
export function onCleanUp(work: () => Promise<void> | void): void {
  cleanups.push(work);
}

/** A new folder, removed afterwards. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'filbert-transfers-'));
  onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A library that knows the files that it was told of. */
export class TestLibrary implements LibraryLookup {
  readonly folder = temporaryFolder();
  readonly files: LibraryFile[] = [];
  away = false;

  /** Writes a file into the share folder and catalogues it. */
  add(name: string, content: Uint8Array): LibraryFile {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    const sha1 = asSha1(new Uint8Array(createHash('sha1').update(content).digest()));
    return this.catalogue({ name, path, sha1, sizeBytes: content.length });
  }

  catalogue(facts: Pick<LibraryFile, 'name' | 'path' | 'sha1' | 'sizeBytes'> & Partial<LibraryFile>): LibraryFile {
    const { mtimeMs: modifiedAtMs } = statSync(facts.path);
    const file = { shareFolder: '', ...facts, index: this.files.length + 1, modifiedAtMs };
    this.files.push(file);
    return file;
  }

  bySha1(sha1: Sha1): Promise<LibraryAnswer> {
    return Promise.resolve(this.#answer((file) => Buffer.compare(file.sha1, sha1) === 0));
  }

  byIndex(index: number): Promise<LibraryAnswer> {
    return Promise.resolve(this.#answer((file) => file.index === index));
  }

  browse(offset: number): ReturnType<LibraryLookup['browse']> {
    const file = this.files[offset];
    if (this.away || file === undefined)
      return Promise.resolve(this.away ? undefined : { frames: new Uint8Array(0), nextOffset: 0 });
    const { index, sizeBytes, name, sha1 } = file;
    const frames = encodeQueryHit(
      { guid: new Uint8Array(16).fill(7), ttl: 1 },
      {
        port: 6346,
        ip: 0x7f000001,
        speed: 1,
        records: [{ index, sizeBytes, name, sha1 }],
        serventGuid: new Uint8Array(16).fill(9),
      },
    );
    return Promise.resolve({ frames, nextOffset: offset + 1 < this.files.length ? offset + 1 : 0 });
  }

  #answer(matches: (file: LibraryFile) => boolean): LibraryAnswer {
    if (this.away) return { kind: 'away' };
    const file = this.files.find(matches);
    return file === undefined ? { kind: 'not-shared' } : { kind: 'found', file };
  }
}

export interface Worker {
  readonly transfers: Transfers;
  readonly library: TestLibrary;
  readonly bus: Bus;
  readonly data: string;
  readonly downloads: string;
  /** What others need to fetch from it. */
  readonly source: SourceFacts;
  readonly port: number;
  stop(): Promise<void>;
}

export interface WorkerOptions extends Partial<TransfersOptions> {
  readonly facts?: Partial<NodeFacts>;
  readonly testLibrary?: TestLibrary;
  /** Where its downloads are noted, unless `store` is given. */
  readonly data?: string;
}

/** Starts a worker that listens on a free port of 127.0.0.1. */
export async function startWorker(options: WorkerOptions = {}): Promise<Worker> {
  const { facts, testLibrary: library = new TestLibrary(), data, ...rest } = options;
  const bus = rest.bus ?? createInProcessBus();
  const folder = data ?? temporaryFolder();
  const known = {
    ...emptyFacts(),
    ...facts,
  };
  const facts$ = bus.respond(nodeFactsRequest, () => known);
  const downloads = rest.downloads ?? join(folder, 'downloads');
  const workerId = rest.workerId ?? 'transfers-0';
  const transfers = new Transfers({
    bus,
    logger: createLogger({ level: 'silent', name: 'test' }),
    workerId,
    store: rest.store ?? openSqliteJobStore(join(folder, 'transfers.sqlite'), workerId),
    downloads,
    shareFolders: [library.folder],
    listen: { host: '127.0.0.1', port: 0 },
    internalListen: undefined,
    allowPrivate: true,
    uploadSlots: 20,
    uploadsPerHost: 3,
    uploadRate: 0,
    downloadRate: 0,
    library,
    ...rest,
    timings: {
      connectMs: 2_000,
      headMs: 2_000,
      stallMs: 2_000,
      givMs: 2_000,
      checkpointMs: 50,
      restFactor: 0.001,
      ...rest.timings,
    },
  });
  await transfers.start();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= transfers.stop().then(() => facts$.unsubscribe());
    return stopped;
  };
  onCleanUp(stop);
  const address = parsePeerAddress(transfers.publicAddress);
  const source = { address, serventGuid: undefined, index: 0, firewalled: false };
  return { transfers, library, bus, data: folder, downloads, source, port: address?.port ?? 0, stop };
}

function emptyFacts(): NodeFacts {
  return {
    version: 1,
    serventGuid: new Uint8Array(randomBytes(16)),
    nodeSecret: new Uint8Array(16),
    shards: 1,
    shardMapVersion: 1,
    advertisedAddress: '',
    transfersAddress: '',
    sharedFiles: 0,
    sharedKib: 0,
    hosts: [],
    startedAtMs: 0,
    learnedAddress: '',
    learnedFrom: 0,
    firewalled: false,
  };
}

/** What a person would ask of `worker` to get that file. */
export function requestFor(
  file: LibraryFile,
  sources: readonly SourceFacts[],
): { target: string; sources: readonly SourceFacts[]; name: string; sizeBytes: number } {
  return { target: formatSha1Urn(file.sha1), sources, name: file.name, sizeBytes: file.sizeBytes };
}

/** Names and contents of the finished files of a worker. */
export function finishedFiles(worker: Pick<Worker, 'downloads'>): Map<string, Buffer> {
  const files = readdirSync(worker.downloads, { withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(files.map(({ name }) => [name, readFileSync(join(worker.downloads, name))]));
}

/** Unfinished files of a worker. */
export function partFiles(worker: Pick<Worker, 'downloads'>): string[] {
  return readdirSync(join(worker.downloads, 'incomplete'));
}
