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
/** What Node makes of bytes that are no UTF-8: the name is not the file's, and could not be told to peers. */
const REPLACEMENT = '\ufffd';

/** Judges a name, without its folder. @returns undefined where nothing speaks against it */
export function nameLeftOut(name: string): LeftOutReason | undefined {
  if (name.startsWith('.')) return 'hidden';
  if (name.includes(REPLACEMENT) || isEvilFileName(name)) return 'odd-name';
  const lower = name.toLowerCase();
  if (SYSTEM_NAMES.has(lower)) return 'hidden';
  return TEMPORARY_ENDS.some((end) => lower.endsWith(end)) ? 'temporary' : undefined;
}
