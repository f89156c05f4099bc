// Names of files by their content: urn:sha1, urn:bitprint, urn:tree:tiger (docs/protocol/03-ggep-huge.md §6).
import { base32Decode, base32Encode } from '../encoding/base32.ts';
import { GnutellaError } from '../errors.ts';

declare const sha1Brand: unique symbol;
declare const tthBrand: unique symbol;

/** 20 bytes. */
export type Sha1 = Uint8Array & { readonly [sha1Brand]: 'Sha1' };
/** 24 bytes: a tiger tree root. */
export type Tth = Uint8Array & { readonly [tthBrand]: 'Tth' };

export const SHA1_BYTES = 20;
export const TTH_BYTES = 24;
const SHA1_DIGITS = 32;
const TTH_DIGITS = 39;

/** What a URN says. `any` has no value ("label results with URNs"); `other` is of a namespace that we do not use. */
export type FileUrn =
  | { readonly kind: 'sha1'; readonly sha1: Sha1 }
  | { readonly kind: 'bitprint'; readonly sha1: Sha1; readonly tth: Tth }
  | { readonly kind: 'tth'; readonly tth: Tth }
  | { readonly kind: 'any' }
  | { readonly kind: 'other' }
  | { readonly kind: 'malformed' };

/**
 * Takes 20 bytes as SHA-1, without a copy.
 * @throws GnutellaError `bad-urn` for another length
 */
export function asSha1(bytes: Uint8Array): Sha1 {
  if (bytes.length !== SHA1_BYTES) throw new GnutellaError('bad-urn', `a SHA-1 has 20 bytes, not ${bytes.length}`);
  return bytes as Sha1;
}

/**
 * Takes 24 bytes as tiger tree root, without a copy.
 * @throws GnutellaError `bad-urn` for another length
 */
export function asTth(bytes: Uint8Array): Tth {
  if (bytes.length !== TTH_BYTES) throw new GnutellaError('bad-urn', `a tree root has 24 bytes, not ${bytes.length}`);
  return bytes as Tth;
}

/** Reads 32 base32 digits in either case. */
export function sha1FromBase32(text: string): Sha1 | undefined {
  return text.length === SHA1_DIGITS ? (base32Decode(text) as Sha1 | undefined) : undefined;
}

/** Reads 39 base32 digits in either case. */
export function tthFromBase32(text: string): Tth | undefined {
  return text.length === TTH_DIGITS ? (base32Decode(text) as Tth | undefined) : undefined;
}

/** Reads any URN, names and digits in either case. Total: what breaks the form is `malformed`. */
export function parseFileUrn(text: string): FileUrn {
  const match = /^urn:(?:([a-z0-9][a-z0-9-]{0,31})(?::([\s\S]*))?)?$/i.exec(text);
  if (match === null) return { kind: 'malformed' };
  const namespace = match[1]?.toLowerCase();
  const value = match[2] ?? '';
  if (namespace === undefined) return { kind: 'any' };
  switch (namespace) {
    case 'sha1': {
      if (value === '') return { kind: 'any' };
      const sha1 = sha1FromBase32(value);
      return sha1 === undefined ? { kind: 'malformed' } : { kind: 'sha1', sha1 };
    }
    case 'bitprint': {
      const sha1 = sha1FromBase32(value.slice(0, SHA1_DIGITS));
      const tth = value[SHA1_DIGITS] === '.' ? tthFromBase32(value.slice(SHA1_DIGITS + 1)) : undefined;
      return sha1 === undefined || tth === undefined ? { kind: 'malformed' } : { kind: 'bitprint', sha1, tth };
    }
    case 'ttroot':
      return tthUrn(value);
    case 'tree':
      return tthUrn(value.replace(/^tiger\/?:/i, ''));
    default:
      // Without a colon behind it, the name is part of something that we would misread.
      return match[2] === undefined ? { kind: 'malformed' } : { kind: 'other' };
  }
}

/** The SHA-1 of `urn:sha1:…` or `urn:bitprint:…`, spaces before it allowed; undefined for anything else. */
export function parseSha1Urn(text: string): Sha1 | undefined {
  const urn = parseFileUrn(text.trimStart());
  return urn.kind === 'sha1' || urn.kind === 'bitprint' ? urn.sha1 : undefined;
}

/** `urn:sha1:` and 32 upper-case digits. */
export function formatSha1Urn(sha1: Sha1): string {
  return `urn:sha1:${base32Encode(sha1)}`;
}

/** `urn:bitprint:`, 32 digits, a dot and 39 digits. */
export function formatBitprintUrn(sha1: Sha1, tth: Tth): string {
  return `urn:bitprint:${base32Encode(sha1)}.${base32Encode(tth)}`;
}

/**
 * The URN in a request target such as `/uri-res/N2R?urn:sha1:…`, in either case (docs/protocol/08-push-and-transfers.md).
 * @returns undefined when it is no such target or names no SHA-1
 */
export function sha1FromN2rTarget(target: string): Sha1 | undefined {
  const match = /^\/uri-res\/n2r\?(urn:\S{1,128})$/i.exec(target);
  return match === null ? undefined : parseSha1Urn(match[1] ?? '');
}

function tthUrn(value: string): FileUrn {
  const tth = tthFromBase32(value);
  return tth === undefined ? { kind: 'other' } : { kind: 'tth', tth };
}
