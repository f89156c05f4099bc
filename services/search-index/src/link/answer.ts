import type { Query } from '@filbert/gnutella';
import type { Library } from '../catalogue/library.ts';
import type { SharedFile } from '../catalogue/shared-file.ts';
import { isOfMedia, wantedMedia } from './media-type.ts';

/** Files in the answer to one query, and to one for what is new (docs/protocol/06-query-routing-dq.md §2). */
export const MAX_RESULTS_PER_QUERY = 50;
export const MAX_NEWEST = 3;
/** Text of so few bytes is not searched for once the query came over more than `NEAR_HOPS` links (03 §8). */
const SHORT_TEXT_BYTES = 3;
const NEAR_HOPS = 2;

/**
 * The files that answer a query, each hash once: by hash where it names any, else what is new, else by words, the last two
 * only of the kinds of media that GGEP M asks for.
 */
export function filesForQuery(library: Library, query: Query, hops: number): readonly SharedFile[] {
  if (query.sha1s.length > 0) return query.sha1s.flatMap((sha1) => library.bySha1(sha1) ?? []);
  const media = wantedMedia(query.ggep);
  const accept = ({ name }: SharedFile): boolean => media === undefined || isOfMedia(name, media);
  if (query.isWhatsNew) return library.newest(MAX_NEWEST, accept);
  if (hops > NEAR_HOPS && Buffer.byteLength(query.searchText) <= SHORT_TEXT_BYTES) return [];
  return library.search(query.searchText, MAX_RESULTS_PER_QUERY, accept);
}
