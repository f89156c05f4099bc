import {
  GUID_BYTES,
  HEADER_BYTES,
  HOPS_OFFSET,
  isWhatsNewText,
  QueryDefect,
  QueryExtensions,
  TTL_OFFSET,
} from '@filbert/gnutella';
import type { FrameDropReason } from '../counters.ts';
import type { PeerLink } from '../link/peer-link.ts';
import { greedOf } from './greedy-text.ts';
import { NearGuids } from './near-guids.ts';
import { RecentTexts } from './recent-texts.ts';

/** A leaf that asks the same again within this time gets no answer (docs/protocol/12 §5). */
export const LEAF_REQUERY_MS = 1_700_000;
/**
 * Likewise an ultrapeer, with the same TTL and hops: gtk-gnutella's two sets of 5 s (docs/protocol/06 §2); asked again after
 * half a minute, it answers. The 60 s of page 12 §5 would cost hits.
 */
export const ULTRAPEER_REPETITION_MS = 10_000;
/** Hops plus TTL of a query for every file of a kind (conformance 181). */
export const MAX_GREEDY_TTL = 3;

/** Bytes of a QUERY before its text. */
const FLAGS_BYTES = 2;
const SEED_1 = 0x811c9dc5;
const PRIME_1 = 0x01000193;
const SEED_2 = 0x9e3779b9;
const PRIME_2 = 0x85ebca6b;

/** What is remembered of the queries of one link. */
interface LinkQueries {
  readonly texts: RecentTexts;
  readonly guids: NearGuids;
}

/**
 * The rules about a query's text and GUID that need only what its own link sent before: repetitions, GUIDs that are counted
 * up, queries for everything (docs/protocol/06 §2, 12 §5; conformance 181 to 183). None of it is held against the link.
 */
export class QueryFilter {
  /** Queries whose TTL was cut because they ask for every file of a kind. */
  trimmed = 0;
  readonly #links = new Map<PeerLink, LinkQueries>();
  readonly #extensions = new QueryExtensions();
  /** Independent hashes of what the query at hand asks. */
  #first = 0;
  #second = 0;

  /** Forgets a link that is gone. */
  forget(link: PeerLink): void {
    this.#links.delete(link);
  }

  /**
   * Why the QUERY `bytes[start, end)` goes no further; undefined if it does. May cut the TTL in it. What is malformed is not
   * judged: the shard drops it.
   * @param now ms
   */
  refusal(link: PeerLink, bytes: Uint8Array, start: number, end: number, now: number): FrameDropReason | undefined {
    const queries = this.#links.get(link) ?? this.#startFor(link);
    const hops = bytes[start + HOPS_OFFSET] as number;
    if (queries.guids.isNear(bytes, start, hops, now)) return 'near-guid';

    const textStart = start + HEADER_BYTES + FLAGS_BYTES;
    let textEnd = textStart;
    while (textEnd < end && bytes[textEnd] !== 0) textEnd++;
    if (textEnd >= end || textEnd === textStart || isWhatsNewText(bytes, textStart, textEnd)) return undefined;
    const extensions = this.#extensions;
    if (textEnd + 1 === end) extensions.clear();
    else if (extensions.parse(bytes, textEnd + 1, end) !== QueryDefect.none) return undefined;
    // What is asked by URN, for what is new or for a feature may be asked again and again.
    if (extensions.urnCount > 0 || extensions.whatsNew || extensions.asksForFeature) return undefined;

    const ttl = bytes[start + TTL_OFFSET] as number;
    // The same text with another TTL or other hops is another query where it comes from an ultrapeer.
    const way = link.isUltrapeer ? (ttl << 8) | hops : 0;
    this.#first = SEED_1 ^ way;
    this.#second = SEED_2 ^ way;
    this.#hash(bytes, textStart, textEnd);
    this.#hash(bytes, extensions.extendedTextStart, extensions.extendedTextEnd);
    if (queries.texts.isRepeated(this.#first, this.#second, hashOf(bytes, start), now)) {
      return link.isUltrapeer ? 'repeated-query' : 'requery';
    }
    if (extensions.extendedTextEnd > 0) return undefined;
    switch (greedOf(bytes, textStart, textEnd)) {
      case 'none':
        return undefined;
      case 'all':
        return 'greedy-query';
      case 'kind':
        return this.#trim(bytes, start, hops, ttl) ? undefined : 'greedy-query';
    }
  }

  #startFor(link: PeerLink): LinkQueries {
    const windowMs = link.isUltrapeer ? ULTRAPEER_REPETITION_MS : LEAF_REQUERY_MS;
    const queries = { texts: new RecentTexts(link.isUltrapeer, windowMs), guids: new NearGuids() };
    this.#links.set(link, queries);
    return queries;
  }

  /** Takes bytes into both hashes of what is asked. */
  #hash(bytes: Uint8Array, start: number, end: number): void {
    let first = this.#first;
    let second = this.#second;
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number;
      first = Math.imul(first ^ byte, PRIME_1);
      second = Math.imul(second ^ (second >>> 15) ^ byte, PRIME_2);
    }
    this.#first = first;
    this.#second = second;
  }

  /** Cuts hops plus TTL to what a query for every file of a kind may have; false where nothing is left. */
  #trim(bytes: Uint8Array, start: number, hops: number, ttl: number): boolean {
    const most = MAX_GREEDY_TTL - hops;
    if (ttl <= most) return true;
    if (most < 1) return false;
    bytes[start + TTL_OFFSET] = most;
    this.trimmed++;
    return true;
  }
}

function hashOf(guid: Uint8Array, start: number): number {
  let hash = SEED_1;
  for (let at = start; at < start + GUID_BYTES; at++) hash = Math.imul(hash ^ (guid[at] as number), PRIME_1);
  return hash;
}
