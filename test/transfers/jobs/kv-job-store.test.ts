import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connectNatsKeyValue, createLogger, type KvBucket } from '@filbert/kit';
import type { JobStore, StoredJob } from '../../../services/transfers/src/jobs/job-store.ts';
import { MAX_RECORD_BYTES } from '../../../services/transfers/src/jobs/job-records.ts';
import { KvJobStore } from '../../../services/transfers/src/jobs/kv-job-store.ts';
import { MAX_TAKEOVERS_PER_LOOK } from '../../../services/transfers/src/jobs/takeovers.ts';
import { decodeJob, encodeJob } from '../../../services/transfers/src/jobs/stored-download.ts';
import { MAX_RANGES } from '../../../services/transfers/src/download/range-set.ts';
import { MAX_SOURCES } from '../../../services/transfers/src/download/source-pool.ts';
import { type NatsServer, startNatsServer } from '../../support/nats-server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { cleanUp, temporaryFolder } from '../worker.ts';
import { JOB, jobStoreContract, sha1Of } from './contract.ts';

const TIMINGS = { leaseMs: 600, renewMs: 100, lookMs: 100 };
const logger = createLogger({ level: 'silent', name: 'test' });

let server: NatsServer;
let folder = '';

interface WorkerOptions {
  readonly downloads?: string;
  readonly url?: string;
  readonly renewMs?: number;
}

function storeOf(worker: string, options: WorkerOptions = {}): KvJobStore {
  return new KvJobStore({
    connect: (signal) =>
      connectNatsKeyValue({
        servers: options.url ?? server.url,
        name: worker,
        reconnectWaitMs: 10,
        reconnectJitterMs: 0,
        ...(signal === undefined ? {} : { signal }),
      }),
    worker,
    downloads: options.downloads ?? folder,
    holder: randomBytes(8).toString('hex'),
    logger,
    timings: { ...TIMINGS, ...(options.renewMs === undefined ? {} : { renewMs: options.renewMs }) },
  });
}

before(async () => {
  server = await startNatsServer({ jetStream: true });
  folder = temporaryFolder();
});

after(async () => {
  await server.stop();
  await cleanUp();
});

jobStoreContract('JetStream', async (worker) => {
  const store = storeOf(worker);
  await store.open();
  return store;
});

/** A worker that has taken up its downloads and follows the others. */
class Follower {
  readonly store: KvJobStore;
  readonly taken: StoredJob[] = [];
  readonly lost: string[] = [];
  capacity = 1_000;

  constructor(store: KvJobStore) {
    this.store = store;
  }

  static async start(worker: string, options: WorkerOptions = {}): Promise<Follower> {
    const one = new Follower(storeOf(worker, options));
    await one.store.open();
    opened.push(one.store);
    one.taken.push(...(await one.store.list()));
    one.store.follow({
      room: () => one.capacity - one.taken.length,
      taken: (job) => one.taken.push(job),
      lost: (id) => one.lost.push(id),
    });
    return one;
  }

  get ids(): string[] {
    return this.taken.map(({ id }) => id);
  }
}

const opened: JobStore[] = [];

/** A worker that seems to be dead: its lease runs out, for it does not come to renew it. */
async function deadWorker(name: string, jobs: readonly StoredJob[], downloads = folder): Promise<KvJobStore> {
  const store = storeOf(name, { downloads, renewMs: 60_000 });
  await store.open();
  opened.push(store);
  for (const job of jobs) await store.create(job);
  return store;
}

async function withBucket<T>(name: string, work: (bucket: KvBucket) => Promise<T>): Promise<T> {
  const kv = await connectNatsKeyValue({ servers: server.url, name: 'test' });
  try {
    return await work(await kv.openBucket({ name, maxValueBytes: MAX_RECORD_BYTES, maxBytes: 2 ** 20 }));
  } finally {
    await kv.close();
  }
}

const records = <T>(work: (bucket: KvBucket) => Promise<T>): Promise<T> => withBucket('filbert-downloads', work);

function jobsOf(count: number): StoredJob[] {
  return Array.from({ length: count }, (_, i) => ({ ...JOB, id: `job-${i}`, sha1: sha1Of(100 + i), state: 'active' }));
}

async function clearRecords(): Promise<void> {
  await records(async (bucket) => {
    for (const { key, revision } of await bucket.list()) await bucket.delete(key, revision);
  });
}

