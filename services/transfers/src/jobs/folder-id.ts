import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '@filbert/kit';

/** Says which downloads folder this is, whatever path or machine sees it. */
const MARKER = '.filbert-folder';
const ID = /^[0-9a-f]{32}\n$/;

/**
 * The id of a downloads folder: read from a file in it, which is made where it is missing. Workers that see one folder read
 * one id, so that they know that they can go on with each other's downloads.
 * @throws Error with a sentence where the folder cannot be used
 */
export async function downloadsFolderId(folder: string): Promise<string> {
  const marker = join(folder, MARKER);
  try {
    await mkdir(folder, { recursive: true });
    const known = await readId(marker);
    if (known !== undefined) return known;
    // Written aside and then linked: nobody ever reads half of it, and of several that make one a single one wins.
    const own = join(folder, `${MARKER}.${randomBytes(8).toString('hex')}`);
    try {
      await writeFile(own, `${randomBytes(16).toString('hex')}\n`, { flag: 'wx' });
      await link(own, marker).catch((error: unknown) => placeWithoutLink(error, own, marker));
    } finally {
      await rm(own, { force: true });
    }
    const made = await readId(marker);
    if (made === undefined) throw new Error('it vanished');
    return made;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot use ${marker}: ${reason}; check --downloads and the rights on that folder`, { cause });
  }
}

async function readId(marker: string): Promise<string | undefined> {
  try {
    const text = await readFile(marker, 'utf8');
    if (!ID.test(text)) throw new Error('it does not hold the id of a folder: remove it while no worker runs');
    return text.trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function placeWithoutLink(error: unknown, own: string, marker: string): Promise<void> {
  if (errorCode(error) === 'EEXIST') return;
  // File systems without hard links: the id is so short that it is written in one piece.
  await writeFile(marker, await readFile(own), { flag: 'wx' }).catch((again: unknown) => {
    if (errorCode(again) !== 'EEXIST') throw again;
  });
}
