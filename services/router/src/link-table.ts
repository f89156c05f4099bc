import { applyDifference, SlotSet } from '@filbert/gnutella';
import {
  LinkCapability,
  LinkKind,
  UNLIMITED_HOPS_FLOW,
  unpackUint32,
  type LinkRecord,
  type TableChange,
} from '@filbert/contracts';
import { FilterMatrix } from './filter-matrix.ts';
import { GuidIndex } from './guid-index.ts';
import { MergedTable } from './merged-table.ts';

/** A leaf that takes fewer hops than this is busy: its table is left out of the merged one (docs/protocol/05 §5). */
const MERGE_MIN_HOPS_FLOW = 3;
/** Fuller tables say nothing and would fill the merged one (docs/protocol/05 §7). */
const MERGE_MAX_FILL = 0.9;
/** Tables with fewer slots are useless (docs/protocol/05 §3). */
const MIN_TABLE_BITS = 3;
/** Largest table that a record may carry, log2 of the slots. */
const MAX_TABLE_BITS = 21;

/** One link as a shard sees it. */
export class Link {
  /** Never reused within one run of the shard: what routes hold. */
  readonly serial: number;
  /** The edge's own number for it. */
  readonly number: number;
  readonly edge: EdgeLinks;
  kind: LinkKind = 0;
  address = '';
  guid = '';
  /** The peer's address where limits per address hold for it, else empty. */
  remoteHost = '';
  capabilities = 0;
  hopsFlow = UNLIMITED_HOPS_FLOW;
  maxTtl = 0;
  degree = 0;
  /** Undefined: it has none, or none that is of use. */
  table: SlotSet | undefined;
  column = -1;
  merged = false;
  alive = true;
  duplicates = 0;
  bad = 0;
  useful = 0;

  constructor(serial: number, number: number, edge: EdgeLinks) {
    this.serial = serial;
    this.number = number;
    this.edge = edge;
  }

  /** `ttl`, cut to the most that the neighbour takes (X-Max-TTL). */
  limitTtl(ttl: number): number {
    return this.maxTtl > 0 && this.maxTtl < ttl ? this.maxTtl : ttl;
  }

  /**
   * One of the node's own services: what it sends has made no hop yet, while a peer's frame made one by reaching us
   * (docs/architecture.md, "The link").
   */
  get isInternal(): boolean {
    return (
      this.kind === LinkKind.LINK_KIND_LIBRARY ||
      this.kind === LinkKind.LINK_KIND_USER ||
      this.kind === LinkKind.LINK_KIND_TRANSFERS
    );
  }

  /**
   * Whether its servent GUID is the node's own or was told in the handshake, where the edge refuses a second one of it. One
   * told later, in a request for a push proxy, proves nothing.
   */
  get provesGuid(): boolean {
    return this.isInternal || (this.capabilities & LinkCapability.handshakeGuid) !== 0;
  }

  /** Leaves and the node's own library get a query only where their table matches. */
  get isFiltered(): boolean {
    return this.kind === LinkKind.LINK_KIND_LEAF || this.kind === LinkKind.LINK_KIND_LIBRARY;
  }
}

/** The links of one edge in one epoch. */
export interface EdgeLinks {
  readonly edgeId: string;
  readonly epoch: number;
  readonly links: Map<number, Link>;
}

/**
 * Every link of the node, as told by the edges' state streams, with the indexes that routing reads: the filter matrix over
 * all tables, the ultrapeers, the GUIDs of direct neighbours, and the merged table.
 */
export class LinkTable {
  readonly matrix = new FilterMatrix();
  readonly merged = new MergedTable();
  readonly ultrapeers: Link[] = [];
  readonly #bySerial = new Map<number, Link>();
  readonly #byColumn: (Link | undefined)[] = [];
  readonly #byGuid = new GuidIndex<Link>();
  /** Links whose GUID another one owns. */
  readonly #claimants = new Set<Link>();
  #nextSerial = 1;
  #filteredWithTable = 0;
  readonly #onGone: (link: Link) => void;
  readonly #onTold: (link: Link) => void;

  constructor(options: {
    readonly onGone: (link: Link) => void;
    /** A record of the link was applied. */
    readonly onTold?: (link: Link) => void;
  }) {
    this.#onGone = options.onGone;
    this.#onTold = options.onTold ?? (() => undefined);
  }

  get size(): number {
    return this.#bySerial.size;
  }

  get leavesWithTable(): number {
    return this.#filteredWithTable;
  }

  get ultrapeersWithTable(): number {
    return this.ultrapeers.reduce((n, link) => n + (link.table === undefined ? 0 : 1), 0);
  }

  all(): Iterable<Link> {
    return this.#bySerial.values();
  }

  bySerial(serial: number): Link | undefined {
    return this.#bySerial.get(serial);
  }

  byColumn(column: number): Link | undefined {
    return this.#byColumn[column];
  }

  /** The direct neighbour whose servent GUID are the 16 bytes at `start`. */
  byGuid(bytes: Uint8Array, start = 0): Link | undefined {
    return this.#byGuid.get(bytes, start);
  }

  /** The direct neighbour that owns the GUID of `link`; undefined where it has none. */
  ownerOf(link: Link): Link | undefined {
    return link.guid === '' ? undefined : this.#byGuid.get(Buffer.from(link.guid, 'hex'), 0);
  }

