import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { isEvilFileName } from '@filbert/gnutella';

/** Why something in a share folder is not shared; labels of a metric. */
export const LEFT_OUT_REASONS = [
  'unreadable',
  'vanished',
  'symlink',
  'hidden',
  'temporary',
  'empty',
  'odd-name',
  'not-a-file',
  'own-data',
  'too-deep',
  'too-many',
] as const;
export type LeftOutReason = (typeof LEFT_OUT_REASONS)[number];

/** Ends of names of files that are not complete yet, our own downloads' among them. */
const TEMPORARY_ENDS = ['.part', '.partial', '.crdownload', '.download', '.tmp', '.temp', '.swp', '~'];
/** Files that systems put into every folder. */
const SYSTEM_NAMES = new Set(['thumbs.db', 'desktop.ini', 'ehthumbs.db']);
/** Databases of nodes, with what SQLite puts beside them. */
const NODE_DATA = /^(bootstrap|library|transfers)\.sqlite(-wal|-shm|-journal)?$/;
/** The database with the secret of a node: it marks a data folder. */
const NODE_MARK = 'bootstrap.sqlite';
/** What Node makes of bytes that are no UTF-8: the name is not the file's, and could not be told to peers. */
const REPLACEMENT = '\ufffd';

/** Judges a name, without its folder. @returns undefined where nothing speaks against it */
export function nameLeftOut(name: string): LeftOutReason | undefined {
  if (name.startsWith('.')) return 'hidden';
  if (NODE_DATA.test(name)) return 'own-data';
  if (name.includes(REPLACEMENT) || isEvilFileName(name)) return 'odd-name';
  const lower = name.toLowerCase();
  if (SYSTEM_NAMES.has(lower)) return 'hidden';
  return TEMPORARY_ENDS.some((end) => lower.endsWith(end)) ? 'temporary' : undefined;
}

/** Whether a folder is the data folder of a node, be it another one: whoever shares a folder above it means no such thing. */
export async function holdsNodeData(
  folder: string,
  fs: { readonly lstat: (path: string) => Promise<Stats> },
): Promise<boolean> {
  const mark = await fs.lstat(join(folder, NODE_MARK)).catch(() => undefined);
  return mark?.isFile() === true;
}
