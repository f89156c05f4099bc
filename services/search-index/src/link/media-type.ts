import { extname } from 'node:path';
import { findGgepValue, GgepId, vlintDecode, type GgepEntry } from '@filbert/gnutella';

/** Bits of GGEP M and the file names that each stands for (docs/protocol/03-ggep-huge.md §5). */
const ENDINGS: readonly (readonly [bit: number, endings: string])[] = [
  [0x04, 'aac aif aiff ape au flac m4a mid midi mp2 mp3 mpc ogg oga opus ra wav wma'],
  [0x08, 'asf avi divx flv m4v mkv mov mp4 mpeg mpg ogm ogv rm ts vob webm wmv'],
  [0x10, 'azw3 chm csv djvu doc docx epub fb2 html htm md mobi odp ods odt pdf ppt pptx ps rtf tex txt xls xlsx'],
  [0x20, 'avif bmp gif heic ico jpeg jpg pcx png psd svg tif tiff webp'],
  [0x40, 'bat cab exe msi'],
  [0x80, 'appimage deb dmg gz iso rpm sh tar tgz xz zip 7z bz2'],
  [0x100, 'torrent'],
];

const BITS_OF_ENDING = new Map<string, number>(
  ENDINGS.flatMap(([bit, endings]) => endings.split(' ').map((ending) => [`.${ending}`, bit] as const)),
);
const ALL_BITS = ENDINGS.reduce((mask, [bit]) => mask | bit, 0);

/** The kinds of media that a query asks for; undefined where it takes any, or names only kinds that we do not know. */
export function wantedMedia(ggep: readonly GgepEntry[]): number | undefined {
  const value = findGgepValue(ggep, GgepId.MEDIA);
  const mask = value === undefined ? 0 : ((vlintDecode(value) ?? 0) & ALL_BITS) >>> 0;
  return mask === 0 ? undefined : mask;
}

/** Whether a file of this name is of a kind in `mask`. */
export function isOfMedia(name: string, mask: number): boolean {
  return ((BITS_OF_ENDING.get(extname(name).toLowerCase()) ?? 0) & mask) !== 0;
}
