// Names of files that came from peers (docs/protocol/12-quirks-and-abuse.md §3).

/** Longest name in the downloads folder, in bytes of UTF-8: file systems take 255, and a number may have to fit. */
export const MAX_NAME_BYTES = 200;
/** Longest ending that is kept when a name is cut, in bytes. */
const MAX_EXTENSION_BYTES = 20;
const FALLBACK_NAME = 'download';

/** Names that mean devices on some systems, with any ending. */
const RESERVED = /^(con|prn|aux|nul|clock\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;

/**
 * Makes a name out of what a peer or a person gave: one component, no control or invisible characters, nothing that a
 * system reserves, not hidden, at most `MAX_NAME_BYTES` bytes. Never empty.
 */
export function safeFileName(given: string): string {
  const last = given.toWellFormed().normalize('NFC').split(/[/\\]/).at(-1) ?? '';
  const visible = last
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu, '')
    .replace(/[<>:"|?*\ufffd]/g, '_')
    .replace(/\s+/gu, ' ')
    .replace(/^[. ]+/, '')
    .replace(/[. ]+$/, '');
  const stem = visible.split('.')[0] ?? '';
  const name = RESERVED.test(stem.trim()) ? `_${visible}` : visible;
  return cutName(name === '' ? FALLBACK_NAME : name, MAX_NAME_BYTES);
}

/** The name with ` (n)` before its ending. */
export function numberedName(name: string, n: number): string {
  const { stem, extension } = splitName(name);
  return `${stem} (${n})${extension}`;
}

function cutName(name: string, maxBytes: number): string {
  if (Buffer.byteLength(name) <= maxBytes) return name;
  const { stem, extension } = splitName(name);
  return cutText(stem, maxBytes - Buffer.byteLength(extension)).trimEnd() + extension;
}

function splitName(name: string): { readonly stem: string; readonly extension: string } {
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot) : '';
  if (extension === '' || Buffer.byteLength(extension) > MAX_EXTENSION_BYTES) return { stem: name, extension: '' };
  return { stem: name.slice(0, dot), extension };
}

/** The longest beginning that fits, whole characters only. */
function cutText(text: string, maxBytes: number): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return text.slice(0, end);
}
