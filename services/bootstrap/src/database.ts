import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Schema steps, one behind the other; a step that was published is never changed. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE identity (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
   CREATE TABLE hosts (
     address TEXT PRIMARY KEY,
     ultrapeer INTEGER NOT NULL,
     source TEXT NOT NULL,
     last_seen_ms INTEGER NOT NULL,
     last_tried_ms INTEGER NOT NULL,
     last_connected_ms INTEGER NOT NULL,
     failures INTEGER NOT NULL,
     rest_until_ms INTEGER NOT NULL
   ) STRICT;`,
];

/**
 * Opens `<folder>/bootstrap.sqlite`, creating folder and schema where they are missing.
 * @throws Error with a sentence where the folder cannot be written or the file is not ours
 */
export function openDatabase(folder: string): DatabaseSync {
  const file = join(folder, 'bootstrap.sqlite');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(file);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;');
    migrate(database);
    return database;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot use ${file}: ${reason}; check --data and the rights on that folder`, { cause });
  }
}

function migrate(database: DatabaseSync): void {
  const row = database.prepare('PRAGMA user_version').get();
  const version = Number(row?.['user_version'] ?? 0);
  if (version > MIGRATIONS.length) throw new Error(`it was written by a newer Filbert (schema ${version})`);
  for (let step = version; step < MIGRATIONS.length; step++) {
    database.exec(`BEGIN; ${MIGRATIONS[step]}; PRAGMA user_version = ${step + 1}; COMMIT;`);
  }
}
