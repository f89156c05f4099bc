import {
  canonicalWords,
  encodeQuery,
  HEADER_BYTES,
  MAX_QUERY_BYTES,
  parseMagnet,
  parseSha1Urn,
  QueryFlag,
  URN_ONLY_TEXT,
  type Sha1,
} from '@filbert/gnutella';

/** TTL of a person's query; the router asks ultrapeers step by step and sets lower ones (docs/protocol/02-messages.md §3). */
const QUERY_TTL = 4;
/** Ultrapeers look up no shorter word (docs/protocol/05-qrp.md §1.1). */
const MIN_WORD_BYTES = 3;

/** What a person asks for. */
export interface SearchQuery {
  readonly text: string;
  readonly sha1: Sha1 | undefined;
  /** The QUERY frame. */
  readonly frame: Uint8Array;
}

export type SearchQueryResult =
  { readonly ok: true; readonly value: SearchQuery } | { readonly ok: false; readonly problem: string };

/**
 * The QUERY for what a person typed: words, `urn:sha1:…`, or a magnet link. It says that we understand GGEP H, and asks for
 * no out-of-band hits (02 §9).
 * @param guid of the query, 16 bytes
 */
export function searchQuery(typed: string, guid: Uint8Array): SearchQueryResult {
  const trimmed = typed.trim();
  const sha1 = typedSha1(trimmed);
  if (sha1 === undefined && /^(urn:|magnet:)/i.test(trimmed)) {
    return { ok: false, problem: 'the link names no SHA-1 that can be read' };
  }
  const text = sha1 === undefined ? trimmed : URN_ONLY_TEXT;
  if (text.includes('\0') || text.includes('\x1c')) return { ok: false, problem: 'the words hold a control character' };
  if (sha1 === undefined && !canonicalWords(text).some((word) => Buffer.byteLength(word) >= MIN_WORD_BYTES)) {
    return { ok: false, problem: `a search needs a word of at least ${MIN_WORD_BYTES} letters` };
  }
  const frame = encodeQuery(
    { guid, ttl: QUERY_TTL },
    { flags: QueryFlag.IS_FLAGS | QueryFlag.GGEP_HASH, text, sha1s: sha1 === undefined ? [] : [sha1] },
  );
  if (frame.length - HEADER_BYTES > MAX_QUERY_BYTES)
    return { ok: false, problem: 'the words are too long for a query' };
  return { ok: true, value: { text, sha1, frame } };
}

function typedSha1(typed: string): Sha1 | undefined {
  const magnet = parseMagnet(typed);
  return magnet.ok ? magnet.value.sha1 : parseSha1Urn(typed);
}
