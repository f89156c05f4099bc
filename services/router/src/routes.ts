import { GuidTable } from './guid-table.ts';

/** Query GUIDs of one generation (docs/protocol/06 §1); two generations are kept. */
export const MAX_QUERY_ROUTES = 196_608;
/** A query's way back is kept for at least this long unless the table is full, ms. */
export const QUERY_ROUTE_MS = 10 * 60_000;
/** Servent GUIDs of one generation. */
export const MAX_PUSH_ROUTES = 49_152;
/** A servent's way is kept for at least this long unless the table is full, ms. */
export const PUSH_ROUTE_MS = 60 * 60_000;
/** PUSH message GUIDs of one generation, kept to drop duplicates. */
export const MAX_SEEN_PUSHES = 24_576;
const SEEN_PUSH_MS = 7 * 60_000;
/** Out-of-band queries of one generation, by GUID without its address; two generations are kept. */
export const MAX_SEEN_OUT_OF_BAND = 98_304;
/** Servents of one generation that PUSHes were asked for over HTTP. */
export const MAX_PROXIED_SERVENTS = 12_288;
/** PUSHes that one servent gets in this time because somebody asked over HTTP (docs/protocol/08 §3.2). */
export const MAX_PROXIED_PUSHES = 4;
export const PROXIED_PUSH_WINDOW_MS = 30_000;

/** Links kept as ways back for one query, the first one first; further ones are not recorded. */
export const WAYS_PER_QUERY = 4;
/** Links kept as ways to one servent, the newest first. */
export const WAYS_PER_SERVENT = 3;

/** Columns of a query route. */
export const QueryColumn = {
  ways: 0,
  results: WAYS_PER_QUERY,
  highestTtl: WAYS_PER_QUERY + 1,
  extensions: WAYS_PER_QUERY + 2,
  /** The highest TTL that came over each way, one byte a way. */
  wayTtls: WAYS_PER_QUERY + 3,
  /** Bytes of hits routed back. */
  hitBytes: WAYS_PER_QUERY + 4,
};

/** Columns of a servent's route. */
export const ServentColumn = {
  ways: 0,
  /** When the servent's own shard was taught last, s. */
  taughtAt: WAYS_PER_SERVENT,
};

/** Routes of queries by message GUID: ways back (link serials), records and bytes routed, TTLs seen, extensions sent on. */
export function createQueryRoutes(now: () => number): GuidTable {
  return new GuidTable({
    maxEntries: MAX_QUERY_ROUTES,
    width: WAYS_PER_QUERY + 5,
    generationMs: QUERY_ROUTE_MS,
    now,
  });
}

/** Ways to servents by servent GUID, learned from hits (docs/protocol/02 §8). */
export function createPushRoutes(now: () => number): GuidTable {
  return new GuidTable({
    maxEntries: MAX_PUSH_ROUTES,
    width: WAYS_PER_SERVENT + 1,
    generationMs: PUSH_ROUTE_MS,
    now,
  });
}

/** GUIDs of PUSH messages seen, each with the link (serial) that it came over. */
export function createSeenPushes(now: () => number): GuidTable {
  return new GuidTable({ maxEntries: MAX_SEEN_PUSHES, width: 1, generationMs: SEEN_PUSH_MS, now });
}

/** Columns of an out-of-band query, whoever proxied it. */
export const OutOfBandColumn = {
  highestTtl: 0,
  /** Copies that went on after the first. */
  extensions: 1,
};

/** Out-of-band queries seen, by mangled GUID: copies of one that several ultrapeers proxied differ in the address only. */
export function createSeenOutOfBand(now: () => number): GuidTable {
  return new GuidTable({ maxEntries: MAX_SEEN_OUT_OF_BAND, width: 2, generationMs: QUERY_ROUTE_MS, now });
}

/** Columns of a servent that PUSHes were asked for. */
export const ProxiedColumn = {
  /** PUSHes since `sinceS`, s of the shard's clock. */
  count: 0,
  sinceS: 1,
};

/** How many PUSHes each servent got lately because somebody asked over HTTP. */
export function createProxiedPushes(now: () => number): GuidTable {
  return new GuidTable({ maxEntries: MAX_PROXIED_SERVENTS, width: 2, generationMs: PROXIED_PUSH_WINDOW_MS, now });
}

/**
 * Notes that `serial` sent the query with this TTL: a further way back, unless the list is full (docs/protocol/06 §1).
 * @param ttl 0 … 255, as it came
 * @returns whether that link had sent it with this TTL or a higher one before
 */
export function noteWay(routes: GuidTable, handle: number, serial: number, ttl: number): boolean {
  const ttls = routes.get(handle, QueryColumn.wayTtls);
  for (let i = 0; i < WAYS_PER_QUERY; i++) {
    const way = routes.get(handle, QueryColumn.ways + i);
    if (way !== 0 && way !== serial) continue;
    const shift = i << 3;
    if (way === serial && ((ttls >>> shift) & 0xff) >= ttl) return true;
    routes.set(handle, QueryColumn.ways + i, serial);
    routes.set(handle, QueryColumn.wayTtls, (ttls & ~(0xff << shift)) | (ttl << shift));
    return false;
  }
  return false;
}

/**
 * Makes `serial` the first way to a servent, the others stay behind it: a later hit re-points the route
 * (conformance 5).
 * @returns whether that changed anything
 */
export function learnWay(routes: GuidTable, bytes: Uint8Array, start: number, serial: number): boolean {
  let handle = routes.find(bytes, start);
  if (handle < 0) {
    handle = routes.insert(bytes, start);
    routes.set(handle, 0, serial);
    return true;
  }
  handle = routes.promote(handle);
  if (routes.get(handle, 0) === serial) return false;
  let at = 1;
  while (at < WAYS_PER_SERVENT - 1 && routes.get(handle, at) !== serial) at++;
  for (; at > 0; at--) routes.set(handle, at, routes.get(handle, at - 1));
  routes.set(handle, 0, serial);
  return true;
}
