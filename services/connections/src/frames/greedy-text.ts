/** What a query's text asks for, where that is too much (conformance 181). */
export type Greed =
  | 'none'
  /** Asks for everything: one character, nothing but `*`, `.`, `-` and spaces, or one letter with an extension. */
  | 'all'
  /** Asks for every file of a kind. */
  | 'kind';

/** Names of kinds of files that, alone, are no question; three or four characters each. */
const KINDS =
  'mp3 mp4 mpg mpeg avi mkv mov wmv wma wav ogg flac jpg jpeg gif png bmp zip rar exe msi iso pdf txt doc htm html';
const LONGEST_KIND = 4;
const SHORTEST_KIND = 3;

const SPACE = 0x20;
const STAR = 0x2a;
const DASH = 0x2d;
const DOT = 0x2e;

const kinds = new Set(
  KINDS.split(' ').map((kind) => {
    let packed = 0;
    for (let i = 0; i < kind.length; i++) packed = (packed << 8) | kind.charCodeAt(i);
    return packed;
  }),
);

/**
 * Judges the text `bytes[start, end)`. Characters are bytes here: a single one of a script that needs three of them is a
 * word.
 */
export function greedOf(bytes: Uint8Array, start: number, end: number): Greed {
  if (end - start < 2) return 'all';
  if (isLetterWithExtension(bytes, start, end)) return 'all';
  while (start < end && isFiller(bytes[start] as number)) start++;
  while (start < end && isFiller(bytes[end - 1] as number)) end--;
  if (start === end) return 'all';
  const length = end - start;
  if (length < SHORTEST_KIND || length > LONGEST_KIND) return 'none';
  let packed = 0;
  for (let at = start; at < end; at++) packed = (packed << 8) | lowerCase(bytes[at] as number);
  return kinds.has(packed) ? 'kind' : 'none';
}

/** `a.mp3`, `x.jpeg`. */
function isLetterWithExtension(bytes: Uint8Array, start: number, end: number): boolean {
  const extension = end - start - 2;
  if (extension < SHORTEST_KIND || extension > LONGEST_KIND) return false;
  if (bytes[start + 1] !== DOT || !isLetter(lowerCase(bytes[start] as number))) return false;
  for (let at = start + 2; at < end; at++) {
    const byte = lowerCase(bytes[at] as number);
    if (!isLetter(byte) && !(byte >= 0x30 && byte <= 0x39)) return false;
  }
  return true;
}

function isFiller(byte: number): boolean {
  return byte === SPACE || byte === STAR || byte === DASH || byte === DOT;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function isLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a;
}