describe('transfers: downloads of a worker that is gone', () => {
  beforeEach(clearRecords);
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });

  it('go to exactly one of the others each, and to all of them in turn', async () => {
    const jobs = jobsOf(3 * MAX_TAKEOVERS_PER_LOOK);
    await deadWorker('dead', jobs);
    const others = await Promise.all(['one', 'two', 'three'].map((name) => Follower.start(name)));
    const all = (): string[] => others.flatMap(({ ids }) => ids);
    await waitFor('the takeover', () => all().length >= jobs.length);
    assert.deepEqual(all().sort(), jobs.map(({ id }) => id).sort());
    for (const { ids, store } of others) {
      assert.ok(ids.length > 0, 'each has some');
      assert.equal(store.counters.takenOver, ids.length);
    }
    for (const job of others.flatMap(({ taken }) => taken)) {
      assert.ok(job.partIsShared, 'the dead worker may still have the part file open');
      assert.deepEqual(job.ranges, JOB.ranges);
    }
  });

  it('are known to the others as they were noted last, before anybody takes them over', async () => {
    const jobs = jobsOf(2);
    await deadWorker('dead', jobs);
    const other = await Follower.start('other');
    await other.store.create({ ...JOB, id: 'own' });
    const known = await other.store.others();
    assert.deepEqual(known.map(({ worker, job }) => [worker, job.id]).sort(), [
      ['dead', 'job-0'],
      ['dead', 'job-1'],
    ]);
    assert.deepEqual(known[0]?.job.ranges, JOB.ranges);
  });

  it('are refused to it when it comes back, and left alone', async () => {
    const [job] = jobsOf(1);
    assert.ok(job);
    const dead = await deadWorker('dead', [job]);
    const lost: string[] = [];
    dead.follow({ room: () => 0, taken: () => undefined, lost: (id) => lost.push(id) });
    const other = await Follower.start('other');
    await waitFor('the takeover', () => other.ids.length > 0);
    await assert.rejects(dead.put({ ...job, reason: 'stale' }), { code: 'download-taken-away' });
    await assert.rejects(dead.put({ ...job, state: 'completed' }), { code: 'download-taken-away' });
    await assert.rejects(dead.remove(job.id), { code: 'download-taken-away' });
    assert.deepEqual(lost, [job.id]);
    assert.equal(dead.counters.takenAway, 1);
    await dead.close();
    await other.store.put({ ...job, reason: 'fresh' });
    const kept = await records((bucket) => bucket.list());
    assert.equal(kept.length, 1);
    assert.equal(decodeJob(kept[0]?.value ?? new Uint8Array())?.job.reason, 'fresh');
  });

  it('are dropped by it as soon as it notices that its lease had ended, without a write', async () => {
    const [job] = jobsOf(1);
    assert.ok(job);
    const sleeper = await Follower.start('sleeper', { renewMs: 4 * TIMINGS.leaseMs });
    await sleeper.store.create(job);
    const other = await Follower.start('other');
    await waitFor('the takeover', () => other.ids.length > 0);
    await waitFor('the loss', () => sleeper.lost.length > 0);
    assert.deepEqual([sleeper.lost, sleeper.store.counters.takenAway], [[job.id], 1]);
  });

  it('stay where the bytes are: with another downloads folder nobody takes them', async () => {
    const elsewhere = temporaryFolder();
    await deadWorker('dead', jobsOf(2), elsewhere);
    const near = await Follower.start('near', { downloads: elsewhere });
    near.capacity = 1;
    const far = await Follower.start('far');
    await waitFor('the takeover', () => near.ids.length === 1);
    // Far has had as many looks at them as near.
    await waitFor('a look of far', () => records(async (bucket) => (await bucket.list()).length === 2));
    const again = await Follower.start('dead', { downloads: elsewhere });
    assert.equal(again.ids.length, 1, 'it takes up itself what is left');
    assert.deepEqual(far.ids, []);
  });

  it('are taken over without a copy where it has put them away, and soon', async () => {
    const [job] = jobsOf(1);
    assert.ok(job);
    const other = await Follower.start('other');
    const leaving = await Follower.start('leaving');
    await leaving.store.create(job);
    const before = performance.now();
    await leaving.store.close();
    const [taken] = await waitFor('the takeover', () => (other.taken.length > 0 ? other.taken : undefined));
    assert.ok(performance.now() - before < 2_000);
    assert.equal(taken?.partIsShared, false);
  });

  it('go back to it where it was only started again', async () => {
    const jobs = jobsOf(2);
    await deadWorker('again', jobs);
    const again = await Follower.start('again');
    assert.deepEqual(again.ids.sort(), ['job-0', 'job-1']);
    assert.ok(again.taken.every(({ partIsShared }) => !partIsShared));
  });

  it('go to a second process of the same name, and the first starts no more', async () => {
    const [job] = jobsOf(1);
    assert.ok(job);
    const first = await Follower.start('twin');
    await first.store.create(job);
    const second = await Follower.start('twin');
    assert.deepEqual(second.ids, [job.id]);
    await waitFor('the first to notice', () => first.lost.length > 0);
    await assert.rejects(first.store.create({ ...job, id: 'new', sha1: sha1Of(200) }), {
      code: 'jobs-unavailable',
      message: 'another process runs under the name twin',
    });
    await second.store.put({ ...job, reason: 'second' });
    await second.store.close();
    // The name is free again.
    await waitFor('the first to start one', () =>
      first.store.create({ ...job, id: 'new', sha1: sha1Of(200) }).then(
        () => true,
        () => false,
      ),
    );
  });

  it('are listed by another when they are finished', async () => {
    const [job] = jobsOf(1);
    assert.ok(job);
    const leaving = await Follower.start('leaving');
    await leaving.store.create(job);
    await leaving.store.put({ ...job, state: 'completed', path: '/x' });
    const other = await Follower.start('other');
    await leaving.store.close();
    await waitFor('the takeover', () => other.ids.length > 0);
    assert.deepEqual([other.taken[0]?.state, other.taken[0]?.path], ['completed', '/x']);
  });

  it('are cleared up where it ended between finishing one and removing the unfinished', async () => {
    const [job] = jobsOf(1);
    assert.ok(job);
    await deadWorker('dead', [job]);
    const done: StoredJob = { ...job, state: 'completed' };
    await records(async (bucket) => {
      const [unfinished] = await bucket.list();
      assert.ok(unfinished);
      const { owner } = decodeJob(unfinished.value) ?? {};
      assert.ok(owner);
      await bucket.create(`finished.${job.id}`, encodeJob(done, owner));
    });
    const other = await Follower.start('other');
    await waitFor('the takeover', () => other.ids.length > 0);
    assert.deepEqual(other.taken, [done]);
    const kept = await records((bucket) => bucket.list());
    assert.deepEqual(
      kept.map(({ key }) => key),
      [`finished.${job.id}`],
    );
  });
});

