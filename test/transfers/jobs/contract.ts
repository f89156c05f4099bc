// What every job store does, whatever it keeps the jobs in.
import assert from 'node:assert/strict';
import { asGuid, asSha1 } from '@filbert/gnutella';
import type { JobStore, StoredJob } from '../../../services/transfers/src/jobs/job-store.ts';

/** A job with something in every field. */
export const JOB: StoredJob = {
  id: 'a1',
  sha1: sha1Of(7),
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
  part: '',
  partIsShared: false,
};

export function sha1Of(byte: number): StoredJob['sha1'] {
  return asSha1(new Uint8Array(20).fill(byte));
}

/** Nothing known but the hash. */
const BARE: StoredJob = {
  ...JOB,
  id: 'b2',
  sha1: sha1Of(8),
  sizeBytes: undefined,
  state: 'active',
  ranges: [],
  sources: [],
  contributors: [],
  createdAtMs: JOB.createdAtMs + 1,
};

/** Runs the suite. @param open a store over the same storage each time, for the worker of that name */
export function jobStoreContract(title: string, open: (worker: string) => Promise<JobStore>): void {
  describe(`transfers: job store, ${title}`, () => {
    let store: JobStore;
    const reopen = async (worker = 'w'): Promise<void> => {
      await store.close();
      store = await open(worker);
    };

    beforeEach(async () => {
      store = await open('w');
      for (const { id } of await store.list()) await store.remove(id);
    });
    afterEach(() => store.close());

    it('gives back over a restart what was noted last, the oldest first', async () => {
      await store.create(BARE);
      await store.create({ ...JOB, reason: 'before' });
      await store.put(JOB);
      await reopen();
      assert.deepEqual(await store.list(), [JOB, BARE]);
      await store.put({ ...BARE, name: 'renamed' });
      await reopen();
      assert.deepEqual(await store.list(), [JOB, { ...BARE, name: 'renamed' }]);
    });

    it('forgets what was removed', async () => {
      await store.create(JOB);
      await store.create(BARE);
      await store.remove(JOB.id);
      await reopen();
      assert.deepEqual(await store.list(), [BARE]);
      await store.create(JOB);
      assert.equal((await store.list()).length, 2);
    });

    it('keeps finished jobs, and takes a new one of the same file', async () => {
      const finished: StoredJob = { ...JOB, state: 'completed', finishedAtMs: JOB.createdAtMs + 5 };
      await store.create(JOB);
      await store.put(finished);
      await store.put({ ...finished, reason: 'again' });
      const anew: StoredJob = { ...JOB, id: 'z9', createdAtMs: JOB.createdAtMs + 9 };
      await store.create(anew);
      await reopen();
      assert.deepEqual(await store.list(), [{ ...finished, reason: 'again' }, anew]);
      await store.remove(finished.id);
      await reopen();
      assert.deepEqual(await store.list(), [anew]);
    });

    it('takes the writes of one job in their order, however many are under way', async () => {
      await store.create(BARE);
      await Promise.all(Array.from({ length: 30 }, (_, i) => store.put({ ...BARE, reason: String(i) })));
      await reopen();
      assert.equal((await store.list())[0]?.reason, '29');
    });

    it('shows a worker its own jobs only', async () => {
      await store.create(JOB);
      const other = await open('other');
      assert.deepEqual(await other.list(), []);
      await other.close();
      assert.deepEqual(await store.list(), [JOB]);
    });
  });
}
