import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import {
  base32Encode,
  hostsServingByHash,
  parseFileTarget,
  parsePeerAddress,
  type FileTarget,
  type FileTargetRefusal,
  type Sha1,
} from '@filbert/gnutella';
import type { StoredJob } from '../jobs/job-store.ts';
import { Download, type DownloadDependencies } from './download.ts';
import { safeFileName } from './file-names.ts';
import type { SourceFacts } from './source.ts';
import type { SessionBudget } from './source-sessions.ts';

/** Downloads known at one time, finished ones included; a new one is refused. */
export const MAX_DOWNLOADS = 1_000;
/** Finished downloads that are remembered; the oldest are forgotten, their files stay. */
export const MAX_FINISHED = 500;
/** Downloads that other workers have taken over of which it is remembered that they go on there. */
export const MAX_TAKEN_AWAY = 1_000;
/** Connections to sources of all downloads together. */
export const MAX_SESSIONS = 64;
const EMPTY_SHA1 = createHash('sha1').digest();
const RATE_INTERVAL_MS = 1_000;
/** Of a source whose link names no port. */
const HTTP_PORT = 80;
const TARGET_PROBLEMS: Readonly<Record<FileTargetRefusal, string>> = {
  'no-sha1': 'the magnet link names no SHA-1',
  'not-a-target': 'it must be a magnet link, urn:sha1:…, 32 base32 digits or 40 hex digits',
};

export type TransfersErrorCode = 'bad-target' | 'too-many-downloads' | 'no-such-download' | 'download-is-finished';

/** What a caller asked for cannot be done. */
export class TransfersError extends Error {
  readonly code: TransfersErrorCode;

  constructor(code: TransfersErrorCode, message: string) {
    super(message);
    this.name = 'TransfersError';
    this.code = code;
  }
}

/** What is to be fetched. */
export interface DownloadRequest {
  /** Magnet link, `urn:sha1:…`, 32 base32 digits or 40 hex digits. */
  readonly target: string;
  readonly sources: readonly SourceFacts[];
  /** Empty: the magnet's, else the hash. */
  readonly name: string;
  /** 0: unknown. */
  readonly sizeBytes: number;
}

export interface DownloadsOptions extends Omit<DownloadDependencies, 'budget'> {
  /** A fresh id, unique for good. */
  readonly newId: () => string;
  /** Whether this may be a source at all. */
  readonly isUsableSource: (source: SourceFacts) => boolean;
}

