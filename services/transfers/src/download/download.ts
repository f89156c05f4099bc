import { startSpan, type Logger } from '@filbert/kit';
import type { PeerAddress, Sha1 } from '@filbert/gnutella';
import type { BlameReason, TransfersCounters } from '../counters.ts';
import type { Bandwidth } from '../http/bandwidth.ts';
import type { JobStore, StoredJob, StoredState } from '../jobs/job-store.ts';
import { nextChunk } from './chunk-plan.ts';
import { ClaimedSize } from './claimed-size.ts';
import { DownloadNotes } from './download-notes.ts';
import { fetchFromSource } from './fetch-from-source.ts';
import { FetchedBytes } from './fetched-bytes.ts';
import { DiskError, type WriteAt } from './part-file.ts';
import type { PushClient } from './push-client.ts';
import type { Range } from './range-set.ts';
import { RateMeter } from './rate-meter.ts';
import type { Source, SourceFacts } from './source.ts';
import { SourcePool } from './source-pool.ts';
import type { SessionDownload } from './source-session.ts';
import { SourceSessions, type SessionBudget } from './source-sessions.ts';
import type { DownloadTimings } from './timings.ts';

/** Sources asked at one time for one download. */
export const MAX_ACTIVE_SOURCES = 6;
/** A source that ends connections after each stretch may be asked again this soon, in ms. */
const RECONNECT_MS = 50;
/** Longest time between two looks at what can be done, in ms. */
const LONGEST_NAP_MS = 60_000;

/** What a download does now. */
export type DownloadState =
  'queued' | 'running' | 'waiting' | 'verifying' | 'completed' | 'paused' | 'disk-full' | 'failed' | 'cancelled';

export interface DownloadDependencies {
  readonly folder: string;
  readonly store: JobStore;
  readonly pushes: PushClient;
  readonly bandwidth: Bandwidth;
  readonly counters: TransfersCounters;
  readonly budget: SessionBudget;
  readonly timings: DownloadTimings;
  readonly logger: Logger;
  readonly ownAddress: () => PeerAddress | undefined;
  /** ms since 1970 */
  readonly wallClock: () => number;
  readonly writeAt?: WriteAt;
}