  /** Applies one record of an edge's state stream; records are idempotent. */
  apply(edge: EdgeLinks, record: LinkRecord): void {
    const known = edge.links.get(record.link);
    if (record.gone) {
      if (known !== undefined) this.remove(known);
      return;
    }
    const link = known ?? this.#create(edge, record.link);
    if (link.kind !== record.kind) this.#changeKind(link, record.kind);
    link.address = record.address;
    link.capabilities = record.capabilities;
    link.hopsFlow = record.hopsFlow;
    link.maxTtl = record.maxTtl;
    link.degree = record.degree;
    link.remoteHost = record.remoteHost;
    this.#changeGuid(link, record.serventGuid);
    if (record.table !== undefined) this.#changeTable(link, record.table);
    this.#updateMerge(link);
    this.#onTold(link);
  }

  remove(link: Link): void {
    if (!link.alive) return;
    link.alive = false;
    this.#onGone(link);
    this.#replaceTable(link, undefined);
    this.#changeGuid(link, new Uint8Array(0));
    this.#changeKind(link, LinkKind.LINK_KIND_UNSPECIFIED);
    this.#bySerial.delete(link.serial);
    link.edge.links.delete(link.number);
  }

  removeEdge(edge: EdgeLinks): void {
    for (const link of [...edge.links.values()]) this.remove(link);
  }

  /** Doubles the merged table where it is too full; costs one count over all tables. */
  growMergedIfDue(): void {
    while (this.merged.wantsToGrow) {
      const tables: SlotSet[] = [];
      for (const link of this.#bySerial.values()) if (link.merged && link.table) tables.push(link.table);
      this.merged.grow(tables);
    }
  }

  #create(edge: EdgeLinks, number: number): Link {
    const link = new Link(this.#nextSerial++, number, edge);
    edge.links.set(number, link);
    this.#bySerial.set(link.serial, link);
    return link;
  }

  #changeKind(link: Link, kind: LinkKind): void {
    if (link.kind === LinkKind.LINK_KIND_ULTRAPEER) this.ultrapeers.splice(this.ultrapeers.indexOf(link), 1);
    if (link.isFiltered && link.table !== undefined) this.#filteredWithTable--;
    link.kind = kind;
    if (link.isFiltered && link.table !== undefined) this.#filteredWithTable++;
    if (kind === LinkKind.LINK_KIND_ULTRAPEER) this.ultrapeers.push(link);
  }

  #changeGuid(link: Link, guid: Uint8Array): void {
    const hex = guid.length === 16 ? Buffer.from(guid.buffer, guid.byteOffset, 16).toString('hex') : '';
    if (hex === link.guid) return;
    this.#releaseGuid(link);
    link.guid = hex;
    if (hex === '') return;
    const owner = this.#byGuid.get(guid, 0);
    // The first owner of a GUID keeps it: a second neighbour cannot take it over, unless the first only claims it.
    if (owner !== undefined && (owner.provesGuid || !link.provesGuid)) {
      this.#claimants.add(link);
      return;
    }
    if (owner !== undefined) this.#claimants.add(owner);
    this.#byGuid.set(guid, link);
  }

  /** Passes the GUID on: a neighbour that came back owns it once its old link is found dead. */
  #releaseGuid(link: Link): void {
    this.#claimants.delete(link);
    if (link.guid === '') return;
    const guid = Buffer.from(link.guid, 'hex');
    if (this.#byGuid.get(guid, 0) !== link) return;
    this.#byGuid.delete(guid);
    let heir: Link | undefined;
    for (const other of this.#claimants) {
      if (other.guid !== link.guid || (heir !== undefined && !other.provesGuid)) continue;
      heir = other;
      if (heir.provesGuid) break;
    }
    if (heir === undefined) return;
    this.#claimants.delete(heir);
    this.#byGuid.set(guid, heir);
  }

  #changeTable(link: Link, change: TableChange): void {
    if (change.bits < MIN_TABLE_BITS || change.bits > MAX_TABLE_BITS) {
      this.#replaceTable(link, undefined);
      return;
    }
    if (change.bitmap.length > 0) {
      this.#replaceTable(link, SlotSet.fromBitmap(change.bits, change.bitmap));
      return;
    }
    const base = change.reset || link.table?.bits !== change.bits ? undefined : link.table;
    this.#replaceTable(
      link,
      applyDifference(base, change.bits, unpackUint32(change.setSlots), unpackUint32(change.clearedSlots)),
    );
  }

  #replaceTable(link: Link, table: SlotSet | undefined): void {
    const old = link.table;
    if (old !== undefined) {
      if (link.merged) this.merged.remove(old);
      link.merged = false;
      this.matrix.clear(link.column, old);
      if (link.isFiltered) this.#filteredWithTable--;
    }
    link.table = table;
    if (table === undefined) {
      if (link.column >= 0) {
        this.matrix.release(link.column);
        this.#byColumn[link.column] = undefined;
        link.column = -1;
      }
      return;
    }
    if (link.column < 0) {
      link.column = this.matrix.allocate();
      this.#byColumn[link.column] = link;
    }
    this.matrix.set(link.column, table);
    if (link.isFiltered) this.#filteredWithTable++;
  }

  #updateMerge(link: Link): void {
    const { table } = link;
    if (table === undefined) return;
    const wanted =
      link.isFiltered &&
      link.hopsFlow >= MERGE_MIN_HOPS_FLOW &&
      table.bits > MIN_TABLE_BITS &&
      // What we share ourselves is told in any case: no other node could tell of it.
      (link.kind === LinkKind.LINK_KIND_LIBRARY || table.count <= (1 << table.bits) * MERGE_MAX_FILL);
    if (wanted === link.merged) return;
    link.merged = wanted;
    if (wanted) this.merged.add(table);
    else this.merged.remove(table);
  }
}
