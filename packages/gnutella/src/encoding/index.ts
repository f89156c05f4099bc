export type { Decoded } from './decoded.ts';
export { base32Decode, base32Encode } from './base32.ts';
export { cobsDecode, cobsEncode } from './cobs.ts';
export { hexDecode, hexEncode } from './hex.ts';
export { vlintDecode, vlintEncode } from './vlint.ts';