/** All downloads of this worker. */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #downloads = new Map<string, Download>();
  readonly #budget: SessionBudget;
  readonly #takenAway = new Set<string>();
  #sessions = 0;
  #ticker: NodeJS.Timeout | undefined;
  #isDraining = false;

  constructor(options: DownloadsOptions) {
    this.#options = options;
    this.#budget = {
      tryTake: () => {
        if (this.#sessions >= MAX_SESSIONS) return false;
        this.#sessions++;
        return true;
      },
      give: () => {
        this.#sessions--;
        for (const download of this.#downloads.values()) if (download.state === 'queued') download.nudge();
      },
    };
  }

  /** Connections to sources in use. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Takes up what an earlier process left, and what workers leave that are gone. @throws what the store throws */
  async start(): Promise<void> {
    const { store } = this.#options;
    for (const job of await store.list()) this.#takeUp(job);
    store.follow({
      room: () => (this.#isDraining ? 0 : MAX_DOWNLOADS - this.#downloads.size),
      taken: (job) => this.#takeUp(job),
      lost: (id) => this.#lose(id),
    });
    this.#ticker = setInterval(() => {
      for (const download of this.#downloads.values()) download.tick();
    }, RATE_INTERVAL_MS);
  }

  /** Takes over no more of what others leave. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Halts every download; the next start goes on with them. */
  async stop(): Promise<void> {
    clearInterval(this.#ticker);
    await Promise.allSettled([...this.#downloads.values()].map((download) => download.halt()));
  }

  /** Whether another worker has that download now, which was this one's. */
  wasTakenAway(id: string): boolean {
    return this.#takenAway.has(id);
  }

  all(): readonly Download[] {
    return [...this.#downloads.values()];
  }

  /** @throws TransfersError `no-such-download` */
  get(id: string): Download {
    const download = this.#downloads.get(id);
    if (download === undefined) throw new TransfersError('no-such-download', `there is no download ${id}`);
    return download;
  }

  /**
   * The download of a file that is under way, or finished with its file where it was put.
   * @param text what names the file
   * @throws TransfersError `bad-target`, `no-such-download`
   */
  async known(text: string): Promise<Download> {
    const { sha1 } = readTarget(text);
    const download = this.#ofFile(sha1) ?? (await this.#finishedOfFile(sha1));
    if (download === undefined) throw new TransfersError('no-such-download', 'there is no download of that file');
    return download;
  }

  /**
   * Starts a download, or gives what is known of the file to the one that exists. One that is finished is that one as long
   * as its file lies where it was put.
   * @throws TransfersError `bad-target`, `too-many-downloads`; what the store throws, and then nothing was begun
   */
  async add(request: DownloadRequest): Promise<{ readonly download: Download; readonly created: boolean }> {
    const target = readTarget(request.target);
    // A link is anybody's, so what it names is judged as an address that a peer told.
    const sources = [...request.sources, ...magnetSources(target).filter(this.#options.isUsableSource)];
    const stated = request.sizeBytes > 0 ? request.sizeBytes : target.sizeBytes;
    // No range can be asked of the empty file; its hash says that it is empty.
    const sizeBytes = EMPTY_SHA1.equals(target.sha1) ? 0 : stated;
    await this.#forgetOldest();
    const finished = await this.#finishedOfFile(target.sha1);
    const known = this.#ofFile(target.sha1);
    if (known !== undefined) {
      known.addSources(sources);
      if (sizeBytes !== undefined) known.suggestSize(sizeBytes);
      return { download: known, created: false };
    }
    if (finished !== undefined) return { download: finished, created: false };
    if (this.#downloads.size >= MAX_DOWNLOADS) {
      throw new TransfersError('too-many-downloads', `there are ${MAX_DOWNLOADS} downloads already`);
    }
    const name = request.name !== '' ? request.name : (target.name ?? base32Encode(target.sha1));
    const job: StoredJob = {
      id: this.#options.newId(),
      sha1: target.sha1,
      name: safeFileName(name),
      sizeBytes,
      sizeIsLearned: false,
      state: 'active',
      reason: '',
      ranges: [],
      sources,
      contributors: [],
      oneSourceOnly: false,
      path: '',
      createdAtMs: this.#options.wallClock(),
      finishedAtMs: 0,
      part: '',
      partIsShared: false,
    };
    const download = new Download(job, { ...this.#options, budget: this.#budget });
    this.#downloads.set(job.id, download);
    try {
      await download.create();
    } catch (error) {
      this.#downloads.delete(job.id);
      throw error;
    }
    download.start();
    return { download, created: true };
  }

  /** @throws TransfersError `no-such-download`, `download-is-finished` */
  async pause(id: string): Promise<Download> {
    await this.#unfinished(id).pause();
    // Another worker may have it by now, as the note of the pause found out.
    return this.get(id);
  }

  /** Goes on, and asks again whom it had given up. @throws as `pause` */
  resume(id: string): Download {
    const download = this.#unfinished(id);
    download.forgiveSources();
    download.start();
    return download;
  }

  /** @throws TransfersError `no-such-download` */
  async cancel(id: string): Promise<Download> {
    const download = this.get(id);
    await download.cancel();
    this.#downloads.delete(id);
    return download;
  }

  #unfinished(id: string): Download {
    const download = this.get(id);
    if (download.state !== 'completed') return download;
    throw new TransfersError('download-is-finished', `${download.name} is finished`);
  }

  #ofFile(sha1: Sha1): Download | undefined {
    for (const download of this.#downloads.values()) {
      if (download.state !== 'completed' && !download.isCancelled && Buffer.compare(download.sha1, sha1) === 0)
        return download;
    }
    return undefined;
  }

  /** A finished download of a file that is still there, as far as its size tells. */
  async #finishedOfFile(sha1: Sha1): Promise<Download | undefined> {
    for (const download of [...this.#downloads.values()]) {
      if (download.state !== 'completed' || Buffer.compare(download.sha1, sha1) !== 0) continue;
      const found = await lstat(download.path).catch(() => undefined);
      if (found?.isFile() === true && found.size === download.sizeBytes) return download;
    }
    return undefined;
  }

  #takeUp(job: StoredJob): void {
    const download = new Download(job, { ...this.#options, budget: this.#budget });
    this.#takenAway.delete(job.id);
    this.#downloads.set(job.id, download);
    if (job.state === 'active') download.start();
  }

  #lose(id: string): void {
    const download = this.#downloads.get(id);
    if (download === undefined) return;
    this.#downloads.delete(id);
    this.#takenAway.add(id);
    const [oldest] = this.#takenAway;
    if (oldest !== undefined && this.#takenAway.size > MAX_TAKEN_AWAY) this.#takenAway.delete(oldest);
    void download.drop();
  }

  async #forgetOldest(): Promise<void> {
    const finished = [...this.#downloads.values()].filter(({ state }) => state === 'completed');
    for (const { id } of finished.slice(0, Math.max(0, finished.length - MAX_FINISHED))) {
      // One that the store does not forget now is forgotten next time.
      await this.cancel(id).catch(() => undefined);
    }
  }
}

/** @throws TransfersError `bad-target` */
function readTarget(text: string): FileTarget {
  const target = parseFileTarget(text);
  if (target.ok) return target.value;
  throw new TransfersError('bad-target', TARGET_PROBLEMS[target.reason]);
}

function magnetSources(target: FileTarget): SourceFacts[] {
  return hostsServingByHash(target).flatMap((host) => {
    const address = parsePeerAddress(host, HTTP_PORT);
    return address === undefined ? [] : { address, serventGuid: undefined, index: 0, firewalled: false };
  });
}
