import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { asSha1, SHA1_BYTES } from '@filbert/gnutella';
import { openSqlite } from '@filbert/kit';
import { sharedName, type HashedFile, type SharedFile } from './shared-file.ts';

/** Schema steps, one behind the other; a step that was published is never changed. */
const MIGRATIONS: readonly string[] = [
  // AUTOINCREMENT: an index that was given once is never given again. 0 and 2^32-1 are no indices for peers.
  `CREATE TABLE files (
     file_index INTEGER PRIMARY KEY AUTOINCREMENT CHECK (file_index BETWEEN 1 AND 4294967294),
     path TEXT NOT NULL UNIQUE,
     size_bytes INTEGER NOT NULL,
     modified_ms REAL NOT NULL,
     sha1 BLOB NOT NULL,
     added_ms INTEGER NOT NULL,
     missing_since_ms INTEGER
   ) STRICT;
   CREATE TABLE shares (path TEXT PRIMARY KEY, added_ms INTEGER NOT NULL) STRICT;`,
];

/** Opens `<folder>/library.sqlite`. @throws Error with a sentence where it cannot be used */
export function openLibraryDatabase(folder: string): DatabaseSync {
  return openSqlite(join(folder, 'library.sqlite'), MIGRATIONS);
}

/** What is known of files, kept over restarts so that none is hashed twice. Every method may throw where the disk refuses. */
export class Catalogue {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Every file that was ever hashed and is not forgotten, in order of index. */
  *files(): Generator<{ readonly file: SharedFile; readonly isMissing: boolean }> {
    const rows = this.#database.prepare('SELECT * FROM files ORDER BY file_index').iterate();
    for (const row of rows) {
      const { sha1 } = row;
      if (!(sha1 instanceof Uint8Array) || sha1.length !== SHA1_BYTES) continue;
      const path = String(row['path']);
      const file: SharedFile = {
        index: Number(row['file_index']),
        path,
        name: sharedName(path),
        sizeBytes: Number(row['size_bytes']),
        modifiedMs: Number(row['modified_ms']),
        sha1: asSha1(sha1),
        addedMs: Number(row['added_ms']),
      };
      yield { file, isMissing: row['missing_since_ms'] !== null };
    }
  }

  /**
   * Stores hashed files in one transaction and returns them with their indices. A path that was known keeps its index
   * where its content is the same, and gets a new one where it is not.
   */
  store(files: readonly HashedFile[], nowMs: number): SharedFile[] {
    const known = this.#database.prepare('SELECT file_index, sha1, added_ms FROM files WHERE path = ?');
    const touch = this.#database.prepare(
      'UPDATE files SET size_bytes = ?, modified_ms = ?, missing_since_ms = NULL WHERE file_index = ?',
    );
    const drop = this.#database.prepare('DELETE FROM files WHERE path = ?');
    const add = this.#database.prepare(
      'INSERT INTO files (path, size_bytes, modified_ms, sha1, added_ms) VALUES (?, ?, ?, ?, ?)',
    );
    return this.#transaction(() =>
      files.map((file) => {
        const row = known.get(file.path);
        const before = row?.['sha1'];
        if (row !== undefined && before instanceof Uint8Array && Buffer.compare(before, file.sha1) === 0) {
          const index = Number(row['file_index']);
          touch.run(file.sizeBytes, file.modifiedMs, index);
          return { ...file, index, name: sharedName(file.path), addedMs: Number(row['added_ms']) };
        }
        drop.run(file.path);
        const addedMs = Math.round(nowMs);
        const { lastInsertRowid } = add.run(file.path, file.sizeBytes, file.modifiedMs, file.sha1, addedMs);
        return { ...file, index: Number(lastInsertRowid), name: sharedName(file.path), addedMs };
      }),
    );
  }

  /** Notes that files are gone since `nowMs`, unless they were before. */
  markMissing(files: readonly SharedFile[], nowMs: number): void {
    const update = this.#database.prepare(
      'UPDATE files SET missing_since_ms = coalesce(missing_since_ms, ?) WHERE file_index = ?',
    );
    this.#transaction(() => files.forEach(({ index }) => update.run(Math.round(nowMs), index)));
  }

  /** Notes that files are there again. */
  markPresent(files: readonly SharedFile[]): void {
    const update = this.#database.prepare('UPDATE files SET missing_since_ms = NULL WHERE file_index = ?');
    this.#transaction(() => files.forEach(({ index }) => update.run(index)));
  }

  /** Forgets files that have been missing since before `beforeMs`. Returns how many. */
  forget(beforeMs: number): number {
    return Number(
      this.#database.prepare('DELETE FROM files WHERE missing_since_ms < ?').run(Math.round(beforeMs)).changes,
    );
  }

  /** Folders that were added to those of the configuration. */
  shares(): string[] {
    return this.#database
      .prepare('SELECT path FROM shares ORDER BY added_ms, path')
      .all()
      .map((row) => String(row['path']));
  }

  addShare(path: string, nowMs: number): void {
    this.#database.prepare('INSERT OR IGNORE INTO shares VALUES (?, ?)').run(path, Math.round(nowMs));
  }

  removeShare(path: string): void {
    this.#database.prepare('DELETE FROM shares WHERE path = ?').run(path);
  }

  close(): void {
    this.#database.close();
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec('BEGIN');
    try {
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk may have rolled it back already.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}