/** One file being fetched from however many sources, from its first byte to its name in the downloads folder. */
export class Download implements SessionDownload {
  readonly id: string;
  readonly sha1: Sha1;
  readonly name: string;
  readonly createdAtMs: number;
  /** Rises with every change that a watcher may want to see. */
  version = 1;
  readonly #deps: DownloadDependencies;
  readonly #sources = new SourcePool();
  readonly #fetched: FetchedBytes;
  readonly #rate = new RateMeter();
  readonly #fetching = new Set<Range>();
  readonly #sessions: SourceSessions;
  readonly #notes: DownloadNotes;
  readonly #size: ClaimedSize;
  #oneSourceOnly: boolean;
  #state: DownloadState;
  #reason: string;
  #path: string;
  #finishedAtMs: number;
  #nextAttemptAtMs = 0;
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #isEnding = false;
  #startAgain = false;
  #isCancelled = false;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(job: StoredJob, deps: DownloadDependencies) {
    this.#deps = deps;
    this.id = job.id;
    this.sha1 = job.sha1;
    this.name = job.name;
    this.createdAtMs = job.createdAtMs;
    this.#size = new ClaimedSize(job.sizeBytes, job.sizeIsLearned);
    this.#oneSourceOnly = job.oneSourceOnly;
    this.#state = job.state === 'active' ? 'queued' : job.state;
    this.#reason = job.reason;
    this.#path = job.path;
    this.#finishedAtMs = job.finishedAtMs;
    const { folder, writeAt } = deps;
    const { name, sha1, ranges, contributors, part, partIsShared } = job;
    this.#fetched = new FetchedBytes({
      folder,
      name,
      sha1,
      ranges,
      contributors,
      part,
      partIsShared,
      nextPart: () => deps.store.fence(job.id),
      ...(writeAt === undefined ? {} : { writeAt }),
    });
    const { store, logger, budget } = deps;
    this.#notes = new DownloadNotes({ id: job.id, store, logger, stored: () => this.#stored() });
    this.#sessions = new SourceSessions({
      budget,
      talk: (source, round) => this.#talk(source, round),
      onEnded: () => this.#touch(),
    });
    this.addSources(job.sources);
  }

  get state(): DownloadState {
    return this.#state;
  }

  /** One sentence for people, or empty. */
  get reason(): string {
    return this.#reason;
  }

  get sizeBytes(): number | undefined {
    return this.#size.bytes;
  }

  get doneBytes(): number {
    return this.#state === 'completed' ? (this.#size.bytes ?? 0) : this.#fetched.written.bytes;
  }

  get bytesPerSecond(): number {
    return this.#rate.perSecond;
  }

  /** Where the finished file is; empty before. */
  get path(): string {
    return this.#state === 'completed' ? this.#path : '';
  }

  get finishedAtMs(): number {
    return this.#finishedAtMs;
  }

  /** When a download that waits goes on by itself, ms since 1970; 0 where it does not. */
  get nextAttemptAtMs(): number {
    return this.#state === 'waiting' ? this.#nextAttemptAtMs : 0;
  }

  /** It is being removed, or was: nothing starts it again. */
  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  get isHtml(): boolean {
    return /\.x?html?$/i.test(this.name);
  }

  sources(): Iterable<Source> {
    return this.#sources;
  }

  /** Takes sources that are not known yet. @returns how many were new */
  addSources(facts: Iterable<SourceFacts>): number {
    const added = this.#sources.add(facts);
    if (added > 0) this.#touch();
    return added;
  }

  /** Takes a size that whoever asks for the file vouches for, where none is known. */
  suggestSize(bytes: number): void {
    if (this.#size.vouch(bytes)) this.#touch();
  }

  /** Goes on, unless it is completed or running already. */
  start(): void {
    if (this.#state === 'completed' || this.#isCancelled || this.#notes.isDropped) return;
    if (this.#running !== undefined) {
      // Told to go on while it is still putting its things away: it does so then.
      this.#startAgain = this.#isEnding;
      return;
    }
    this.#stopping = new AbortController();
    this.#failure = undefined;
    this.#set('queued', '');
    this.#running = this.#runTraced().finally(() => {
      this.#running = undefined;
      this.#isEnding = false;
      if (this.#startAgain) {
        this.#startAgain = false;
        this.start();
      }
    });
  }

  /** Lets a resumed download ask every source again. */
  forgiveSources(): void {
    this.#sources.forgive((blame) => blame !== 'wrong-hash');
    this.#touch();
  }

  /** Stops fetching; what was fetched is kept and noted. */
  async halt(): Promise<void> {
    this.#startAgain = false;
    this.#stopping.abort();
    this.#sessions.endRound();
    this.#touch();
    await this.#running;
  }

  async pause(): Promise<void> {
    await this.halt();
    if (this.#state === 'completed') return;
    this.#set('paused', 'paused by a person');
    await this.#notes.save();
  }

  /**
   * Stops and removes what was fetched; a finished file stays. @throws what the store throws, and then it goes on as before
   */
  async cancel(): Promise<void> {
    this.#isCancelled = true;
    const wasRunning = this.#running !== undefined;
    await this.halt();
    try {
      // First: while the store cannot be reached, another worker may be about to go on with these bytes.
      await this.#notes.remove();
    } catch (error) {
      this.#isCancelled = false;
      if (wasRunning) this.start();
      throw error;
    }
    if (this.#state === 'completed') return;
    await this.#fetched.remove();
    this.#set('cancelled', '');
  }

  /** Lets go of it without a trace: another worker has it now. */
  async drop(): Promise<void> {
    this.#notes.drop();
    await this.halt();
  }

  /** Puts a new job on record in the store. @throws what the store throws */
  create(): Promise<void> {
    return this.#notes.create();
  }

  /** Told once a second: keeps the rate that is shown, and notes what could not be noted when it was due. */
  tick(): void {
    if (this.#rate.tick(this.#sessions.size > 0)) this.version++;
    void this.#notes.makeUp();
  }

  /** A place for a connection may have become free. */
  nudge(): void {
    this.#wake?.();
  }

  nextChunk(): Range | undefined {
    if (this.#stopping.signal.aborted || this.#sessions.isRoundOver) return undefined;
    const chunk = this.#nextGap();
    if (chunk !== undefined) this.#fetching.add(chunk);
    return chunk;
  }

  releaseChunk(chunk: Range): void {
    this.#fetching.delete(chunk);
  }

  acceptSize(total: number, source: Source): boolean {
    if (this.#size.learn(total, source.key)) this.#touch();
    return this.#size.bytes === total;
  }

  async receive(bytes: Buffer, position: number, source: Source): Promise<void> {
    await this.#fetched.write(bytes, position, source.key);
    this.#rate.count(bytes.length);
    this.#deps.counters.downloadedBytes += bytes.length;
    source.credit(bytes.length);
    this.version++;
  }

  /** As a trace of its own, from here to the last byte or whatever else ends it; log lines carry its ids. */
  async #runTraced(): Promise<void> {
    const span = startSpan('download', { trace: 'by-ratio', attributes: { had_bytes: this.#fetched.written.bytes } });
    try {
      await span.run(() => this.#run());
    } finally {
      span.setAttributes({ result: this.#state, bytes: this.doneBytes, sources: this.#sources.size });
      span.end();
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const checkpoints = setInterval(() => void this.#checkpoint(), this.#deps.timings.checkpointMs);
    try {
      if (await this.#wasFinished(signal)) return;
      await this.#fetched.open(this.#size.bytes, () => this.#confirm(), signal);
      await this.#notes.save();
      while (!signal.aborted) {
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#size.bytes === this.#fetched.written.bytes) {
          await this.#sessions.nextRound();
          if (await this.#finish(signal)) return;
          continue;
        }
        const now = this.#deps.wallClock();
        this.#launch(now);
        await this.#nap(now);
      }
    } catch (error) {
      if (signal.aborted && !(error instanceof DiskError)) return;
      this.#failed(error);
    } finally {
      this.#isEnding = true;
      clearInterval(checkpoints);
      await this.#sessions.nextRound();
      if (!this.#notes.isDropped) await this.#checkpoint();
      await this.#fetched.close().catch(() => undefined);
      await this.#notes.save();
    }
  }

  /** A process may have died between giving the file its name and noting that. */
  async #wasFinished(signal: AbortSignal): Promise<boolean> {
    if (this.#path === '' || this.#size.bytes === undefined) return false;
    if (!(await this.#fetched.wasFinished(this.#path, this.#size.bytes, signal))) {
      if (!signal.aborted) this.#path = '';
      return false;
    }
    await this.#confirm();
    await this.#fetched.remove();
    this.#completed();
    return true;
  }

  #nextGap(): Range | undefined {
    return nextChunk(this.#fetched.written, this.#fetching, this.#size.bytes);
  }

  #launch(now: number): void {
    const only = this.#goesOnWith(now);
    const starved = this.#sessions.launch(
      only === undefined ? this.#sources : [only],
      now,
      this.#oneSourceOnly ? 1 : MAX_ACTIVE_SOURCES,
      () => this.#nextGap() !== undefined,
    );
    this.#describe(starved);
  }

  /** Of one source at a time, the one whose bytes are there already: another would begin anew, and so would it after that. */
  #goesOnWith(now: number): Source | undefined {
    if (!this.#oneSourceOnly) return undefined;
    const [only, another] = this.#fetched.contributors;
    const source = only === undefined || another !== undefined ? undefined : this.#sources.get(only);
    if (source === undefined || source.givenUp) return undefined;
    return source.active || source.restUntilMs - now <= RECONNECT_MS ? source : undefined;
  }

  async #talk(source: Source, round: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([this.#stopping.signal, round]);
    try {
      const hasOthers = [...this.#fetched.contributors].some((key) => key !== source.key);
      if (this.#oneSourceOnly && hasOthers) await this.#discard();
      const end = await fetchFromSource({ ...this.#deps, download: this, source, signal });
      if (signal.aborted || end.kind === 'stopped') return;
      if (end.kind === 'blamed') this.#blame(source, end.reason, end.retryAfterMs);
      else source.restUntilMs = this.#deps.wallClock() + RECONNECT_MS;
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      this.#sessions.endRound();
    }
  }

  #blame(source: Source, reason: BlameReason, retryAfterMs: number | undefined): void {
    const { counters, timings, logger } = this.#deps;
    counters.blames[reason]++;
    source.hold(reason, this.#deps.wallClock(), timings.restFactor, retryAfterMs);
    logger.debug({ download: this.id, reason }, 'a source was left alone');
    // Whoever told the size may have lied: others that were held to it get another chance.
    if (this.#size.isFrom(source.key) && this.#sources.hasBlamed('wrong-size')) {
      this.#forgetSize();
      this.#sessions.endRound();
    }
  }

  #forgetSize(): void {
    this.#size.forget();
    this.#sources.forgive((blame) => blame === 'wrong-size');
  }

  /** Says what the download does, where nothing else did. */
  #describe(starved: boolean): void {
    if (this.#sessions.size > 0) {
      this.#set('running', '');
    } else if (starved) {
      this.#set('queued', 'all connections to sources are in use');
    } else {
      this.#nextAttemptAtMs = this.#sources.nextReadyMs() ?? 0;
      this.#set('waiting', this.#sources.whyNone());
    }
  }

  /** @param launchedAtMs the time that `#launch` went by */
  async #nap(launchedAtMs: number): Promise<void> {
    // A size was taken back or the disk failed: nothing of this round goes on.
    if (this.#sessions.isRoundOver) {
      await this.#sessions.nextRound();
      if (this.#failure === undefined && this.#size.bytes === undefined) await this.#discard();
      return;
    }
    const only = this.#goesOnWith(launchedAtMs);
    const next = (only === undefined ? this.#sources.nextReadyMs() : only.restUntilMs) ?? Number.POSITIVE_INFINITY;
    // A source that was ready and found no place is woken by `nudge`; one that became ready since is due at once.
    const waits = next > launchedAtMs ? Math.max(0, next - this.#deps.wallClock()) : LONGEST_NAP_MS;
    const napMs = Math.min(waits, LONGEST_NAP_MS);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, napMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** @returns false where the hash was wrong and fetching begins anew */
  async #finish(signal: AbortSignal): Promise<boolean> {
    const { counters, wallClock } = this.#deps;
    const size = this.#size.bytes ?? 0;
    this.#set('verifying', '');
    await this.#checkpoint();
    if (!(await this.#fetched.verify(size, signal))) {
      await this.#onWrongHash();
      return false;
    }
    this.#path = await this.#fetched.finish(size, async (path) => {
      this.#path = path;
      await this.#confirm();
    });
    this.#finishedAtMs = wallClock();
    counters.downloadsCompleted++;
    this.#completed();
    return true;
  }

  #completed(): void {
    this.#fetched.forget();
    this.#finishedAtMs ||= this.#deps.wallClock();
    this.#set('completed', '');
  }

  async #onWrongHash(): Promise<void> {
    const { counters, logger } = this.#deps;
    counters.hashMismatches++;
    const { contributors } = this.#fetched;
    const [only, another] = contributors;
    const culprit = another === undefined && only !== undefined ? this.#sources.get(only) : undefined;
    if (culprit !== undefined) this.#blame(culprit, 'wrong-hash', undefined);
    logger.warn({ download: this.id, sources: contributors.size }, 'the hash is wrong: the file is fetched anew');
    // With several, nobody can tell who lied: from now on one at a time.
    this.#oneSourceOnly = true;
    if (this.#size.isLearned) this.#forgetSize();
    await this.#discard();
  }

  async #discard(): Promise<void> {
    this.#deps.counters.discardedBytes += await this.#fetched.discard(() => this.#confirm());
  }

  /** Makes what was written durable and notes it. */
  async #checkpoint(): Promise<void> {
    try {
      await this.#fetched.checkpoint(() => this.#notes.put());
    } catch (error) {
      if (error instanceof DiskError) {
        this.#failure ??= error;
        this.#touch();
      } else this.#notes.failed(error);
    }
  }

  /** Before something that cannot be undone: nobody else has the job. @throws as `DownloadNotes.confirm` */
  #confirm(): Promise<void> {
    return this.#notes.confirm(this.#stopping.signal, () =>
      this.#set(this.#state, 'it goes on when its state can be noted: see the log'),
    );
  }

  #failed(error: unknown): void {
    if (!(error instanceof DiskError)) {
      this.#deps.logger.error({ err: error, download: this.id }, 'a download failed');
      this.#set('failed', 'internal error; see the log');
    } else if (error.code === 'disk-full') {
      this.#set('disk-full', `the disk of ${this.#deps.folder} is full: make room and resume; nothing fetched is lost`);
    } else {
      this.#set('failed', error.message);
    }
  }

  #set(state: DownloadState, reason: string): void {
    if (state === this.#state && reason === this.#reason) return;
    this.#state = state;
    this.#reason = reason;
    if (state !== 'running') this.#rate.reset();
    this.version++;
  }

  #touch(): void {
    this.version++;
    this.#wake?.();
  }

  #stored(): StoredJob {
    return {
      id: this.id,
      sha1: this.sha1,
      name: this.name,
      sizeBytes: this.#size.bytes,
      sizeIsLearned: this.#size.isLearned,
      state: storedState(this.#state),
      reason: this.#reason,
      ranges: this.#fetched.durable,
      sources: this.#sources.worthKeeping(),
      contributors: [...this.#fetched.contributors],
      oneSourceOnly: this.#oneSourceOnly,
      path: this.#path,
      createdAtMs: this.createdAtMs,
      finishedAtMs: this.#finishedAtMs,
      part: this.#fetched.part,
      partIsShared: this.#fetched.partIsShared,
    };
  }
}

function storedState(state: DownloadState): StoredState {
  switch (state) {
    case 'paused':
    case 'disk-full':
    case 'failed':
    case 'completed':
      return state;
    case 'queued':
    case 'running':
    case 'waiting':
    case 'verifying':
    case 'cancelled':
      return 'active';
  }
}
