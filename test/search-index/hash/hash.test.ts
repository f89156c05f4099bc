import assert from 'node:assert/strict';
import { appendFileSync, renameSync, symlinkSync, truncateSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { HashedFile } from '../../../services/search-index/src/catalogue/shared-file.ts';
import { hashFile } from '../../../services/search-index/src/hash/hash-file.ts';
import type { HashJob, HashReport } from '../../../services/search-index/src/hash/hash-messages.ts';
import {
  HashPool,
  MAX_QUEUED_FILES,
  STALL_MS,
  type HashPoolOptions,
  type HashThread,
} from '../../../services/search-index/src/hash/hash-pool.ts';
import { systemClock, systemTimers } from '@filbert/kit';
import { FakeClock } from '../../support/fake-clock.ts';
import { waitFor } from '../../support/wait-for.ts';
import { sha1Of, TempFolder } from '../support.ts';

describe('search-index: hashing a file', () => {
  let folder: TempFolder;

  beforeEach(() => {
    folder = new TempFolder();
  });
  afterEach(() => folder.remove());

  function failure(path: string, during: () => void = () => undefined): string {
    let done = false;
    const result = hashFile(path, () => {
      if (!done) during();
      done = true;
    });
    return result.ok ? 'ok' : result.reason;
  }

  it('gives the SHA-1 of all of it', () => {
    const content = Buffer.alloc(700_000, 'filbert');
    const told: number[] = [];
    const result = hashFile(folder.write('a.bin', content), (bytes) => told.push(bytes));
    assert.ok(result.ok);
    assert.deepEqual(Buffer.from(result.sha1), Buffer.from(sha1Of(content)));
    assert.equal(result.sizeBytes, content.length);
    assert.equal(told.at(-1), content.length);
  });

  it('fails when the file grows, shrinks or is written to meanwhile', () => {
    const content = Buffer.alloc(600_000, 1);
    const grown = folder.write('grown', content);
    assert.equal(
      failure(grown, () => appendFileSync(grown, 'more')),
      'changed',
    );
    const shrunk = folder.write('shrunk', content);
    assert.equal(
      failure(shrunk, () => truncateSync(shrunk, 10)),
      'changed',
    );
    const written = folder.write('written', content);
    assert.equal(
      failure(written, () => folder.write('written', Buffer.alloc(600_000, 2))),
      'changed',
    );
  });

  it('never reads a file without end', () => {
    const endless = folder.write('endless', 'x');
    let reads = 0;
    const result = hashFile(endless, () => {
      reads++;
      appendFileSync(endless, Buffer.alloc(300_000));
    });
    assert.equal(result.ok, false);
    assert.ok(reads < 5, `${reads} reads`);
  });

  it('follows no link that took the place of the file or of a folder above it', () => {
    const outside = new TempFolder();
    outside.write('secret.txt');
    symlinkSync(join(outside.path, 'secret.txt'), join(folder.path, 'file'));
    assert.equal(failure(join(folder.path, 'file')), 'not-a-file');
    symlinkSync(outside.path, join(folder.path, 'folder'));
    assert.equal(failure(join(folder.path, 'folder', 'secret.txt')), 'not-a-file');
    assert.equal(failure(folder.path), 'not-a-file');
    outside.remove();
  });

  it('says when the file is gone', () => {
    assert.equal(failure(join(folder.path, 'nowhere')), 'vanished');
  });
});

/** A thread that does what the test says. */
class StandInThread implements HashThread {
  readonly jobs: HashJob[] = [];
  terminated = false;
  #onMessage: (report: HashReport) => void = () => undefined;
  #onError: (error: Error) => void = () => undefined;

  postMessage(job: HashJob): void {
    this.jobs.push(job);
  }

  on(event: string, listener: unknown): void {
    if (event === 'message') this.#onMessage = listener as (report: HashReport) => void;
    else this.#onError = listener as (error: Error) => void;
  }

  terminate(): Promise<void> {
    this.terminated = true;
    return Promise.resolve();
  }

  finish(path: string): void {
    const job = this.jobs.find((each) => each.path === path);
    assert.ok(job);
    this.#onMessage({ kind: 'hashed', id: job.id, sha1: sha1Of(path), sizeBytes: 10, modifiedMs: 1 });
  }

  progress(path: string, bytes: number): void {
    const job = this.jobs.find((each) => each.path === path);
    assert.ok(job);
    this.#onMessage({ kind: 'progress', id: job.id, bytes });
  }

  die(): void {
    this.#onError(new Error('the thread died'));
  }
}

describe('search-index: hash pool', () => {
  let hashed: HashedFile[];
  let failed: string[];
  let idle: number;
  let pools: HashPool[];

  beforeEach(() => {
    hashed = [];
    failed = [];
    idle = 0;
    pools = [];
  });
  afterEach(async () => {
    for (const pool of pools) await pool.stop();
  });

  function pool(changes: Partial<HashPoolOptions> = {}): HashPool {
    const made = new HashPool({
      workers: 1,
      clock: systemClock,
      timers: systemTimers,
      onHashed: (files) => hashed.push(...files),
      onFailed: (path, reason) => failed.push(`${path} ${reason}`),
      onIdle: () => idle++,
      ...changes,
    });
    pools.push(made);
    return made;
  }
  function standIns(changes: Partial<HashPoolOptions> = {}): {
    threads: StandInThread[];
    pool: HashPool;
    clock: FakeClock;
  } {
    const threads: StandInThread[] = [];
    const clock = new FakeClock();
    const createThread = (): StandInThread => {
      const thread = new StandInThread();
      threads.push(thread);
      return thread;
    };
    return { threads, clock, pool: pool({ clock, timers: clock, createThread, ...changes }) };
  }

  it('hashes files in a thread, tells them in groups, and what it cannot', async () => {
    const folder = new TempFolder();
    const paths = Array.from({ length: 50 }, (_, at) => folder.write(`${at}.txt`));
    const gone = folder.write('gone.txt');
    unlinkSync(gone);
    const real = pool();
    for (const path of [...paths, gone]) real.add({ path, sizeBytes: 5 });
    await waitFor('the queue to run empty', () => idle > 0);
    assert.deepEqual(hashed.map(({ path }) => path).sort(), paths.sort());
    for (const file of hashed) {
      assert.deepEqual(Buffer.from(file.sha1), Buffer.from(sha1Of(file.path.slice(folder.path.length + 1))));
    }
    assert.deepEqual(failed, [`${gone} vanished`]);
    assert.deepEqual([real.waiting, real.progress.filesDone, real.progress.filesTotal], [0, 51, 51]);
    assert.equal(idle, 1);
    folder.remove();
  });

  it('tells how far it is, in files and bytes', () => {
    const { threads, pool: standIn } = standIns();
    for (const path of ['/a', '/b']) standIn.add({ path, sizeBytes: 100 });
    const [thread] = threads;
    thread?.progress('/a', 40);
    assert.deepEqual(standIn.progress, { filesTotal: 2, filesDone: 0, bytesTotal: 200, bytesDone: 40 });
    thread?.finish('/a');
    thread?.progress('/b', 50);
    assert.deepEqual(standIn.progress, { filesTotal: 2, filesDone: 1, bytesTotal: 200, bytesDone: 150 });
  });

  it('takes a file once, and no more than its queue holds', () => {
    const { pool: standIn } = standIns();
    standIn.add({ path: '/same', sizeBytes: 1 });
    standIn.add({ path: '/same', sizeBytes: 1 });
    assert.equal(standIn.waiting, 1);
    for (let at = 1; at < MAX_QUEUED_FILES; at++) assert.equal(standIn.add({ path: `/${at}`, sizeBytes: 1 }), true);
    assert.equal(standIn.add({ path: '/one more', sizeBytes: 1 }), false);
    assert.equal(standIn.refused, 1);
  });

  it('gives a thread up that says nothing, and hashes the rest in another', () => {
    const { threads, pool: standIn, clock } = standIns();
    for (const path of ['/hangs', '/b', '/c']) standIn.add({ path, sizeBytes: 1 });
    clock.advance(STALL_MS / 2);
    threads[0]?.progress('/hangs', 1);
    clock.advance(STALL_MS * 0.9);
    assert.deepEqual(failed, []);
    clock.advance(STALL_MS);
    assert.deepEqual(failed, ['/hangs stalled']);
    assert.equal(threads[0]?.terminated, true);
    assert.deepEqual(
      threads[1]?.jobs.map(({ path }) => path),
      ['/b', '/c'],
    );
    threads[1]?.finish('/b');
    threads[1]?.finish('/c');
    clock.advance(1_000);
    assert.deepEqual(
      hashed.map(({ path }) => path),
      ['/b', '/c'],
    );
    assert.equal(idle, 1);
  });

  it('goes on with another thread when one dies', () => {
    const { threads, pool: standIn } = standIns();
    for (const path of ['/a', '/b']) standIn.add({ path, sizeBytes: 1 });
    threads[0]?.die();
    assert.deepEqual(failed, ['/a unreadable']);
    assert.deepEqual(
      threads[1]?.jobs.map(({ path }) => path),
      ['/b'],
    );
  });

  it('uses as many threads as it may, and hands on what is hashed when it stops', async () => {
    const { threads, pool: standIn } = standIns({ workers: 3 });
    for (let at = 0; at < 40; at++) standIn.add({ path: `/${at}`, sizeBytes: 1 });
    assert.equal(threads.length, 3);
    threads[0]?.finish('/0');
    assert.equal(hashed.length, 0);
    await standIn.stop();
    assert.equal(hashed.length, 1);
    assert.deepEqual(
      threads.map(({ terminated }) => terminated),
      [true, true, true],
    );
  });

  it('leaves the event loop its turns while it hashes many files', async () => {
    const folder = new TempFolder();
    const paths = Array.from({ length: 500 }, (_, at) => folder.write(`${at}.bin`, Buffer.alloc(20_000, at)));
    renameSync(paths[0] ?? '', `${paths[0]}x`);
    const real = pool();
    let turns = 0;
    let going = true;
    const turn = (): void => {
      turns++;
      if (going) setImmediate(turn);
    };
    turn();
    for (const path of paths) real.add({ path, sizeBytes: 20_000 });
    await waitFor('the queue to run empty', () => idle > 0);
    going = false;
    assert.equal(hashed.length, 499);
    assert.ok(turns > 50, `${turns} turns`);
    folder.remove();
  });
});
