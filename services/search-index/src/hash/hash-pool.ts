import { Worker } from 'node:worker_threads';
import { asSha1 } from '@filbert/gnutella';
import type { Clock, TimerHandle, Timers } from '@filbert/kit';
import type { HashedFile } from '../catalogue/shared-file.ts';
import type { HashFailure, HashJob, HashReport } from './hash-messages.ts';

/** Files that wait to be hashed; those beyond it are found again by a later look through the folders. */
export const MAX_QUEUED_FILES = 100_000;
/** Jobs that a thread has at one time: the next is there when one is done, and no more are lost with the thread. */
const JOBS_PER_WORKER = 4;
/** A thread that reports nothing for this long hangs in a file system and is given up. */
export const STALL_MS = 120_000;
const STALL_CHECK_MS = 5_000;
/** Hashed files are handed on in groups: after so many, or so long after the first. */
export const GROUP_FILES = 200;
export const GROUP_MS = 250;
/** Reports that are taken in one turn of the event loop; further jobs wait for the next turn. */
const REPORTS_PER_TURN = 16;

/** A file to be hashed, as the walker saw it. */
export interface FileToHash {
  readonly path: string;
  readonly sizeBytes: number;
}

/** A thread that takes `HashJob`s and answers with `HashReport`s. */
export interface HashThread {
  postMessage(job: HashJob): void;
  on(event: 'message', listener: (report: HashReport) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  terminate(): Promise<unknown>;
}

export interface HashPoolOptions {
  readonly workers: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly onHashed: (files: readonly HashedFile[]) => void;
  readonly onFailed: (path: string, reason: HashFailure, detail: string) => void;
  /** Called each time the queue has run empty. */
  readonly onIdle: () => void;
  /** Default: a worker thread with `hash-worker.ts`. */
  readonly createThread?: () => HashThread;
}

interface Running {
  readonly file: FileToHash;
  readonly worker: PoolWorker;
  bytes: number;
}

interface PoolWorker {
  readonly thread: HashThread;
  readonly jobs: Set<number>;
  heardMs: number;
}

/** How far hashing is since the queue was last empty. */
export interface HashProgress {
  readonly filesTotal: number;
  readonly filesDone: number;
  readonly bytesTotal: number;
  readonly bytesDone: number;
}

/** Hashes files in threads, first come first served; the service's own thread only passes messages. */
export class HashPool {
  /** Files that found the queue full. */
  refused = 0;
  readonly failures: Record<HashFailure, number> = {
    changed: 0,
    vanished: 0,
    unreadable: 0,
    'not-a-file': 0,
    stalled: 0,
  };
  /** Since the start. */
  filesHashed = 0;
  bytesHashed = 0;
  readonly #options: HashPoolOptions;
  readonly #queue: FileToHash[] = [];
  #head = 0;
  /** Paths of the files that count as waiting. */
  readonly #pending = new Set<string>();
  readonly #running = new Map<number, Running>();
  readonly #workers: PoolWorker[] = [];
  #nextId = 1;
  #group: HashedFile[] = [];
  #groupTimer: TimerHandle | undefined;
  #stallTimer: TimerHandle | undefined;
  #reports = 0;
  #turn: NodeJS.Immediate | undefined;
  #stopped = false;
  #busy = false;
  #progress = { filesTotal: 0, filesDone: 0, bytesTotal: 0, bytesDone: 0 };

  constructor(options: HashPoolOptions) {
    this.#options = options;
  }

  /** Files that wait, are being hashed, or are about to be handed on. */
  get waiting(): number {
    return this.#pending.size;
  }

  get isIdle(): boolean {
    return this.#pending.size === 0;
  }

