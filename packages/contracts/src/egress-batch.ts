// Builds and reads the batches that shards send to edges: frames, and to each its TTL, hops and links.
import { HEADER_BYTES, payloadLength } from '@filbert/gnutella';
import { EgressBatch } from './gen/filbert/bus/v1/bus.ts';
import { packed, unpackUint16, unpackUint32 } from './packed.ts';
import { TRACE_BYTES, TraceTableBuilder, TraceTableReader } from './trace-table.ts';

const SMALLEST_BLOB_BYTES = 2 * 1024;
const SMALLEST_ENTRIES = 16;
const SMALLEST_LINKS = 32;

/** Collects what one shard sends through one edge. Frames are stored once, whatever the number of links. */
export class EgressBatchBuilder {
  #frames = Buffer.allocUnsafeSlow(SMALLEST_BLOB_BYTES);
  #bytes = 0;
  #offsets = new Uint32Array(SMALLEST_ENTRIES);
  #ttlHops = new Uint16Array(SMALLEST_ENTRIES);
  #counts = new Uint32Array(SMALLEST_ENTRIES);
  #entries = 0;
  #links = new Uint32Array(SMALLEST_LINKS);
  #linkCount = 0;
  #verdicts: number[] = [];
  readonly #traces = new TraceTableBuilder();
  /** Means something only while there are entries. */
  #currentFrame = 0;
  #currentOffset = 0;

  get bytes(): number {
    const frames = this.#bytes + (this.#linkCount << 2) + this.#entries * 10;
    return frames + this.#verdicts.length * 4 + this.#traces.bytes;
  }

  get isEmpty(): boolean {
    return this.#entries === 0 && this.#verdicts.length === 0;
  }

