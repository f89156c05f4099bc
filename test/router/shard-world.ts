// One router shard with links, without bus or sockets: frames go in, deliveries come out.
import {
  asSha1,
  encodePush,
  encodeQuery,
  encodeQueryHit,
  FUNCTION_OFFSET,
  GgepId,
  guidToHex,
  HEADER_BYTES,
  QueryFlag,
  tableForNames,
  writeOobAddress,
  type SlotSet,
} from '@filbert/gnutella';
import {
  forEachDelivery,
  forEachVerdict,
  LinkCapability,
  ShardMap,
  type EgressBatch,
  type LinkRecord,
} from '@filbert/contracts';
import type { SendResult } from '@filbert/kit';
import type { EdgeLinks, Link } from '../../services/router/src/link-table.ts';
import { RouterShard } from '../../services/router/src/shard.ts';
import { applied, edgeOf, LEAF, recordOf, ULTRAPEER, wholeTable } from './links.ts';

const SECRET = new Uint8Array(16).fill(0x5a);

/** A frame that the shard hands to a link. */
export interface Delivery {
  readonly to: Link | undefined;
  readonly ttl: number;
  readonly hops: number;
  readonly guid: string;
  /** Without the header: what must arrive as it came. */
  readonly payload: string;
}

/** A link's table with the words, prefixes and URNs of names, as a gtk-gnutella leaf would send it. */
export function names(list: readonly string[], urns: readonly string[] = []): SlotSet {
  return tableForNames(list, urns, 16);
}

export interface WorldOptions {
  readonly shards?: number;
  readonly shard?: number;
  readonly random?: () => number;
}

export class ShardWorld {
  now = 50_000;
  /** Credit in use of every egress stream, 0 … 1, and what sending comes to. */
  pressure = 0;
  sendResult: SendResult = 'sent';
  readonly batches: EgressBatch[] = [];
  readonly closed: string[] = [];
  readonly taught: { readonly shard: number; readonly guid: Uint8Array; readonly link: Link }[] = [];
  readonly edges: readonly [EdgeLinks, EdgeLinks] = [edgeOf('edge-0', 11), edgeOf('edge-1', 12)];
  readonly shardMap: ShardMap;
  readonly shard: RouterShard;
  readonly #out: Delivery[] = [];
  #nextLink = 100;

  constructor({ shards = 1, shard = 0, random = () => 0.5 }: WorldOptions = {}) {
    this.shardMap = new ShardMap(shards, 1, SECRET);
    this.shard = new RouterShard({
      shardMap: this.shardMap,
      shard,
      now: () => this.now,
      random,
      openEgress: (edge) => ({
        pressure: () => this.pressure,
        send: (batch) => this.#collect(edge, batch),
        close: () => this.closed.push(edge.edgeId),
      }),
      teach: (owner, guid, link) => this.taught.push({ shard: owner, guid, link }),
    });
  }

  leaf(table?: SlotSet, facts: Partial<LinkRecord> = {}, edge = this.edges[0]): Link {
    return this.#link(edge, { kind: LEAF, ...facts }, table);
  }

  ultrapeer(table?: SlotSet, facts: Partial<LinkRecord> = {}, edge = this.edges[0]): Link {
    return this.#link(edge, { kind: ULTRAPEER, maxTtl: 4, ...facts }, table);
  }

  /** Hands a frame of `from` to the shard, from the middle of a larger buffer; returns what goes where. */
  send(from: Link, frame: Uint8Array): Delivery[] {
    const bytes = Buffer.concat([Buffer.alloc(13, 0xee), frame, Buffer.alloc(30, 0xdd)]);
    this.shard.frame(bytes, 13, 13 + frame.length, from);
    return this.flush();
  }

  /** Turns the clock, in ticks as the router makes them. */
  pass(ms: number): Delivery[] {
    const end = this.now + ms;
    while (this.now < end) {
      this.now = Math.min(end, this.now + 50);
      this.shard.tick();
    }
    return this.flush();
  }

  flush(): Delivery[] {
    this.shard.outbox.flush();
    return this.#out.splice(0);
  }

  /** Verdicts on links that stand so far: duplicates, bad, useful. */
  verdicts(link: Link): number[] {
    return [link.duplicates, link.bad, link.useful];
  }

  /** Verdicts as the edges get them: link, duplicates, bad, useful. */
  reported(): number[][] {
    const from = this.batches.length;
    this.shard.reportVerdicts(this.edges);
    this.shard.outbox.flush();
    const read: number[][] = [];
    for (const batch of this.batches.slice(from)) forEachVerdict(batch, (...verdict) => read.push(verdict));
    return read;
  }

