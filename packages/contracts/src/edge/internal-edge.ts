import { difference, type SlotSet } from '@filbert/gnutella';
import type { Bus, Subscription } from '@filbert/kit';
import { DeliveryReader, type DeliverySink } from '../egress-batch.ts';
import {
  OwnAddressSource,
  type EdgeControlReply,
  type EgressBatch,
  type LinkKind,
  type LinkRecord,
  type TableChange,
} from '../gen/filbert/bus/v1/bus.ts';
import { emptyLinkRecord } from '../link.ts';
import { ShardMap } from '../shard.ts';
import { edgeControl, edgeEgress, edgesPoll, edgesSummary } from '../subjects.ts';
import type { FactsFollower } from './facts-follower.ts';
import { Ingress, type IngressCounters } from './ingress.ts';
import { StateStream, type DescribedLink } from './state-stream.ts';
import { NO_TABLE, tableChanges } from './table-difference.ts';

const HEARTBEAT_MS = 1_000;
/** Links of one internal edge: searches of people, shards of the library, the transfers link. */
export const MAX_INTERNAL_LINKS = 1_024;
/**
 * In one turn of the event loop frames from the router are taken for so long, ms: a query can cost the library milliseconds,
 * and a batch holds hundreds. What waits meanwhile takes the credit of the shard, which then sheds queries.
 */
export const TAKE_SLICE_MS = 5;

/** What the owner of an internal link wants to know. */
export interface InternalLinkOptions {
  /** Of `LinkCapability`: what the router may send here beside what the table asks for. */
  readonly capabilities?: number;
  /** 16 bytes; PUSH for this servent then comes here. */
  readonly serventGuid?: Uint8Array;
  /**
   * A frame for this link, header included, with the TTL and hops that it has here; valid only during the call. `trace` is
   * the W3C traceparent of the trace that it belongs to, if to any.
   */
  readonly onFrame: (
    bytes: Uint8Array,
    start: number,
    end: number,
    ttl: number,
    hops: number,
    trace: string | undefined,
  ) => void;
}

/** A link that one of the node's own services holds: `library`, `user` or `transfers`. */
export interface InternalLink {
  readonly number: number;
  /** Publishes the table by which queries reach this link. */
  setTable(table: SlotSet): void;
  /** Sends a whole frame into the router, as part of the trace of a W3C traceparent if of any. The bytes are copied. */
  send(frame: Uint8Array, trace?: string): void;
  close(): void;
}

/** What an internal edge counts, as plain numbers that metrics read. */
export interface InternalEdgeNumbers {
  /** Links that are open. */
  readonly links: number;
  /** Links refused because there were `MAX_INTERNAL_LINKS`. */
  readonly linksRefused: number;
  /** Undefined before the start. */
  readonly ingress: Readonly<IngressCounters> | undefined;
  /** Frames from the router that links took. */
  readonly delivered: number;
  /** Frames for links that are gone. */
  readonly unknownLink: number;
  /** Frames for an earlier start of this edge. */
  readonly oldEpoch: number;
}

/** An edge inside the node (docs/architecture.md, "The link"): what connections is for peers, for the node's own services. */
export class InternalEdge implements DeliverySink {
  readonly #bus: Bus;
  readonly #edgeId: string;
  readonly #epoch: number;
  readonly #links = new Map<number, OpenLink>();
  readonly #state: StateStream;
  readonly #facts: FactsFollower;
  readonly #subscriptions: Subscription[] = [];
  #ingress: Ingress | undefined;
  #timer: NodeJS.Timeout | undefined;
  #nextNumber = 1;
  #linksRefused = 0;
  #delivered = 0;
  #unknownLink = 0;
  #oldEpoch = 0;
  /** Of the entry that is being delivered. */
  #trace: string | undefined;
  /** Batches that were not taken whole in the turn that brought them; the credit of their shards bounds them. */
  readonly #untaken: UntakenBatch[] = [];
  /** When frames were taken for long enough in this turn; it is over with `#turn`. */
  #takeUntil = 0;
  #turn: NodeJS.Immediate | undefined;
  #stopped = false;
  readonly #onTurn = (): void => {
    this.#turn = undefined;
    for (let next = this.#untaken[0]; next !== undefined; next = this.#untaken[0]) {
      try {
        if (!this.#take(next.deliveries)) return;
        next.done();
      } catch (error) {
        next.failed(error);
      }
      this.#untaken.shift();
    }
  };