describe('transfers: one download of a file over all workers', () => {
  beforeEach(clearRecords);
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });

  it('is started once, and the other workers are told who has it', async () => {
    const workers = await Promise.all(['one', 'two', 'three'].map((name) => Follower.start(name)));
    const starts = await Promise.allSettled(workers.map(({ store }, i) => store.create({ ...JOB, id: `try-${i}` })));
    const winner = starts.findIndex(({ status }) => status === 'fulfilled');
    assert.equal(starts.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const start of starts) {
      if (start.status === 'fulfilled') continue;
      assert.ok(start.reason instanceof Error);
      assert.match(
        start.reason.message,
        new RegExp(`^${['one', 'two', 'three'][winner] ?? ''} has .*: try-${winner}$`),
      );
    }
    await workers[winner]?.store.remove(`try-${winner}`);
    const [loser] = workers.filter((_, i) => i !== winner);
    await loser?.store.create({ ...JOB, id: 'later' });
  });

  it('is not kept from starting by a record that cannot be read elsewhere', async () => {
    await records((bucket) => bucket.create('unfinished.NOTHING', Buffer.from('nonsense')));
    await records((bucket) => bucket.create('finished.x', new Uint8Array(1000)));
    const worker = await Follower.start('one');
    assert.deepEqual(worker.ids, []);
    assert.ok(worker.store.counters.unreadable >= 2);
    await worker.store.create(JOB);
  });

  it('fits into its record, however much there is to say', () => {
    const most: StoredJob = {
      ...JOB,
      reason: 'x'.repeat(100_000),
      path: `/${'p'.repeat(4095)}`,
      ranges: Array.from({ length: MAX_RANGES }, (_, i) => ({ start: 2 ** 50 + 2 * i, end: 2 ** 50 + 2 * i + 1 })),
      sources: Array.from({ length: MAX_SOURCES }, () => JOB.sources[1]).filter((source) => source !== undefined),
      contributors: Array.from({ length: 5_000 }, () => '[2001:4860:1111:2222:3333:4444:5555:6666]:12345'),
    };
    const owner = { worker: 'w'.repeat(255), holder: 'h'.repeat(16), folder: 'f'.repeat(32) };
    const bytes = encodeJob(most, owner);
    assert.ok(bytes.length < MAX_RECORD_BYTES, `${bytes.length} bytes`);
    assert.equal(decodeJob(bytes)?.job.ranges.length, MAX_RANGES);
  });

  it('is not read from a record that leads out of the folder', () => {
    const owner = { worker: 'w', holder: 'h', folder: 'f' };
    assert.ok(decodeJob(encodeJob(JOB, owner)));
    assert.equal(decodeJob(encodeJob({ ...JOB, name: '../x' }, owner)), undefined);
    assert.equal(decodeJob(encodeJob({ ...JOB, part: '/../x' }, owner)), undefined);
    assert.equal(decodeJob(Buffer.from([255, 255, 255])), undefined);
  });
});

