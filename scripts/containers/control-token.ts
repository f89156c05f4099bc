import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

/** Random bytes in a token; it is written as hex digits. */
const TOKEN_BYTES = 32;

/**
 * Reads the token for control calls from a file.
 * @param create - whether the file is made, with a random token, where it is missing
 * @throws Error of the system when the file cannot be read or made
 */
export function readControlToken(path: string, { create }: { readonly create: boolean }): string {
  if (create) {
    try {
      // 'wx' fails where the file exists: a token is made once.
      writeFileSync(path, randomBytes(TOKEN_BYTES).toString('hex'), { flag: 'wx', mode: 0o400 });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
  return readFileSync(path, 'utf8').trim();
}
