import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { asSha1 } from '@filbert/gnutella';
import { libraryBrowse, libraryLookup, transfersSummary, type TransfersSummary } from '@filbert/contracts';
import { createInProcessBus } from '@filbert/kit';
import { openSqliteJobStore } from '../../services/transfers/src/jobs/sqlite-job-store.ts';
import { busLibrary } from '../../services/transfers/src/library.ts';
import { waitFor } from '../support/wait-for.ts';
import { JOB } from './jobs/contract.ts';
import { cleanUp, startWorker, temporaryFolder } from './worker.ts';

const SHA1 = asSha1(new Uint8Array(20).fill(7));
describe('transfers: job store in SQLite', () => {
  afterEach(cleanUp);

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
    assert.equal(store.counters.unreadable, 1);
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
