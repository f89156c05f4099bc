import { GUID_BYTES, Descriptor, FUNCTION_OFFSET, HEADER_BYTES, HOPS_OFFSET } from '@filbert/gnutella';
import type { IngressBatch } from '../gen/filbert/bus/v1/bus.ts';
import { BATCH_TARGET_BYTES, IngressBatchBuilder, ingressBytes } from '../ingress-batch.ts';
import type { ShardMap } from '../shard.ts';
import { shedsQuery } from '../shedding.ts';
import { routerIngress } from '../subjects.ts';
import type { Bus, StreamWriter } from '@filbert/kit';
import type { StateStream } from './state-stream.ts';

/** Between two looks at whether shards have taken what they were sent, ms: as often as they say so. */
const TAKEN_INTERVAL_MS = 20;
/** Longest wait for that, ms: beyond it what is outstanding is as good as lost. */
export const MAX_TAKEN_WAIT_MS = 300;
/** So many may wait for it; of further ones the longest-waiting are called early. */
export const MAX_TAKEN_WAITS = 16_384;

/** Somebody who waits until shards have taken what they were sent. */
interface TakenWait {
  /** The last message to each shard. */
  readonly numbers: readonly number[];
  readonly sinceMs: number;
  readonly then: () => void;
}

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
  /** The one that waits longest first. */
  readonly #waits: TakenWait[] = [];
  #takenTimer: NodeJS.Timeout | undefined;
  #scheduled = false;
  #closed = false;
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

  /** Sends what is batched now, without waiting for the end of the turn. */
  flush(): void {
    for (const shard of this.#shards) this.#send(shard);
  }

  /**
   * Calls `then` once every shard has taken in what was added so far, `MAX_TAKEN_WAIT_MS` later at most: records travel
   * beside the frames, and one that takes a link away must not overtake the link's last frames. Calls keep their order.
   */
  whenTaken(then: () => void): void {
    this.flush();
    if (this.#closed) return then();
    if (this.#waits.length === 0 && this.#shards.every(({ writer }) => writer.isDone(writer.lastNumber))) {
      then();
      return;
    }
    if (this.#waits.length >= MAX_TAKEN_WAITS) this.#endWaits(1);
    this.#waits.push({
      numbers: this.#shards.map(({ writer }) => writer.lastNumber),
      sinceMs: performance.now(),
      then,
    });
    this.#takenTimer ??= setInterval(() => this.#checkTaken(), TAKEN_INTERVAL_MS);
  }

  close(): void {
    this.flush();
    this.#closed = true;
    this.#endWaits(this.#waits.length);
    for (const shard of this.#shards) shard.writer.close();
  }

  #checkTaken(): void {
    const oldestMs = performance.now() - MAX_TAKEN_WAIT_MS;
    const isOver = ({ numbers, sinceMs }: TakenWait): boolean =>
      sinceMs <= oldestMs || this.#shards.every(({ writer }, i) => writer.isDone(numbers[i] ?? 0));
    const left = this.#waits.findIndex((wait) => !isOver(wait));
    this.#endWaits(left < 0 ? this.#waits.length : left);
  }

  /** Calls those that wait longest. */
  #endWaits(count: number): void {
    for (const { then } of this.#waits.splice(0, count)) then();
    if (this.#waits.length > 0) return;
    clearInterval(this.#takenTimer);
    this.#takenTimer = undefined;
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