describe('transfers: downloads while NATS is away', () => {
  let own: NatsServer;

  beforeEach(async () => {
    own = await startNatsServer({ jetStream: true });
  });

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
    await own.stop();
  });

  it('cannot be started or noted, and are there again with everything after a server was killed', async () => {
    const worker = await Follower.start('one', { url: own.url });
    const other = await Follower.start('two', { url: own.url });
    const jobs = jobsOf(3);
    for (const job of jobs) await worker.store.create(job);
    await own.kill();
    await waitFor('the loss of NATS', () =>
      worker.store.create({ ...JOB, id: 'new' }).then(
        () => false,
        (error: unknown) => error instanceof Error && 'code' in error && error.code === 'jobs-unavailable',
      ),
    );
    await assert.rejects(worker.store.put({ ...JOB, id: 'job-0', sha1: sha1Of(100) }), { code: 'jobs-unavailable' });
    await own.restart();
    const note = { ...JOB, id: 'job-0', sha1: sha1Of(100), state: 'active' as const, reason: 'after' };
    await waitFor('NATS', () =>
      worker.store.put(note).then(
        () => true,
        () => false,
      ),
    );
    // Longer than leases last: nobody takes the loss of NATS for the death of a worker.
    const until = performance.now() + 2 * TIMINGS.leaseMs;
    await waitFor('some looks', () => performance.now() > until);
    assert.deepEqual(other.ids, []);
    assert.deepEqual(worker.lost, []);
    await worker.store.close();
    const again = await Follower.start('one', { url: own.url });
    assert.deepEqual(again.ids.filter((id) => id !== 'job-0').sort(), ['job-1', 'job-2']);
    assert.equal(again.taken.find(({ id }) => id === 'job-0')?.reason, 'after');
  });

  it('do not keep a worker from ending, and go back to it', async () => {
    const worker = await Follower.start('one', { url: own.url });
    for (const job of jobsOf(2)) await worker.store.create(job);
    await own.kill();
    // Nothing of it goes on: this run would not end.
    await worker.store.close();
    await own.restart();
    const again = await Follower.start('one', { url: own.url });
    assert.equal(again.ids.length, 2);
  });

  it('are put back on record where the server has lost its disk', async () => {
    const worker = await Follower.start('one', { url: own.url });
    const [job] = jobsOf(1);
    assert.ok(job);
    await worker.store.create(job);
    await own.stop();
    const empty = await startNatsServer({ jetStream: true, port: own.port });
    try {
      await waitFor('the note', () =>
        worker.store.put({ ...job, reason: 'kept' }).then(
          () => true,
          () => false,
        ),
      );
      assert.deepEqual(worker.lost, []);
      await Promise.all(opened.splice(0).map((store) => store.close()));
      const again = await Follower.start('one', { url: empty.url });
      assert.equal(again.taken[0]?.reason, 'kept');
      await Promise.all(opened.splice(0).map((store) => store.close()));
    } finally {
      await empty.stop();
    }
  });
});
