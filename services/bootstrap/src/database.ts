import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { openSqlite } from '@filbert/kit';

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
  return openSqlite(join(folder, 'bootstrap.sqlite'), MIGRATIONS);
}
