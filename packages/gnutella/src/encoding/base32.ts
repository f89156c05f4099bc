// RFC 4648 base32 without padding, as URNs and GUIDs are written (docs/protocol/03-ggep-huge.md §6).

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const BITS_PER_DIGIT = 5;
const NOT_A_DIGIT = 0xff;

const DIGIT_OF_CODE = digitTable();

/** Upper-case base32 of `bytes`, unpadded: 20 bytes give 32 characters, 24 give 39, 16 give 26. */
export function base32Encode(bytes: Uint8Array): string {
  let text = '';
  let window = 0;
  let bits = 0;
  for (const byte of bytes) {
    window = ((window << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= BITS_PER_DIGIT) {
      bits -= BITS_PER_DIGIT;
      text += ALPHABET[(window >>> bits) & 31] ?? '';
    }
  }
  if (bits > 0) text += ALPHABET[(window << (BITS_PER_DIGIT - bits)) & 31] ?? '';
  return text;
}

/**
 * Bytes of unpadded base32 in either case.
 * @returns undefined for a foreign character (0, 1, 8 and 9 among them) or a length that no bytes encode to
 */
export function base32Decode(text: string): Uint8Array | undefined {
  const unusedBits = (text.length * BITS_PER_DIGIT) % 8;
  if (unusedBits >= BITS_PER_DIGIT) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * BITS_PER_DIGIT) / 8));
  let window = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i += 1) {
    const digit = DIGIT_OF_CODE[text.charCodeAt(i)] ?? NOT_A_DIGIT;
    if (digit === NOT_A_DIGIT) return undefined;
    window = ((window << BITS_PER_DIGIT) | digit) & 0xfff;
    bits += BITS_PER_DIGIT;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = (window >>> bits) & 0xff;
      at += 1;
    }
  }
  return bytes;
}

function digitTable(): Uint8Array {
  const table = new Uint8Array(128).fill(NOT_A_DIGIT);
  for (let digit = 0; digit < ALPHABET.length; digit += 1) {
    table[ALPHABET.charCodeAt(digit)] = digit;
    table[ALPHABET.toLowerCase().charCodeAt(digit)] = digit;
  }
  return table;
}
