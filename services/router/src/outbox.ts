import { egressBytes, EgressBatchBuilder, shedsQuery, type EgressBatch } from '@filbert/contracts';
import type { SendResult } from '@filbert/kit';
import type { ShardCounters } from './counters.ts';
import type { EdgeLinks, Link } from './link-table.ts';

/** The credit stream to one edge; kit's StreamWriter is one. */
export interface EgressWriter {
  pressure(): number;
  send(batch: EgressBatch, bytes: number): SendResult;
  close(): void;
}

interface EdgeOutbox {
  readonly builder: EgressBatchBuilder;
  readonly writer: EgressWriter;
  readonly edge: EdgeLinks;
  pressure: number;
}

/** A batch is sent early when it holds this many bytes. */
const FLUSH_BYTES = 64 * 1024;

/** Collects a shard's output, one batch an edge, and sheds queries before the credit of an edge runs out. */
export class Outbox {
  readonly #edges = new Map<EdgeLinks, EdgeOutbox>();
  readonly #shard: number;
  readonly #counters: ShardCounters;
  readonly #open: (edge: EdgeLinks) => EgressWriter;
  /** W3C traceparent of the frame that is being routed; undefined for all but the few that are traced. */
  trace: string | undefined;
  #nextFrame = 1;

  constructor(options: {
    readonly shard: number;
    readonly counters: ShardCounters;
    readonly open: (edge: EdgeLinks) => EgressWriter;
  }) {
    this.#shard = options.shard;
    this.#counters = options.counters;
    this.#open = options.open;
  }

  /** An id for `send`: calls with the same id share one copy of the frame. */
  nextFrameId(): number {
    return (this.#nextFrame = (this.#nextFrame + 1) | 0);
  }

  /**
   * Hands a query to a link.
   * @returns false where the edge has too little credit left for a query of these hops
   */
  sendQuery(id: number, bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, link: Link): boolean {
    const box = this.#box(link.edge);
    if (shedsQuery(box.pressure, hops)) {
      this.#counters.dropped['shed-query']++;
      return false;
    }
    box.builder.send(id, bytes, start, end, ttl, hops, link.number);
    if (this.trace !== undefined) box.builder.traceLast(this.trace);
    if (box.builder.bytes >= FLUSH_BYTES) this.#flush(box);
    return true;
  }

  /** Hands a hit or a PUSH to a link. */
  send(bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, link: Link): void {
    const box = this.#box(link.edge);
    box.builder.send(this.nextFrameId(), bytes, start, end, ttl, hops, link.number);
    if (this.trace !== undefined) box.builder.traceLast(this.trace);
    if (box.builder.bytes >= FLUSH_BYTES) this.#flush(box);
  }

  /** Adds the link's verdict counters to its edge's batch and clears them. */
  verdict(link: Link): void {
    const box = this.#box(link.edge);
    box.builder.verdict(link.number, link.duplicates, link.bad, link.useful);
    if (box.builder.bytes >= FLUSH_BYTES) this.#flush(box);
    link.duplicates = 0;
    link.bad = 0;
    link.useful = 0;
  }

  flush(): void {
    for (const box of this.#edges.values()) {
      if (box.builder.isEmpty) box.pressure = box.writer.pressure();
      else this.#flush(box);
    }
  }

  /** Forgets an edge, and what was collected for it. */
  remove(edge: EdgeLinks): void {
    this.#edges.get(edge)?.writer.close();
    this.#edges.delete(edge);
  }

  #box(edge: EdgeLinks): EdgeOutbox {
    let box = this.#edges.get(edge);
    if (box === undefined) {
      box = { builder: new EgressBatchBuilder(), writer: this.#open(edge), edge, pressure: 0 };
      this.#edges.set(edge, box);
    }
    return box;
  }

  #flush(box: EdgeOutbox): void {
    const batch = box.builder.take();
    batch.shard = this.#shard;
    batch.edgeEpoch = box.edge.epoch;
    const bytes = batch.frames.length;
    const result = box.writer.send(batch, egressBytes(batch));
    const copies = batch.links.length >>> 2;
    if (result === 'sent') this.#counters.bytesOut += bytes;
    else if (result === 'no-credit') this.#counters.dropped['egress-no-credit'] += copies;
    else if (result === 'disconnected') this.#counters.dropped['egress-disconnected'] += copies;
    box.pressure = box.writer.pressure();
  }
}
