import { LinkKind } from '@filbert/contracts';
import type { DropReason } from './counters.ts';
import type { GuidTable } from './guid-table.ts';
import type { Link } from './link-table.ts';
import { QueryColumn } from './routes.ts';

/** Records routed back for one query; further hits are dropped (docs/protocol/06 §3). */
export const MAX_RECORDS_PER_QUERY = 1_000;
/**
 * A hit is routed while the bytes of hits routed for its query are fewer than this, by the TTL with which it goes on: the
 * farther it still has to go, the more links it costs (conformance 30).
 */
export const MAX_BYTES_LAST_HOP = 200 * 1024;
export const MAX_BYTES_TWO_HOPS = 100 * 1024;
export const MAX_BYTES_FAR = 50 * 1024;

/**
 * Whether a hit may go to `target`, by what its query brought already; if so, it is counted. To a leaf a hit has one
 * link to go, whatever its TTL; of what we search for ourselves only the records count.
 * @param route handle of the query in `routes`
 * @param bytes of the whole frame
 * @param ttl with which it would be sent
 */
export function takeHitQuota(
  routes: GuidTable,
  route: number,
  records: number,
  bytes: number,
  ttl: number,
  target: Link,
): DropReason | undefined {
  const recordsThen = routes.get(route, QueryColumn.results) + records;
  if (recordsThen > MAX_RECORDS_PER_QUERY) return 'results-enough';
  const bytesSoFar = routes.get(route, QueryColumn.hitBytes);
  if (!target.isInternal && bytesSoFar >= byteLimit(target, ttl)) return 'hit-bytes-enough';
  routes.set(route, QueryColumn.results, recordsThen);
  routes.set(route, QueryColumn.hitBytes, bytesSoFar + bytes);
  return undefined;
}

function byteLimit(target: Link, ttl: number): number {
  if (ttl < 2 || target.kind !== LinkKind.LINK_KIND_ULTRAPEER) return MAX_BYTES_LAST_HOP;
  return ttl === 2 ? MAX_BYTES_TWO_HOPS : MAX_BYTES_FAR;
}
