/**
 * Whether the bytes from `start` to `end` are well-formed UTF-8: no overlong forms, no surrogates, nothing above
 * U+10FFFF. Allocates nothing.
 */
export function isWellFormedUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const first = bytes[at] as number;
    if (first < 0x80) {
      at++;
      continue;
    }
    const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (length === 0 || at + length > end) return false;
    const second = bytes[at + 1] as number;
    const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < lowest || second > highest) return false;
    for (let offset = 2; offset < length; offset++) {
      if (((bytes[at + offset] as number) & 0xc0) !== 0x80) return false;
    }
    at += length;
  }
  return true;
}
