import { forEachDelivery, forEachVerdict, type DeliverySink, type EgressBatch } from '@filbert/contracts';
import { FUNCTION_OFFSET } from '@filbert/gnutella';
import type { EdgeCounters } from './counters.ts';
import type { LinkRegistry } from './link/link-registry.ts';
import { outClassOf } from './link/out-queue.ts';
import { DeliverySpan } from './traces.ts';

/** Duplicates of one link that end it, beside their share of all its messages (docs/protocol/02 §15). */
const MIN_DUPLICATES = 5;
const MAX_DUPLICATE_SHARE = 0.015;

export interface DeliveriesOptions {
  readonly edgeId: string;
  readonly epoch: number;
  readonly links: LinkRegistry;
  readonly counters: EdgeCounters;
  /** ms since 1970 */
  readonly wallClock: () => number;
}

/** What shards send to the edge: frames for its links, and what they found the links' own frames to be worth. */
export class Deliveries implements DeliverySink {
  readonly #epoch: number;
  readonly #links: LinkRegistry;
  readonly #counters: EdgeCounters;
  readonly #wallClock: () => number;
  readonly #span: DeliverySpan;

  constructor({ edgeId, epoch, links, counters, wallClock }: DeliveriesOptions) {
    this.#epoch = epoch;
    this.#links = links;
    this.#counters = counters;
    this.#wallClock = wallClock;
    this.#span = new DeliverySpan(edgeId, counters);
  }

  onBatch(batch: EgressBatch): void {
    this.#counters.egressAge.observe((this.#wallClock() - batch.sentAtMs) / 1_000);
    if (batch.edgeEpoch !== this.#epoch) {
      this.#counters.deliveriesOldEpoch += batch.links.length >>> 2;
      return;
    }
    forEachDelivery(batch, this);
    if (batch.verdicts.length > 0) {
      forEachVerdict(batch, (number, duplicates, bad, useful) => this.#judge(number, duplicates, bad, useful));
    }
  }

  deliver(bytes: Uint8Array, start: number, end: number, ttl: number, hops: number, number: number): void {
    const link = this.#links.get(number);
    if (link === undefined) {
      this.#counters.deliveriesUnknownLink++;
    } else if (link.relay(outClassOf(bytes[start + FUNCTION_OFFSET] as number), bytes, start, end, ttl, hops)) {
      this.#counters.deliveries++;
    } else {
      this.#counters.deliveriesQueueFull++;
    }
  }

  beginTraced(trace: string, bytes: Uint8Array, start: number, links: number): void {
    this.#span.begin(trace, bytes, start, links);
  }

  endTraced(): void {
    this.#span.end();
  }

  #judge(number: number, duplicates: number, bad: number, useful: number): void {
    const link = this.#links.get(number);
    if (link === undefined) return;
    const { counters } = link;
    counters.duplicates += duplicates;
    counters.bad += bad;
    counters.useful += useful;
    if (
      duplicates > 0 &&
      counters.duplicates >= MIN_DUPLICATES &&
      counters.duplicates > counters.messagesIn * MAX_DUPLICATE_SHARE
    ) {
      link.bye(401, 'Too many duplicate messages');
    }
  }
}