  constructor(options: {
    readonly bus: Bus;
    readonly edgeId: string;
    readonly epoch: number;
    /** Shared with the service that owns the edge; started by it. */
    readonly facts: FactsFollower;
  }) {
    this.#bus = options.bus;
    this.#edgeId = options.edgeId;
    this.#epoch = options.epoch;
    this.#facts = options.facts;
    this.#state = new StateStream({
      bus: options.bus,
      edgeId: options.edgeId,
      epoch: options.epoch,
      links: () => this.#links.values(),
    });
  }

  get numbers(): InternalEdgeNumbers {
    return {
      links: this.#links.size,
      linksRefused: this.#linksRefused,
      ingress: this.#ingress?.counters,
      delivered: this.#delivered,
      unknownLink: this.#unknownLink,
      oldEpoch: this.#oldEpoch,
    };
  }

  /** Takes part in routing. @throws Error where the node's facts have not been told yet */
  start(): void {
    const { facts } = this.#facts;
    if (facts === undefined) throw new Error('an internal edge needs the node facts to start');
    this.#ingress = new Ingress({
      bus: this.#bus,
      map: new ShardMap(facts.shards, facts.shardMapVersion, facts.nodeSecret),
      state: this.#state,
      edgeId: this.#edgeId,
      epoch: this.#epoch,
    });
    this.#subscriptions.push(
      this.#bus.openReader(edgeEgress(this.#edgeId), (batch) => this.#onEgress(batch)),
      this.#bus.respond(edgeControl(this.#edgeId), (request): EdgeControlReply => {
        if (request.replay === undefined) return { accepted: false, reason: 'an internal edge only replays' };
        this.#state.replay();
        return { accepted: true, reason: '' };
      }),
      this.#bus.subscribe(edgesPoll, () => this.#beat()),
    );
    this.#timer = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#beat();
  }

  /** Opens a link. @throws Error where there are `MAX_INTERNAL_LINKS` already */
  openLink(kind: LinkKind, options: InternalLinkOptions): InternalLink {
    if (this.#links.size >= MAX_INTERNAL_LINKS) {
      this.#linksRefused++;
      throw new Error('too many internal links are open');
    }
    const link = new OpenLink(this.#nextNumber++, kind, options, {
      state: this.#state,
      send: (frame, number, trace) => this.#ingress?.add(Buffer.from(frame), 0, frame.length, number, trace),
      close: (number) => {
        this.#links.delete(number);
        // Else what the link said last would find it gone.
        this.#ingress?.flush();
        this.#state.gone(number);
      },
    });
    this.#links.set(link.number, link);
    this.#state.upsert(link);
    return link;
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearImmediate(this.#turn);
    for (const link of [...this.#links.values()]) link.close();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    for (const { done } of this.#untaken.splice(0)) done();
    this.#ingress?.close();
    this.#state.close();
  }

  deliver(bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, number: number): void {
    const link = this.#links.get(number);
    if (link === undefined) {
      this.#unknownLink++;
      return;
    }
    this.#delivered++;
    link.options.onFrame(bytes, start, end, ttl, hops, this.#trace);
  }

  beginTraced(trace: string): void {
    this.#trace = trace;
  }

  endTraced(): void {
    this.#trace = undefined;
  }

  /** @returns a promise where the batch takes more than this turn has time for */
  #onEgress(batch: EgressBatch): void | Promise<void> {
    if (batch.edgeEpoch !== this.#epoch) {
      this.#oldEpoch += batch.links.length >>> 2;
      return;
    }
    const deliveries = new DeliveryReader(batch);
    if (this.#untaken.length === 0 && this.#take(deliveries)) return;
    return new Promise((done, failed) => this.#untaken.push({ deliveries, done, failed }));
  }

  /** Hands out deliveries until there are none, or the time of this turn is over. @returns false where there may be more */
  #take(deliveries: DeliveryReader): boolean {
    if (this.#turn === undefined) {
      this.#takeUntil = performance.now() + TAKE_SLICE_MS;
      this.#turn = setImmediate(this.#onTurn);
    }
    try {
      do {
        if (this.#stopped) return true;
        if (performance.now() >= this.#takeUntil) return false;
      } while (deliveries.next(this));
      return true;
    } finally {
      // Where the owner of a link threw in the middle of an entry.
      this.#trace = undefined;
    }
  }

  #beat(): void {
    this.#state.flush();
    this.#bus.publish(edgesSummary, {
      edgeId: this.#edgeId,
      epoch: this.#epoch,
      stateNumber: this.#state.number,
      leaves: 0,
      ultrapeers: 0,
      maxLeaves: 0,
      maxUltrapeers: 0,
      ultrapeerAddresses: [],
      leafAddresses: [],
      draining: false,
      // Nobody dials it.
      listenPort: 0,
      ownAddress: '',
      ownAddressSource: OwnAddressSource.OWN_ADDRESS_SOURCE_UNSPECIFIED,
      reached: false,
    });
  }
}

/** A batch of which deliveries are left. */
interface UntakenBatch {
  readonly deliveries: DeliveryReader;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

interface LinkOwner {
  readonly state: StateStream;
  readonly send: (frame: Uint8Array, number: number, trace: string | undefined) => void;
  readonly close: (number: number) => void;
}

class OpenLink implements InternalLink, DescribedLink {
  readonly number: number;
  readonly options: InternalLinkOptions;
  readonly #kind: LinkKind;
  readonly #owner: LinkOwner;
  #table: SlotSet | undefined;
  #closed = false;

  constructor(number: number, kind: LinkKind, options: InternalLinkOptions, owner: LinkOwner) {
    this.number = number;
    this.options = options;
    this.#kind = kind;
    this.#owner = owner;
  }

  setTable(table: SlotSet): void {
    if (this.#closed) return;
    const from = this.#table;
    if (from?.bits === table.bits) {
      const { set, cleared } = difference(from, table);
      if (set.length + cleared.length === 0) return;
    }
    this.#table = table;
    for (const change of tableChanges(from, table)) this.#owner.state.upsert(this, change);
  }

  send(frame: Uint8Array, trace?: string): void {
    if (!this.#closed) this.#owner.send(frame, this.number, trace);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#table !== undefined) this.#owner.state.upsert(this, NO_TABLE);
    this.#owner.close(this.number);
  }

  describe(): LinkRecord {
    const record = emptyLinkRecord(this.number);
    record.kind = this.#kind;
    record.capabilities = this.options.capabilities ?? 0;
    if (this.options.serventGuid !== undefined) record.serventGuid = this.options.serventGuid;
    return record;
  }

  describeTable(): TableChange[] {
    return this.#table === undefined ? [] : tableChanges(undefined, this.#table);
  }
}
