import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Nobody but the owner may look into a folder of ours. */
const OWNER_ONLY = 0o700;

/**
 * Makes a folder for the owner alone, with the folders above it, where it is missing. Node's own recursive `mkdir` never
 * comes back where a file system refuses a name as not found, as /proc does.
 * @throws Error of the file system where it cannot be made or is no folder
 */
export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: OWNER_ONLY });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST' && statSync(folder).isDirectory()) return;
    const parent = dirname(folder);
    if (code !== 'ENOENT' || parent === folder || existsSync(parent)) throw error;
    makeFolder(parent);
    mkdirSync(folder, { mode: OWNER_ONLY });
  }
}
