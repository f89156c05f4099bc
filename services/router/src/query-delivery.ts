import { tableMatches, type QueryScanner } from '@filbert/gnutella';
import { LinkCapability, LinkKind } from '@filbert/contracts';
import type { ShardCounters } from './counters.ts';
import type { Link, LinkTable } from './link-table.ts';
import type { Outbox } from './outbox.ts';

const LEAF_TTL = 1;

export interface QueryDeliveryOptions {
  readonly links: LinkTable;
  readonly outbox: Outbox;
  readonly counters: ShardCounters;
  /** Holds what the query asks for. */
  readonly scanner: QueryScanner;
}

/** Whom a query is delivered to: leaves by their tables, ultrapeers by TTL and on the last hop by their tables. */
export class QueryDelivery {
  readonly #links: LinkTable;
  readonly #outbox: Outbox;
  readonly #counters: ShardCounters;
  readonly #scanner: QueryScanner;
  #columns = new Uint32Array(0);

  constructor({ links, outbox, counters, scanner }: QueryDeliveryOptions) {
    this.#links = links;
    this.#outbox = outbox;
    this.#counters = counters;
    this.#scanner = scanner;
  }

  /** To every leaf, and library, whose table has all words or any URN (docs/protocol/05 §7). */
  toLeaves(id: number, bytes: Uint8Array, start: number, end: number, from: Link, hops: number): void {
    const { matrix } = this.#links;
    const { wordHashes, wordCount, urnHashes, urnCount } = this.#scanner;
    if (wordCount === 0 && urnCount === 0) return;
    if (this.#columns.length < matrix.columns) this.#columns = new Uint32Array(matrix.columns);
    const found = matrix.find(wordHashes, wordCount, urnHashes, urnCount, this.#columns);
    for (let i = 0; i < found; i++) {
      const link = this.#links.byColumn(this.#columns[i] as number);
      if (link === undefined || !link.isFiltered || link === from || hops >= link.hopsFlow) continue;
      this.#counters.candidates++;
      if (link.table === undefined || !tableMatches(link.table, wordHashes, wordCount, urnHashes, urnCount)) {
        this.#counters.candidatesRefused++;
        continue;
      }
      if (this.#outbox.sendQuery(id, bytes, start, end, LEAF_TTL, hops, link)) this.#counters.queryDeliveries++;
    }
  }

  /** To every other ultrapeer, on the last hop only where its table matches or it gave none (docs/protocol/05 §7). */
  toUltrapeers(id: number, bytes: Uint8Array, start: number, end: number, from: Link, ttl: number, hops: number): void {
    if (ttl < 1) return;
    const { wordHashes, wordCount, urnHashes, urnCount } = this.#scanner;
    for (const link of this.#links.ultrapeers) {
      if (link === from || hops >= link.hopsFlow) continue;
      const limited = link.limitTtl(ttl);
      if (
        limited === 1 &&
        link.table !== undefined &&
        !tableMatches(link.table, wordHashes, wordCount, urnHashes, urnCount)
      ) {
        continue;
      }
      if (this.#outbox.sendQuery(id, bytes, start, end, limited, hops, link)) this.#counters.queryDeliveries++;
    }
  }

  /** "What's New" ignores tables and goes to those who announced that they answer it. */
  ofWhatsNew(id: number, bytes: Uint8Array, start: number, end: number, from: Link, ttl: number, hops: number): void {
    for (const link of this.#links.all()) {
      if (link === from || hops >= link.hopsFlow || (link.capabilities & LinkCapability.whatsNew) === 0) continue;
      const isUltrapeer = link.kind === LinkKind.LINK_KIND_ULTRAPEER;
      if (isUltrapeer ? ttl < 1 && from.kind === LinkKind.LINK_KIND_ULTRAPEER : (link.table?.count ?? 0) === 0)
        continue;
      const out = isUltrapeer ? link.limitTtl(Math.max(1, ttl)) : LEAF_TTL;
      if (this.#outbox.sendQuery(id, bytes, start, end, out, hops, link)) this.#counters.queryDeliveries++;
    }
  }
}
