import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { asGuid, asSha1 } from '@filbert/gnutella';
import { libraryBrowse, libraryLookup, transfersSummary, type TransfersSummary } from '@filbert/contracts';
import { createInProcessBus } from '@filbert/kit';
import type { StoredJob } from '../../services/transfers/src/jobs/job-store.ts';
import { openSqliteJobStore } from '../../services/transfers/src/jobs/sqlite-job-store.ts';
import { busLibrary } from '../../services/transfers/src/library.ts';
import { waitFor } from '../support/wait-for.ts';
import { cleanUp, startWorker, temporaryFolder } from './worker.ts';

const SHA1 = asSha1(new Uint8Array(20).fill(7));
const JOB: StoredJob = {
  id: 'a1',
  sha1: SHA1,
  name: 'näme.mp3',
  sizeBytes: 6 * 2 ** 30,
  sizeIsLearned: true,
  state: 'disk-full',
  reason: 'the disk is full',
  ranges: [
    { start: 0, end: 10 },
    { start: 5 * 2 ** 30, end: 5 * 2 ** 30 + 1 },
  ],
  sources: [
    { address: { host: '203.0.114.1', port: 6346 }, serventGuid: undefined, index: 0, firewalled: false },
    {
      address: { host: '2001:4860::1', port: 1 },
      serventGuid: asGuid(new Uint8Array(16).fill(3)),
      index: 9,
      firewalled: true,
    },
    { address: undefined, serventGuid: asGuid(new Uint8Array(16).fill(4)), index: 2 ** 32 - 1, firewalled: true },
  ],
  contributors: ['203.0.114.1:6346', '03'.repeat(16)],
  oneSourceOnly: true,
  path: '/downloads/näme.mp3',
  createdAtMs: 1_700_000_000_000,
  finishedAtMs: 0,
};

describe('transfers: job store', () => {
  afterEach(cleanUp);

  it('gives back over a restart what was put', async () => {
    const file = join(temporaryFolder(), 'transfers.sqlite');
    const store = openSqliteJobStore(file, 'w');
    const unknown = {
      ...JOB,
      id: 'b2',
      sizeBytes: undefined,
      ranges: [],
      sources: [],
      contributors: [],
      createdAtMs: JOB.createdAtMs + 1,
    };
    await store.put({ ...JOB, reason: 'before' });
    await store.put(JOB);
    await store.put(unknown);
    await store.close();
    const again = openSqliteJobStore(file, 'w');
    assert.deepEqual(await again.list(), [JOB, unknown]);
    await again.remove('a1');
    assert.deepEqual(await again.list(), [unknown]);
    await again.close();
  });

  it('shows a worker its own jobs only', async () => {
    const file = join(temporaryFolder(), 'transfers.sqlite');
    const [one, other] = [openSqliteJobStore(file, 'one'), openSqliteJobStore(file, 'other')];
    await one.put(JOB);
    assert.deepEqual(await other.list(), []);
    await other.remove(JOB.id);
    assert.equal((await one.list()).length, 1);
    await one.close();
    await other.close();
  });

  it('passes over rows that make no sense', async () => {
    const file = join(temporaryFolder(), 'transfers.sqlite');
    const store = openSqliteJobStore(file, 'w');
    await store.put(JOB);
    await store.put({ ...JOB, id: 'c3' });
    const database = new DatabaseSync(file);
    database.exec("UPDATE downloads SET state = 'dancing' WHERE id = 'a1'");
    database.exec("UPDATE downloads SET sources = 'x y z', ranges = x'0102' WHERE id = 'c3'");
    database.close();
    const jobs = await store.list();
    assert.deepEqual(
      jobs.map(({ id, sources, ranges }) => ({ id, sources, ranges })),
      [{ id: 'c3', sources: [], ranges: [] }],
    );
    await store.close();
  });
});

describe('transfers: library over the bus', () => {
  it('finds files by hash and by index, and tells silence from absence', async () => {
    const bus = createInProcessBus();
    const library = busLibrary(bus);
    assert.deepEqual(await library.bySha1(SHA1), { kind: 'away' });
    assert.equal(await library.browse(0), undefined);
    const reply = {
      found: true,
      index: 4,
      name: 'x',
      size: 3,
      sha1: SHA1,
      path: '/x',
      modifiedAtMs: 5,
      shareFolder: '/',
    };
    bus.respond(libraryLookup, ({ sha1, index }) =>
      index === 4 || sha1.length > 0 ? reply : { ...reply, found: false },
    );
    bus.respond(libraryBrowse, ({ offset }) => ({ frames: new Uint8Array(offset), nextOffset: 0 }));
    const file = { index: 4, name: 'x', sizeBytes: 3, sha1: SHA1, path: '/x', modifiedAtMs: 5, shareFolder: '/' };
    assert.deepEqual(await library.bySha1(SHA1), { kind: 'found', file });
    assert.deepEqual(await library.byIndex(4), { kind: 'found', file });
    assert.deepEqual(await library.byIndex(5), { kind: 'not-shared' });
    assert.equal((await library.browse(2))?.frames.length, 2);
    await bus.drain();
  });
});

describe('transfers: heartbeat', () => {
  afterEach(cleanUp);

  it('tells edges where to hand connections over, and that it drains', async () => {
    const bus = createInProcessBus();
    const beats: TransfersSummary[] = [];
    bus.subscribe(transfersSummary, (beat) => beats.push(beat));
    const worker = await startWorker({ bus, internalListen: { host: '127.0.0.1', port: 0 } });
    const first = await waitFor('a heartbeat', () => beats[0]);
    assert.equal(first.internalAddress, worker.transfers.internalAddress);
    assert.equal(first.publicAddress, `127.0.0.1:${worker.port}`);
    assert.equal(first.freeSlots, 20);
    await worker.transfers.drain();
    await waitFor('the drain', () => beats.at(-1)?.draining);
  });
});