  /**
   * Sends the frame `bytes[start, end)` to `link` with this TTL and hops.
   * @param frameId the same for calls that send the same bytes one after the other: they share one copy
   */
  send(frameId: number, bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, link: number): void {
    const ttlHops = ttl | (hops << 8);
    if (this.#entries === 0 || frameId !== this.#currentFrame) {
      this.#append(bytes, start, end);
      this.#currentFrame = frameId;
      this.#open(ttlHops);
    } else if (this.#ttlHops[this.#entries - 1] !== ttlHops) {
      this.#open(ttlHops);
    }
    if (this.#linkCount === this.#links.length) {
      const links = new Uint32Array(this.#links.length * 2);
      links.set(this.#links);
      this.#links = links;
    }
    this.#links[this.#linkCount++] = link;
    (this.#counts[this.#entries - 1] as number)++;
  }

  /** What was sent last, and what shares its entry, belongs to the trace of this W3C traceparent. */
  traceLast(trace: string): void {
    if (this.#entries > 0) this.#traces.add(this.#entries - 1, trace);
  }

  /** Reports what the shard found out about a link since the last report. */
  verdict(link: number, duplicates: number, bad: number, useful: number): void {
    this.#verdicts.push(link, duplicates, bad, useful);
  }

  /** Hands over what was collected and starts anew. The caller fills in shard and edge epoch. */
  take(): EgressBatch {
    const batch = EgressBatch.create();
    batch.frames = this.#frames.subarray(0, this.#bytes);
    batch.entryOffsets = packed(this.#offsets.subarray(0, this.#entries));
    batch.entryTtlHops = packed(this.#ttlHops.subarray(0, this.#entries));
    batch.entryLinkCounts = packed(this.#counts.subarray(0, this.#entries));
    batch.links = packed(this.#links.subarray(0, this.#linkCount));
    if (this.#verdicts.length > 0) batch.verdicts = packed(Uint32Array.from(this.#verdicts));
    const traces = this.#traces.take();
    if (traces !== undefined) {
      batch.traceEntries = traces.indices;
      batch.traceParents = traces.parents;
    }
    this.#frames = Buffer.allocUnsafeSlow(Math.max(SMALLEST_BLOB_BYTES, this.#bytes + (this.#bytes >>> 2)));
    const entries = Math.max(SMALLEST_ENTRIES, this.#entries + (this.#entries >>> 2));
    this.#offsets = new Uint32Array(entries);
    this.#ttlHops = new Uint16Array(entries);
    this.#counts = new Uint32Array(entries);
    this.#links = new Uint32Array(Math.max(SMALLEST_LINKS, this.#linkCount + (this.#linkCount >>> 2)));
    this.#verdicts = [];
    this.#bytes = 0;
    this.#entries = 0;
    this.#linkCount = 0;
    return batch;
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.#bytes + length > this.#frames.length) {
      const frames = Buffer.allocUnsafeSlow(Math.max(this.#bytes + length, this.#frames.length * 2));
      this.#frames.copy(frames, 0, 0, this.#bytes);
      this.#frames = frames;
    }
    const target = this.#frames;
    const offset = this.#bytes;
    for (let i = 0; i < length; i++) target[offset + i] = bytes[start + i] as number;
    this.#currentOffset = offset;
    this.#bytes += length;
  }

  #open(ttlHops: number): void {
    const entry = this.#entries;
    if (entry === this.#offsets.length) {
      this.#offsets = grown(this.#offsets);
      this.#counts = grown(this.#counts);
      const wider = new Uint16Array(this.#ttlHops.length * 2);
      wider.set(this.#ttlHops);
      this.#ttlHops = wider;
    }
    this.#offsets[entry] = this.#currentOffset;
    this.#ttlHops[entry] = ttlHops;
    this.#counts[entry] = 0;
    this.#entries = entry + 1;
  }
}

function grown(values: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const wider = new Uint32Array(values.length * 2);
  wider.set(values);
  return wider;
}

/** Receives the deliveries of an egress batch. */
export interface DeliverySink {
  /** The frame `bytes[start, end)` is to leave on `link` with this TTL and hops. */
  deliver(bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, link: number): void;
  /**
   * The deliveries until `endTraced` are one entry of `links` links that belongs to the trace of this W3C traceparent;
   * its frame begins at `bytes[start]`. Not called for the many others.
   */
  beginTraced?(trace: string, bytes: Uint8Array, start: number, links: number): void;
  endTraced?(): void;
}

/** Calls `sink` for every delivery of a batch; entries that are incomplete or do not fit the blob are skipped. */
export function forEachDelivery(batch: EgressBatch, sink: DeliverySink): void {
  const entries = new DeliveryReader(batch);
  while (entries.next(sink));
}

/** Walks the entries of a batch, for whoever does other work in between. */
export class DeliveryReader {
  readonly #frames: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #ttlHops: Uint16Array;
  readonly #counts: Uint32Array;
  readonly #links: Uint32Array;
  readonly #traces: TraceTableReader;
  readonly #entries: number;
  #entry = 0;
  #nextLink = 0;

  constructor(batch: EgressBatch) {
    this.#frames = batch.frames;
    this.#offsets = unpackUint32(batch.entryOffsets);
    this.#ttlHops = unpackUint16(batch.entryTtlHops);
    this.#counts = unpackUint32(batch.entryLinkCounts);
    this.#links = unpackUint32(batch.links);
    this.#traces = new TraceTableReader({ indices: batch.traceEntries, parents: batch.traceParents });
    this.#entries = Math.min(this.#offsets.length, this.#ttlHops.length, this.#counts.length);
  }

  /** Calls `sink` for the deliveries of the next entry. @returns false where there is none */
  next(sink: DeliverySink): boolean {
    const entry = this.#entry;
    if (entry >= this.#entries) return false;
    const frames = this.#frames;
    const links = this.#links;
    const first = this.#nextLink;
    const last = Math.min(links.length, first + (this.#counts[entry] as number));
    // Before the sink is called: where it throws, the entry is over.
    this.#entry = entry + 1;
    this.#nextLink = last;
    const trace = this.#traces.of(entry);
    const start = this.#offsets[entry] as number;
    const fits = start + HEADER_BYTES <= frames.length;
    const end = fits ? start + HEADER_BYTES + payloadLength(frames, start) : 0;
    if (!fits || end > frames.length) return true;
    const both = this.#ttlHops[entry] as number;
    if (trace !== undefined) sink.beginTraced?.(trace, frames, start, last - first);
    for (let i = first; i < last; i++) sink.deliver(frames, start, end, both & 0xff, both >>> 8, links[i] as number);
    if (trace !== undefined) sink.endTraced?.();
    return true;
  }
}

/** Bytes that an egress batch stands for in the credit of its stream. */
export function egressBytes(batch: EgressBatch): number {
  const frames = batch.frames.length + batch.links.length + batch.entryOffsets.length * 2;
  return frames + batch.verdicts.length + batch.traceParents.length * TRACE_BYTES;
}

/** Calls `visit` for every verdict of a batch. */
export function forEachVerdict(
  batch: EgressBatch,
  visit: (link: number, duplicates: number, bad: number, useful: number) => void,
): void {
  const values = unpackUint32(batch.verdicts);
  for (let i = 0; i + 3 < values.length; i += 4) {
    visit(values[i] as number, values[i + 1] as number, values[i + 2] as number, values[i + 3] as number);
  }
}
