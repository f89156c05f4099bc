// Builds and reads the batches that edges send to shards.
import { payloadLength, HEADER_BYTES } from '@filbert/gnutella';
import { IngressBatch } from './gen/filbert/bus/v1/bus.ts';
import { packed, unpackUint32 } from './packed.ts';
import { TRACE_BYTES, TraceTableBuilder, TraceTableReader } from './trace-table.ts';

/** A batch is sent when it holds this many bytes of frames, at the latest at the end of the event-loop turn. */
export const BATCH_TARGET_BYTES = 64 * 1024;

const SMALLEST_BLOB_BYTES = 2 * 1024;
const SMALLEST_LINKS = 32;

/** Collects frames for one shard. One object and two buffers a batch, nothing a frame. */
export class IngressBatchBuilder {
  #frames = Buffer.allocUnsafeSlow(SMALLEST_BLOB_BYTES);
  #links = new Uint32Array(SMALLEST_LINKS);
  readonly #traces = new TraceTableBuilder();
  #bytes = 0;
  #count = 0;

  get bytes(): number {
    return this.#bytes + this.#traces.bytes;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Copies the frame `bytes[start, end)`, header included, that came from `link`.
   * @param trace W3C traceparent of the trace that it belongs to, if to any
   */
  add(bytes: Buffer, start: number, end: number, link: number, trace?: string): void {
    if (trace !== undefined) this.#traces.add(this.#count, trace);
    const length = end - start;
    if (this.#bytes + length > this.#frames.length) this.#grow(this.#bytes + length);
    bytes.copy(this.#frames, this.#bytes, start, end);
    this.#bytes += length;
    if (this.#count === this.#links.length) {
      const links = new Uint32Array(this.#links.length * 2);
      links.set(this.#links);
      this.#links = links;
    }
    this.#links[this.#count++] = link;
  }

  /** Hands over what was collected and starts anew. The caller fills in edge, epoch and state number. */
  take(): IngressBatch {
    const batch = IngressBatch.create();
    batch.frames = this.#frames.subarray(0, this.#bytes);
    batch.links = packed(this.#links.subarray(0, this.#count));
    const traces = this.#traces.take();
    if (traces !== undefined) {
      batch.traceFrames = traces.indices;
      batch.traceParents = traces.parents;
    }
    // The next batch will probably be as large as this one.
    this.#frames = Buffer.allocUnsafeSlow(Math.max(SMALLEST_BLOB_BYTES, this.#bytes + (this.#bytes >>> 2)));
    this.#links = new Uint32Array(Math.max(SMALLEST_LINKS, this.#count + (this.#count >>> 2)));
    this.#bytes = 0;
    this.#count = 0;
    return batch;
  }

  #grow(needed: number): void {
    const frames = Buffer.allocUnsafeSlow(Math.max(needed, this.#frames.length * 2));
    this.#frames.copy(frames, 0, 0, this.#bytes);
    this.#frames = frames;
  }
}

/** Bytes that an ingress batch stands for in the credit of its stream. */
export function ingressBytes(batch: IngressBatch): number {
  return batch.frames.length + batch.links.length + batch.traceParents.length * TRACE_BYTES;
}

/**
 * Calls `visit` for every frame of a batch, with the W3C traceparent of the few that are traced. Stops at the first frame that the blob does not hold whole.
 * @returns frames visited
 */
export function forEachFrame(
  batch: IngressBatch,
  visit: (bytes: Uint8Array, start: number, end: number, link: number, trace: string | undefined) => void,
): number {
  const { frames } = batch;
  const traces = new TraceTableReader({ indices: batch.traceFrames, parents: batch.traceParents });
  const links = unpackUint32(batch.links);
  let at = 0;
  for (let i = 0; i < links.length; i++) {
    if (at + HEADER_BYTES > frames.length) return i;
    const end = at + HEADER_BYTES + payloadLength(frames, at);
    if (end > frames.length) return i;
    visit(frames, at, end, links[i] as number, traces.of(i));
    at = end;
  }
  return links.length;
}
