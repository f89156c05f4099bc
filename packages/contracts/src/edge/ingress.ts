import { GUID_BYTES, Descriptor, FUNCTION_OFFSET, HEADER_BYTES, HOPS_OFFSET } from '@filbert/gnutella';
import type { IngressBatch } from '../gen/filbert/bus/v1/bus.ts';
import { BATCH_TARGET_BYTES, IngressBatchBuilder, ingressBytes } from '../ingress-batch.ts';
import type { ShardMap } from '../shard.ts';
import { shedsQuery } from '../shedding.ts';
import { routerIngress } from '../subjects.ts';
import type { Bus, StreamWriter } from '@filbert/kit';
import type { StateStream } from './state-stream.ts';

interface ShardIngress {
  readonly builder: IngressBatchBuilder;
  readonly writer: StreamWriter<IngressBatch>;
  pressure: number;
}

/** Frames that did not reach a shard, by reason. */
export interface IngressCounters {
  frames: number;
  shedQueries: number;
  noCredit: number;
  disconnected: number;
}

/** Batches the frames that shards route: one batch a shard and event-loop turn, earlier at 64 KiB. */
export class Ingress {
  readonly counters: IngressCounters = { frames: 0, shedQueries: 0, noCredit: 0, disconnected: 0 };
  readonly #shards: ShardIngress[];
  readonly #map: ShardMap;
  readonly #state: StateStream;
  readonly #edgeId: string;
  readonly #epoch: number;
  #scheduled = false;
  readonly #onTurnEnd = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(options: {
    readonly bus: Bus;
    readonly map: ShardMap;
    readonly state: StateStream;
    readonly edgeId: string;
    readonly epoch: number;
  }) {
    this.#map = options.map;
    this.#state = options.state;
    this.#edgeId = options.edgeId;
    this.#epoch = options.epoch;
    this.#shards = Array.from({ length: options.map.shards }, (_, shard) => ({
      builder: new IngressBatchBuilder(),
      writer: options.bus.openWriter(routerIngress(shard), { epoch: options.epoch }),
      pressure: 0,
    }));
  }

  /**
   * Queues the frame `bytes[start, end)` of `link` for the shard of its GUID; a PUSH goes by its servent GUID.
   * @param trace W3C traceparent of the trace that the frame belongs to, if to any
   * @returns whether it was queued
   */
  add(bytes: Buffer, start: number, end: number, link: number, trace?: string): boolean {
    const descriptor = bytes[start + FUNCTION_OFFSET];
    const guidAt = descriptor === Descriptor.PUSH ? start + HEADER_BYTES : start;
    if (guidAt + GUID_BYTES > end) return false;
    const shard = this.#shards[this.#map.shardOf(bytes, guidAt)] as ShardIngress;
    if (descriptor === Descriptor.QUERY && shedsQuery(shard.pressure, bytes[start + HOPS_OFFSET] as number)) {
      this.counters.shedQueries++;
      if (shard.builder.count === 0) shard.pressure = shard.writer.pressure();
      return false;
    }
    this.counters.frames++;
    shard.builder.add(bytes, start, end, link, trace);
    if (shard.builder.bytes >= BATCH_TARGET_BYTES) this.#send(shard);
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(this.#onTurnEnd);
    }
    return true;
  }

  /** Share of the credit in use towards the shard that is furthest behind, 0 … 1 and more. */
  get pressure(): number {
    let most = 0;
    for (const { writer } of this.#shards) most = Math.max(most, writer.pressure());
    return most;
  }

  /** Sends what is batched now, without waiting for the end of the turn: a record behind it must not overtake it. */
  flush(): void {
    for (const shard of this.#shards) this.#send(shard);
  }

  close(): void {
    this.flush();
    for (const shard of this.#shards) shard.writer.close();
  }

  #send(shard: ShardIngress): void {
    const frames = shard.builder.count;
    if (frames === 0) return;
    // The records that these frames rely on must be on their way before them.
    this.#state.flush();
    const batch = shard.builder.take();
    batch.edgeId = this.#edgeId;
    batch.edgeEpoch = this.#epoch;
    batch.stateNumber = this.#state.number;
    batch.shardMapVersion = this.#map.version;
    const result = shard.writer.send(batch, ingressBytes(batch));
    if (result === 'no-credit') this.counters.noCredit += frames;
    else if (result === 'disconnected') this.counters.disconnected += frames;
    shard.pressure = shard.writer.pressure();
  }
}
