// Magnet links: what a person pastes to start a download (docs/protocol/03-ggep-huge.md §6 for the names in xt).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { formatBitprintUrn, formatSha1Urn, parseFileUrn } from './file-urn.ts';
import type { Sha1, Tth } from './file-urn.ts';
import { base32Encode } from '../encoding/base32.ts';

/** Longest link that is read, in characters. */
export const MAX_MAGNET_CHARS = 8192;
/** Parameters looked at in one link. */
export const MAX_MAGNET_PARAMETERS = 64;
/** Sources kept of one link. */
export const MAX_MAGNET_SOURCES = 16;
const MAX_NAME_CHARS = 255;
const MAX_SOURCE_CHARS = 2048;

/** A link. The name is for display and suggestion: no path, no control characters. */
export interface Magnet {
  readonly sha1?: Sha1;
  readonly tth?: Tth;
  /** `dn` */
  readonly name?: string;
  /** `xl`, bytes */
  readonly sizeBytes?: number;
  /** `xs`: http and https addresses only */
  readonly exactSources: readonly string[];
  /** `as`: http and https addresses only */
  readonly acceptableSources: readonly string[];
}

/** Why a link is not taken. */
export type MagnetRefusal = 'not-a-magnet' | 'too-large' | 'no-hash';

/**
 * Reads `magnet:?xt=…&dn=…&xl=…&xs=…&as=…`; parameters in any order and with `.n` behind their names. Parameters that
 * are broken or unknown are passed over; a link must name a SHA-1 or a tree root.
 */
export function parseMagnet(link: string): Decoded<Magnet, MagnetRefusal> {
  if (link.length > MAX_MAGNET_CHARS) return refused('too-large');
  const query = /^magnet:\/{0,2}\?(.*)$/is.exec(link.trim())?.[1];
  if (query === undefined) return refused('not-a-magnet');
  const exactSources: string[] = [];
  const acceptableSources: string[] = [];
  const magnet: Draft = { exactSources, acceptableSources };

  for (const parameter of query.split('&', MAX_MAGNET_PARAMETERS)) {
    const equals = parameter.indexOf('=');
    const key = parameter
      .slice(0, equals)
      .toLowerCase()
      .replace(/\.\d{1,3}$/, '');
    const value = equals < 0 ? undefined : percentDecode(parameter.slice(equals + 1));
    if (value === undefined) continue;
    if (key === 'xt') takeTopic(magnet, value);
    else if (key === 'xl') takeSize(magnet, value);
    else if (key === 'dn') takeName(magnet, value);
    else if (key === 'xs') takeSource(exactSources, value);
    else if (key === 'as') takeSource(acceptableSources, value);
  }
  return magnet.sha1 === undefined && magnet.tth === undefined ? refused('no-hash') : accepted(magnet);
}

/** Writes a link; with both hashes as bitprint. */
export function formatMagnet(magnet: Magnet): string {
  const parameters: string[] = [];
  if (magnet.sha1 !== undefined) {
    const urn = magnet.tth === undefined ? formatSha1Urn(magnet.sha1) : formatBitprintUrn(magnet.sha1, magnet.tth);
    parameters.push(`xt=${urn}`);
  } else if (magnet.tth !== undefined) {
    parameters.push(`xt=urn:tree:tiger:${base32Encode(magnet.tth)}`);
  }
  if (magnet.name !== undefined) parameters.push(`dn=${encodeURIComponent(magnet.name.toWellFormed())}`);
  if (magnet.sizeBytes !== undefined) parameters.push(`xl=${magnet.sizeBytes}`);
  for (const source of magnet.exactSources) parameters.push(`xs=${encodeURIComponent(source.toWellFormed())}`);
  for (const source of magnet.acceptableSources) parameters.push(`as=${encodeURIComponent(source.toWellFormed())}`);
  return `magnet:?${parameters.join('&')}`;
}

type Draft = { -readonly [K in keyof Magnet]: Magnet[K] };

function takeTopic(magnet: Draft, value: string): void {
  const urn = parseFileUrn(value);
  if ((urn.kind === 'sha1' || urn.kind === 'bitprint') && magnet.sha1 === undefined) magnet.sha1 = urn.sha1;
  if ((urn.kind === 'tth' || urn.kind === 'bitprint') && magnet.tth === undefined) magnet.tth = urn.tth;
}

function takeSize(magnet: Draft, value: string): void {
  const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isSafeInteger(size)) magnet.sizeBytes ??= size;
}

function takeName(magnet: Draft, value: string): void {
  // Only the last component, and nothing that a terminal or a reader of names would be deceived by.
  const base = value.split(/[/\\]/).at(-1) ?? '';
  const name = base
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .trim()
    .slice(0, MAX_NAME_CHARS)
    .toWellFormed();
  if (name !== '' && name !== '.' && name !== '..') magnet.name ??= name;
}

function takeSource(sources: string[], value: string): void {
  if (sources.length >= MAX_MAGNET_SOURCES || value.length > MAX_SOURCE_CHARS) return;
  const url = URL.parse(value);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return;
  if (url.username !== '' || url.password !== '') return;
  if (!sources.includes(url.href)) sources.push(url.href);
}

function percentDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
