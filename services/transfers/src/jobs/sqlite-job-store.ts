import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { asSha1, guidFromHex, guidToHex, formatPeerAddress, parsePeerAddress, SHA1_BYTES } from '@filbert/gnutella';
import { openSqlite } from '@filbert/kit';
import type { Range } from '../download/range-set.ts';
import type { SourceFacts } from '../download/source.ts';
import { JobCounters, STORED_STATES, type JobStore, type OthersJob, type StoredJob } from './job-store.ts';

/** Schema steps, one behind the other; a step that was published is never changed. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE downloads (
     id TEXT PRIMARY KEY,
     worker TEXT NOT NULL,
     sha1 BLOB NOT NULL,
     name TEXT NOT NULL,
     size_bytes INTEGER,
     size_is_learned INTEGER NOT NULL,
     state TEXT NOT NULL,
     reason TEXT NOT NULL,
     ranges BLOB NOT NULL,
     sources TEXT NOT NULL,
     contributors TEXT NOT NULL,
     one_source_only INTEGER NOT NULL,
     path TEXT NOT NULL,
     created_at_ms INTEGER NOT NULL,
     finished_at_ms INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX downloads_of_worker ON downloads (worker, created_at_ms);`,
];

/**
 * Downloads in `file`, shared by the workers of one machine: each sees its own jobs only.
 * @throws Error with a sentence where the file cannot be used
 */
export function openSqliteJobStore(file: string, worker: string): JobStore {
  const database = openSqlite(file, MIGRATIONS);
  // A power cut must not undo what a checkpoint noted: the bytes it speaks of are on disk by then.
  database.exec('PRAGMA synchronous = FULL;');
  return new SqliteJobStore(database, worker);
}

class SqliteJobStore implements JobStore {
  readonly counters = new JobCounters();
  readonly #database: DatabaseSync;
  readonly #worker: string;

  constructor(database: DatabaseSync, worker: string) {
    this.#database = database;
    this.#worker = worker;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  list(): Promise<readonly StoredJob[]> {
    const statement = this.#database.prepare('SELECT * FROM downloads WHERE worker = ? ORDER BY created_at_ms, id');
    const jobs: StoredJob[] = [];
    for (const row of statement.all(this.#worker)) {
      const job = jobOf(row);
      if (job === undefined) this.counters.unreadable++;
      else jobs.push(job);
    }
    return Promise.resolve(jobs);
  }

  /** Workers that share a database would not go on with each other's jobs. */
  others(): Promise<readonly OthersJob[]> {
    return Promise.resolve([]);
  }

  create(job: StoredJob): Promise<void> {
    return this.put(job);
  }

  put(job: StoredJob): Promise<void> {
    return settled(() => {
      this.#database
        .prepare('INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
        .run(
          job.id,
          this.#worker,
          job.sha1,
          job.name,
          job.sizeBytes ?? null,
          job.sizeIsLearned ? 1 : 0,
          job.state,
          job.reason,
          packRanges(job.ranges),
          job.sources.map(sourceLine).join('\n'),
          job.contributors.join('\n'),
          job.oneSourceOnly ? 1 : 0,
          job.path,
          Math.round(job.createdAtMs),
          Math.round(job.finishedAtMs),
        );
    });
  }

  fence(): number {
    return 0;
  }

  remove(id: string): Promise<void> {
    return settled(() => {
      this.#database.prepare('DELETE FROM downloads WHERE id = ? AND worker = ?').run(id, this.#worker);
    });
  }

  /** Nobody takes over what lies in a database of one machine: each worker comes back for its own. */
  follow(): void {
    // Nothing to follow.
  }

  close(): Promise<void> {
    return settled(() => this.#database.close());
  }
}

function settled(work: () => void): Promise<void> {
  return new Promise((resolve) => {
    work();
    resolve();
  });
}

/** A job of a row; undefined for a row that nobody of ours wrote. */
function jobOf(row: Record<string, SQLOutputValue>): StoredJob | undefined {
  const sha1 = row['sha1'];
  const ranges = row['ranges'];
  const state = STORED_STATES.find((known) => known === row['state']);
  if (!(sha1 instanceof Uint8Array) || sha1.length !== SHA1_BYTES) return undefined;
  if (!(ranges instanceof Uint8Array) || state === undefined) return undefined;
  return {
    id: String(row['id']),
    sha1: asSha1(sha1),
    name: String(row['name']),
    sizeBytes: row['size_bytes'] === null ? undefined : Number(row['size_bytes']),
    sizeIsLearned: row['size_is_learned'] === 1,
    state,
    reason: String(row['reason']),
    ranges: unpackRanges(ranges),
    sources: linesOf(row['sources']).flatMap((line) => sourceOf(line) ?? []),
    contributors: linesOf(row['contributors']),
    oneSourceOnly: row['one_source_only'] === 1,
    path: String(row['path']),
    createdAtMs: Number(row['created_at_ms']),
    finishedAtMs: Number(row['finished_at_ms']),
    part: '',
    partIsShared: false,
  };
}

function linesOf(text: SQLOutputValue | undefined): string[] {
  return typeof text === 'string' && text !== '' ? text.split('\n') : [];
}

/** One source a line: address, servent GUID, index and whether it is firewalled; `-` for what is unknown. */
function sourceLine({ address, serventGuid, index, firewalled }: SourceFacts): string {
  const where = address === undefined ? '-' : formatPeerAddress(address);
  return `${where} ${serventGuid === undefined ? '-' : guidToHex(serventGuid)} ${index} ${firewalled ? 1 : 0}`;
}

function sourceOf(line: string): SourceFacts | undefined {
  const [where = '', servent = '', index = '', firewalled] = line.split(' ');
  const address = parsePeerAddress(where);
  const serventGuid = guidFromHex(servent);
  if (address === undefined && serventGuid === undefined) return undefined;
  return { address, serventGuid, index: Number(index), firewalled: firewalled === '1' };
}

/** Two doubles a range: they hold every offset of a file. */
function packRanges(ranges: readonly Range[]): Uint8Array {
  const packed = new Float64Array(ranges.length * 2);
  ranges.forEach(({ start, end }, i) => {
    packed[2 * i] = start;
    packed[2 * i + 1] = end;
  });
  return new Uint8Array(packed.buffer);
}

function unpackRanges(bytes: Uint8Array): Range[] {
  const values = new Float64Array(new Uint8Array(bytes.subarray(0, bytes.length - (bytes.length % 16))).buffer);
  return Array.from({ length: values.length / 2 }, (_, i) => ({
    start: values[2 * i] ?? 0,
    end: values[2 * i + 1] ?? 0,
  }));
}
