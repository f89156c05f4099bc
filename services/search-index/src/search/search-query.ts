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
  /** The words that are looked up, in canonical form: the same for whoever asks for the same. */
  readonly words: string;
  readonly sha1: Sha1 | undefined;
  /** The QUERY frame. */
  readonly frame: Uint8Array;
}

export type SearchQueryResult =
  { readonly ok: true; readonly value: SearchQuery } | { readonly ok: false; readonly problem: string };

/**
 * The QUERY for what a person typed: words, `urn:sha1:…`, or a magnet link, of which the name is asked for too. It says that we understand GGEP H, and asks for
 * no out-of-band hits (02 §9).
 * @param guid of the query, 16 bytes
 */
export function searchQuery(typed: string, guid: Uint8Array): SearchQueryResult {
  const trimmed = typed.trim();
  const magnet = parseMagnet(trimmed);
  const sha1 = magnet.ok ? magnet.value.sha1 : parseSha1Urn(trimmed);
  if (sha1 === undefined && /^(urn:|magnet:)/i.test(trimmed)) {
    return { ok: false, problem: 'the link names no SHA-1 that can be read' };
  }
  if (sha1 === undefined) return queryOf(trimmed, undefined, guid);
  // Tables of leaves hold words and mostly no URNs (05 §1.1): where the file's name is known, it leads the query to them.
  const named = magnet.ok && magnet.value.name !== undefined ? queryOf(magnet.value.name, sha1, guid) : undefined;
  return named?.ok === true ? named : queryOf(URN_ONLY_TEXT, sha1, guid);
}

/** @returns why it cannot be asked, where these words cannot be */
function queryOf(text: string, sha1: Sha1 | undefined, guid: Uint8Array): SearchQueryResult {
  if (text.includes('\0') || text.includes('\x1c')) return { ok: false, problem: 'the words hold a control character' };
  const words = canonicalWords(text);
  const hasWord = words.some((word) => Buffer.byteLength(word) >= MIN_WORD_BYTES);
  if (!hasWord && !(sha1 !== undefined && text === URN_ONLY_TEXT)) {
    return { ok: false, problem: `a search needs a word of at least ${MIN_WORD_BYTES} letters` };
  }
  const frame = encodeQuery(
    { guid, ttl: QUERY_TTL },
    { flags: QueryFlag.IS_FLAGS | QueryFlag.GGEP_HASH, text, sha1s: sha1 === undefined ? [] : [sha1] },
  );
  if (frame.length - HEADER_BYTES > MAX_QUERY_BYTES)
    return { ok: false, problem: 'the words are too long for a query' };
  return { ok: true, value: { text, words: words.join(' '), sha1, frame } };
}