  #link(edge: EdgeLinks, facts: Partial<LinkRecord>, table: SlotSet | undefined): Link {
    const change = table === undefined ? undefined : wholeTable(table);
    return applied(this.shard.links, edge, recordOf(this.#nextLink++, { ...facts, table: change }));
  }

  #collect(edge: EdgeLinks, batch: EgressBatch): SendResult {
    this.batches.push(batch);
    forEachDelivery(batch, {
      deliver: (bytes, start, end, ttl, hops, link) => {
        this.#out.push({
          to: edge.links.get(link),
          ttl,
          hops,
          guid: guidToHex(bytes, start),
          payload: Buffer.from(bytes.subarray(start + HEADER_BYTES, end)).toString('hex'),
        });
      },
    });
    return this.sendResult;
  }
}

/** A GUID by number. */
export function guid(n: number): Uint8Array {
  const bytes = Buffer.alloc(16, 0x11);
  bytes.writeUInt32BE(n, 9);
  return bytes;
}

export interface QueryOptions {
  readonly id?: number;
  readonly ttl?: number;
  readonly hops?: number;
  readonly sha1?: Uint8Array;
  readonly outOfBand?: boolean;
  /** The address that whoever proxied it wrote into its GUID, as a number. */
  readonly proxy?: number;
  /** GGEP WH: true for the value of What's New, or another value. */
  readonly whatsNew?: boolean | number;
}

/** A QUERY that came over a link: TTL 3 and hops 0 unless told. */
export function query(text: string, options: QueryOptions = {}): Uint8Array {
  const { id = 1, ttl = 3, hops = 0, sha1, outOfBand = false, proxy, whatsNew = false } = options;
  const ownGuid = guid(id);
  if (proxy !== undefined) writeOobAddress(ownGuid, 0, proxy, proxy & 0xffff);
  return encodeQuery(
    { guid: ownGuid, ttl, hops },
    {
      flags: QueryFlag.GGEP_HASH | (outOfBand ? QueryFlag.OUT_OF_BAND : 0),
      text,
      ...(sha1 === undefined ? {} : { sha1s: [asSha1(sha1)] }),
      ...(whatsNew !== false ? { ggep: [{ id: GgepId.WHATS_NEW, value: Uint8Array.of(Number(whatsNew)) }] } : {}),
    },
  );
}

export interface HitOptions {
  readonly id?: number;
  readonly ttl?: number;
  readonly hops?: number;
  readonly servent?: Uint8Array;
  readonly records?: number;
  /** Length of each record's name. */
  readonly nameBytes?: number;
}

/** A QUERY HIT to query `id`: TTL 3, one record of servent 500 unless told. */
export function hit(options: HitOptions = {}): Uint8Array {
  const { id = 1, ttl = 3, hops = 0, servent = guid(500), records = 1, nameBytes = 2 } = options;
  return encodeQueryHit(
    { guid: guid(id), ttl, hops },
    {
      port: 6346,
      ip: 0xc0000201,
      speed: 1_000,
      records: Array.from({ length: records }, (_, i) => ({
        index: i + 1,
        sizeBytes: 10,
        name: `f${i}`.padEnd(nameBytes, 'x'),
      })),
      trailer: { vendor: 'TEST' },
      serventGuid: servent,
    },
  );
}

/** A PUSH for `servent`; `id` is its own GUID. */
export function push(
  servent: Uint8Array,
  { id = 900, ttl = 4, hops = 0 }: { id?: number; ttl?: number; hops?: number } = {},
): Uint8Array {
  return encodePush({ guid: guid(id), ttl, hops }, { serventGuid: servent, fileIndex: 1, ip: 0xc0000202, port: 6346 });
}

/** Links that got something, in order of their numbers. */
export function receivers(deliveries: readonly Delivery[]): (Link | undefined)[] {
  return deliveries.map(({ to }) => to).sort((a, b) => (a?.serial ?? 0) - (b?.serial ?? 0));
}

export const payloadOf = (frame: Uint8Array): string => Buffer.from(frame.subarray(HEADER_BYTES)).toString('hex');

export const WHATS_NEW = LinkCapability.whatsNew;

/** `frame` with another function code. */
export function asFunction(frame: Uint8Array, code: number): Uint8Array {
  const changed = frame.slice();
  changed[FUNCTION_OFFSET] = code;
  return changed;
}
