import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { makeFolder } from '../files/make-folder.ts';

/** How long a statement waits for another process that holds the file, in ms. */
const BUSY_TIMEOUT_MS = 2_000;

/**
 * Opens a SQLite file in write-ahead mode and brings its schema up to date, creating folder and file where they are missing.
 * @param migrations schema steps, one behind the other; a step that was published is never changed
 * @throws Error with a sentence for the operator where the folder cannot be written, the file is no database, or a newer
 *   Filbert wrote it
 */
export function openSqlite(file: string, migrations: readonly string[]): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    makeFolder(dirname(file));
    database = new DatabaseSync(file);
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};`);
    migrate(database, migrations);
    return database;
  } catch (cause) {
    database?.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot use ${file}: ${reason}; check --data and the rights on that folder`, { cause });
  }
}

function migrate(database: DatabaseSync, migrations: readonly string[]): void {
  const row = database.prepare('PRAGMA user_version').get();
  const version = Number(row?.['user_version'] ?? 0);
  if (version > migrations.length) throw new Error(`it was written by a newer Filbert (schema ${version})`);
  for (let step = version; step < migrations.length; step++) {
    database.exec(`BEGIN; ${migrations[step]}; PRAGMA user_version = ${step + 1}; COMMIT;`);
  }
}
