import { isInUnicodeBlock, unicodeBlockOf } from './unicode-blocks.ts';

// Non-spacing marks that are part of a letter's identity and stay: voicing marks, nuktas, viramas, and the vowel signs
// of Telugu, Thai, Lao and Tibetan. They are the marks of combining classes 7, 8, 9, 84, 91, 103, 118 and 129 to 132.
const KEPT_MARKS = `
3099 309a 93c 9bc a3c abc b3c c3c cbc 1037 1b34 1be6 1c37 a9b3 94d 9cd a4d acd b4d bcd c4d ccd d3b d3c d4d dca e3a eba
f84 1039 103a 1714 17d2 1a60 1bab 2d7f a806 a82c a8c4 aaf6 abed c55 c56 e38 e39 eb8 eb9 f71 f72 f74 f7a f7b f7c f7d f80
`
  .trim()
  .split(/\s+/)
  .map((codePoint) => `\\u{${codePoint}}`)
  .join('');

/** Accents and control characters: they vanish without leaving a word boundary. */
const DELETED = new RegExp(`[[\\p{Mn}\\p{Cc}]--[\\n${KEPT_MARKS}]]`, 'gv');
/** Whatever is neither letter nor digit nor a kept mark ends a word. */
const SEPARATORS = new RegExp(`[^\\p{Ll}\\p{Lo}\\p{Lm}\\p{Nd}\\p{Cn}\\n ${KEPT_MARKS}]`, 'gu');
const SPACE = 0x20;
const SPACE_RUNS = / {2,}/g;
const OUTER_SPACES = /^ | $/g;
// eslint-disable-next-line no-control-regex -- the range is all of ASCII
const ASCII_ONLY = /^[\u0000-\u007F]*$/;

/**
 * Full case folding, which JavaScript lacks: through upper case and back, so that ß becomes ss and every sigma σ.
 * The dotless ı folds to itself and must not pass through I. Cherokee alone goes the other way than Unicode has it, to
 * its small letters, for capitals would be taken for separators.
 */
function foldCase(text: string): string {
  if (text.includes('ı')) return text.split('ı').map(foldCase).join('ı');
  return text.toLowerCase().toUpperCase().toLowerCase().replaceAll('ς', 'σ');
}

/** Puts a space between neighbouring characters of different Unicode blocks. */
function splitAtBlocks(text: string): string {
  if (ASCII_ONLY.test(text)) return text;
  let result = '';
  let taken = 0;
  let block = -1;
  for (let at = 0; at < text.length;) {
    const codePoint = text.codePointAt(at) ?? 0;
    if (codePoint === SPACE) {
      block = -1;
    } else if (block < 0) {
      block = unicodeBlockOf(codePoint);
    } else if (!isInUnicodeBlock(block, codePoint)) {
      block = unicodeBlockOf(codePoint);
      result += `${text.slice(taken, at)} `;
      taken = at;
    }
    at += codePoint > 0xffff ? 2 : 1;
  }
  return result + text.slice(taken);
}

/**
 * The canonical form in which names and queries are compared and hashed: case folded, accents removed, words separated
 * by single spaces, none at the ends (docs/protocol/05-qrp.md §1.1, gtk-gnutella's steps).
 */
export function canonicalText(text: string): string {
  const filtered = foldCase(text.normalize('NFC'))
    .normalize('NFKD')
    .replace(DELETED, '')
    .replace(SEPARATORS, ' ')
    .replace(SPACE_RUNS, ' ')
    .replace(OUTER_SPACES, '');
  return splitAtBlocks(filtered.normalize('NFC'));
}

/** The words of `canonicalText(text)` in their order, repeated ones included. */
export function canonicalWords(text: string): string[] {
  const canonical = canonicalText(text);
  return canonical === '' ? [] : canonical.split(' ');
}