  get progress(): HashProgress {
    let bytesDone = this.#progress.bytesDone;
    for (const { bytes } of this.#running.values()) bytesDone += bytes;
    return { ...this.#progress, bytesDone };
  }

  /** Adds a file unless it is there already. @returns false where the queue is full */
  add(file: FileToHash): boolean {
    if (this.#stopped || this.#pending.has(file.path)) return true;
    if (this.#pending.size >= MAX_QUEUED_FILES) {
      this.refused++;
      return false;
    }
    if (this.isIdle) this.#progress = { filesTotal: 0, filesDone: 0, bytesTotal: 0, bytesDone: 0 };
    this.#busy = true;
    this.#pending.add(file.path);
    this.#queue.push(file);
    this.#progress.filesTotal++;
    this.#progress.bytesTotal += file.sizeBytes;
    this.#dispatch();
    return true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const { timers } = this.#options;
    timers.clearTimeout(this.#groupTimer);
    timers.clearTimeout(this.#stallTimer);
    clearImmediate(this.#turn);
    // What is hashed already need not be hashed again.
    this.#flush();
    await Promise.all(this.#workers.splice(0).map(({ thread }) => thread.terminate()));
  }

  #dispatch(): void {
    if (this.#stopped) return;
    while (this.#head < this.#queue.length) {
      const worker = this.#freeWorker();
      if (worker === undefined) return;
      const file = this.#queue[this.#head++] as FileToHash;
      if (this.#head > 1_000 && this.#head * 2 > this.#queue.length) {
        this.#queue.splice(0, this.#head);
        this.#head = 0;
      }
      const id = this.#nextId++;
      this.#running.set(id, { file, worker, bytes: 0 });
      if (worker.jobs.size === 0) worker.heardMs = this.#options.clock.monotonic();
      worker.jobs.add(id);
      worker.thread.postMessage({ id, path: file.path });
    }
  }

  #freeWorker(): PoolWorker | undefined {
    const free = this.#workers.find(({ jobs }) => jobs.size < JOBS_PER_WORKER);
    if (free !== undefined || this.#workers.length >= this.#options.workers) return free;
    const thread = (this.#options.createThread ?? hashThread)();
    const worker: PoolWorker = { thread, jobs: new Set(), heardMs: this.#options.clock.monotonic() };
    thread.on('message', (report) => this.#onReport(worker, report));
    thread.on('error', (error) => this.#giveUp(worker, 'unreadable', error.message));
    this.#workers.push(worker);
    this.#watchStalls();
    return worker;
  }

  #onReport(worker: PoolWorker, report: HashReport): void {
    const running = this.#running.get(report.id);
    if (running === undefined || this.#stopped) return;
    worker.heardMs = this.#options.clock.monotonic();
    if (report.kind === 'progress') {
      running.bytes = report.bytes;
      return;
    }
    const { file } = running;
    if (report.kind === 'hashed') {
      this.#end(report.id, running);
      this.filesHashed++;
      this.bytesHashed += report.sizeBytes;
      const { sizeBytes, modifiedMs } = report;
      this.#group.push({ path: file.path, sizeBytes, modifiedMs, sha1: asSha1(report.sha1) });
      if (this.#group.length >= GROUP_FILES) this.#flush();
      else this.#groupTimer ??= this.#options.timers.setTimeout(() => this.#flush(), GROUP_MS);
    } else {
      this.#fail(report.id, running, report.reason, report.detail);
    }
    this.#goOn();
  }

  /** Sends further jobs: at once, or in the next turn of the event loop where this one had its share. */
  #goOn(): void {
    if (++this.#reports <= REPORTS_PER_TURN) this.#dispatch();
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#reports = 0;
      this.#dispatch();
    });
    this.#idleIfDone();
  }

  #fail(id: number, running: Running, reason: HashFailure, detail: string): void {
    this.#end(id, running);
    this.#pending.delete(running.file.path);
    this.failures[reason]++;
    this.#options.onFailed(running.file.path, reason, detail);
  }

  #end(id: number, { file, worker }: Running): void {
    this.#running.delete(id);
    worker.jobs.delete(id);
    this.#progress.filesDone++;
    this.#progress.bytesDone += file.sizeBytes;
  }

  #flush(): void {
    this.#options.timers.clearTimeout(this.#groupTimer);
    this.#groupTimer = undefined;
    const group = this.#group;
    this.#group = [];
    for (const { path } of group) this.#pending.delete(path);
    if (group.length > 0) this.#options.onHashed(group);
    this.#idleIfDone();
  }

  #idleIfDone(): void {
    if (this.#stopped || !this.isIdle || !this.#busy) return;
    this.#busy = false;
    this.#options.onIdle();
  }

  #watchStalls(): void {
    if (this.#stallTimer !== undefined || this.#stopped) return;
    this.#stallTimer = this.#options.timers.setTimeout(() => {
      this.#stallTimer = undefined;
      const oldest = this.#options.clock.monotonic() - STALL_MS;
      for (const worker of this.#workers.filter(({ jobs, heardMs }) => jobs.size > 0 && heardMs < oldest)) {
        this.#giveUp(worker, 'stalled', 'the file system does not answer');
      }
      if (this.#workers.length > 0) this.#watchStalls();
    }, STALL_CHECK_MS);
    this.#stallTimer.unref();
  }

  /** Ends a thread: the file that it was at has failed, the others are hashed by another. */
  #giveUp(worker: PoolWorker, reason: HashFailure, detail: string): void {
    const at = this.#workers.indexOf(worker);
    if (at < 0) return;
    this.#workers.splice(at, 1);
    void worker.thread.terminate();
    const [current, ...others] = worker.jobs;
    for (const id of others) {
      const running = this.#running.get(id);
      if (running === undefined) continue;
      this.#running.delete(id);
      this.#queue.push(running.file);
    }
    const running = current === undefined ? undefined : this.#running.get(current);
    if (current !== undefined && running !== undefined) this.#fail(current, running, reason, detail);
    this.#goOn();
  }
}

function hashThread(): HashThread {
  const thread = new Worker(new URL('./hash-worker.ts', import.meta.url), { name: 'hash' });
  // Work that waits is no reason for a process to go on.
  thread.unref();
  return thread;
}
