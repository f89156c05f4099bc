import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Most workers that can share one folder. */
export const MAX_CLAIMED_NAMES = 64;

/** A name that is this process's own as long as it lives. */
export interface ClaimedName {
  readonly name: string;
  /** Gives the name back before the process ends. */
  release(): void;
}

/**
 * Takes the first of `<prefix>-0`, `<prefix>-1`, … that no living process has, across the containers that mount the folder. Held
 * by a lock of SQLite, which the system lets go when the process ends, however it ends: a container that replaces another
 * gets its name. The folder must be on a file system of this machine.
 * @throws Error when all names are taken or the folder cannot be written
 */
export function claimName(folder: string, prefix: string): ClaimedName {
  const names = join(folder, 'names');
  mkdirSync(names, { recursive: true });
  for (let number = 0; number < MAX_CLAIMED_NAMES; number++) {
    const name = `${prefix}-${number}`;
    const database = new DatabaseSync(join(names, `${name}.lock`));
    try {
      database.exec('PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
      return { name, release: () => database.close() };
    } catch (error) {
      database.close();
      if (!isBusy(error)) throw error;
    }
  }
  throw new Error(`all ${MAX_CLAIMED_NAMES} names in ${names} are taken`);
}

/** SQLITE_BUSY: somebody else holds the lock. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5;
}
