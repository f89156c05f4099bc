import {
  allEdgeStates,
  edgeControl,
  edgeEgress,
  edgesPoll,
  edgesSummary,
  FactsFollower,
  forEachFrame,
  mergedTable,
  mergedTableRequest,
  packed,
  routerIngress,
  routerLearn,
  routerPush,
  ShardMap,
  type IngressBatch,
  type Learned,
  type MergedTable,
} from '@filbert/contracts';
import { ByeCode, Descriptor, FUNCTION_OFFSET } from '@filbert/gnutella';
import type { Bus, Durations, Logger, Subscription } from '@filbert/kit';
import type { EdgeLinks, Link } from './link-table.ts';
import type { KickReason } from './neighbour-limits.ts';
import { PushProxy } from './push-proxy.ts';
import { RouterShard } from './shard.ts';
import { StateFollower } from './state-follower.ts';
import { TracedFrames } from './traced-frames.ts';

const TICK_MS = 50;
/** Verdicts go to the edges this often, the merged table to them at most this often. */
const VERDICTS_MS = 1_000;
const MERGED_MS = 2_000;
/** A shard that starts says nothing of the merged table before it knows the links of all edges. */
const SETTLE_MS = 2_500;
/** A tick later than this means that this process stood still. */
const STALL_MS = 1_000;
const CONTROL_TIMEOUT_MS = 1_000;
/** Servent GUIDs taught to another shard in one message, and kept for it at most. */
const MAX_LEARNED = 512;
/** What a peer is told whose link breaks a rule of the whole node, as in a refusal (docs/protocol/01 §5). */
const KICK_TEXTS: Readonly<Record<KickReason, string>> = {
  guid: 'Already connected to this GUID',
  address: 'Too many connections from your network',
  network: 'Too many connections from your network',
};
/** The shard that publishes the merged table, and holds neighbours to the rules of the whole node. */
const MERGING_SHARD = 0;
const NOTHING = new Uint8Array(0);

export interface RouterOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly shard: number;
  readonly epoch: number;
  /** ms, monotonic */
  readonly now: () => number;
  /** ms since 1970 */
  readonly wallClock: () => number;
  /** Takes the age of each batch of frames when it is routed. */
  readonly ingressAge: Durations;
}

/** One router shard on the bus: feeds the shard with frames and link records, and publishes what it decides. */
export class Router {
  readonly #options: RouterOptions;
  readonly #bus: Bus;
  readonly #subscriptions: Subscription[] = [];
  readonly #facts: FactsFollower;
  readonly #learned = new Map<number, Learned[]>();
  #shard: RouterShard | undefined;
  #follower: StateFollower | undefined;
  #proxy: PushProxy | undefined;
  #traced: TracedFrames | undefined;
  #timer: NodeJS.Timeout | undefined;
  #startedAt = 0;
  #lastTick = 0;
  #verdictsAt = 0;
  #mergedAt = 0;
  #mergedNumber = 0;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#bus = options.bus;
    this.#facts = new FactsFollower({ bus: options.bus });
  }

  get shard(): RouterShard | undefined {
    return this.#shard;
  }

  get pushProxy(): PushProxy | undefined {
    return this.#proxy;
  }

  get number(): number {
    return this.#options.shard;
  }

  /** Batches of frames that wait for link records. */
  get heldBatches(): number {
    return this.#follower?.heldBatches ?? 0;
  }

  /** Edges that it follows. */
  get edges(): number {
    return this.#follower?.edgeCount ?? 0;
  }

  /** Waits for the node's facts, then follows the edges and routes. */
  async start(signal?: AbortSignal): Promise<void> {
    const facts = await this.#facts.start(signal);
    const { now, shard: number } = this.#options;
    if (number >= facts.shards) {
      throw new Error(
        `router shard ${number} does not exist: the node has ${facts.shards}; check FILBERT_ROUTER_SHARDS`,
      );
    }
    const shard = new RouterShard({
      shardMap: new ShardMap(facts.shards, facts.shardMapVersion, facts.nodeSecret),
      shard: number,
      now,
      random: Math.random,
      openEgress: (edge) => this.#bus.openWriter(edgeEgress(edge.edgeId), { epoch: this.#options.epoch }),
      teach: (owner, guid, link) => this.#teach(owner, guid, link),
      ...(number === MERGING_SHARD && { kick: (link, reason) => this.#kick(link, reason) }),
    });
    const follower = new StateFollower({
      links: shard.links,
      now,
      askReplay: (edgeId) => this.#askReplay(edgeId),
      process: (batch, edge) => this.#process(batch, edge),
      onLate: (batch) => {
        shard.counters.dropped['state-late'] += batch.links.length >>> 2;
      },
      onEdgeGone: (edge) => {
        this.#options.logger.warn({ edge: edge.edgeId }, 'edge gone: its links are dropped');
        shard.outbox.remove(edge);
      },
    });
    const proxy = new PushProxy(shard, now);
    this.#shard = shard;
    this.#traced = new TracedFrames(shard, now);
    this.#follower = follower;
    this.#proxy = proxy;
    this.#startedAt = now();
    this.#lastTick = now();
    this.#subscriptions.push(
      this.#bus.subscribe(allEdgeStates, (batch) => follower.state(batch)),
      this.#bus.subscribe(edgesSummary, (summary) => follower.summary(summary)),
      this.#bus.openReader(routerIngress(number), (batch) => follower.ingress(batch)),
      this.#bus.subscribe(routerLearn(number), ({ learned }) => this.#learn(learned)),
      this.#bus.respond(routerPush(number), ({ push }) => {
        const result = proxy.ask(push);
        shard.outbox.flush();
        return { result };
      }),
    );
    if (number === MERGING_SHARD) {
      this.#subscriptions.push(
        this.#bus.respond(mergedTableRequest, () => (this.#mergedNumber === 0 ? undefined : this.#wholeTable())),
      );
    }
    this.#bus.publish(edgesPoll, { shard: number });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  stop(): void {
    this.#facts.stop();
    clearInterval(this.#timer);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #process(batch: IngressBatch, edge: EdgeLinks): void {
    const shard = this.#shard as RouterShard;
    const traced = this.#traced as TracedFrames;
    this.#options.ingressAge.observe((this.#options.wallClock() - batch.sentAtMs) / 1_000);
    shard.counters.bytesIn += batch.frames.length;
    if (batch.shardMapVersion !== this.#facts.facts?.shardMapVersion) {
      shard.counters.dropped['other-shard-map'] += batch.links.length >>> 2;
      return;
    }
    forEachFrame(batch, (bytes, start, end, number, given) => {
      const link = edge.links.get(number);
      const isHit = bytes[start + FUNCTION_OFFSET] === Descriptor.QUERY_HIT;
      const trace = isHit && traced.any ? (given ?? traced.ofHit(bytes, start)) : given;
      if (link === undefined) shard.counters.dropped['unknown-link']++;
      else if (trace === undefined) shard.frame(bytes, start, end, link);
      else traced.route(bytes, start, end, link, trace);
    });
    shard.outbox.flush();
  }

  #tick(): void {
    const shard = this.#shard as RouterShard;
    const follower = this.#follower as StateFollower;
    const now = this.#options.now();
    if (now - this.#lastTick > STALL_MS) follower.forgiveSilence();
    this.#lastTick = now;
    follower.tick(this.#bus.status !== 'connected');
    shard.tick();
    if (now - this.#verdictsAt >= VERDICTS_MS) {
      this.#verdictsAt = now;
      shard.reportVerdicts(follower.edges);
      this.#publishLearned();
      shard.limits?.tick();
    }
    shard.outbox.flush();
    const settled = now - this.#startedAt >= SETTLE_MS && follower.settled;
    if (this.#options.shard === MERGING_SHARD && settled && now - this.#mergedAt >= MERGED_MS) {
      this.#mergedAt = now;
      this.#publishMerged();
    }
  }

  #publishMerged(): void {
    const { links } = this.#shard as RouterShard;
    links.growMergedIfDue();
    const change = links.merged.takeChange();
    if (change === undefined) return;
    this.#mergedNumber++;
    const isSmall = (change.set.length + change.cleared.length) * 4 <= 1 << (change.bits - 3);
    this.#bus.publish(
      mergedTable,
      isSmall && !change.full
        ? {
            epoch: this.#options.epoch,
            number: this.#mergedNumber,
            bits: change.bits,
            full: false,
            setSlots: packed(change.set),
            clearedSlots: packed(change.cleared),
            bitmap: NOTHING,
          }
        : this.#wholeTable(),
    );
  }

  /** The merged table in the smaller of its two forms; never larger than the bitmap, which fits a message. */
  #wholeTable(): MergedTable {
    const table = (this.#shard as RouterShard).links.merged.published();
    const isSparse = table.count * 4 <= 1 << (table.bits - 3);
    return {
      epoch: this.#options.epoch,
      number: this.#mergedNumber,
      bits: table.bits,
      full: true,
      setSlots: isSparse ? packed(table.slots()) : NOTHING,
      clearedSlots: NOTHING,
      bitmap: isSparse ? NOTHING : table.toBitmap(),
    };
  }

  #askReplay(edgeId: string): void {
    (this.#shard as RouterShard).counters.replaysAsked++;
    this.#bus
      .request(edgeControl(edgeId), { replay: { shard: this.#options.shard } }, { timeoutMs: CONTROL_TIMEOUT_MS })
      .catch((error: unknown) => {
        // The next heartbeat of the edge leads here again.
        this.#options.logger.debug({ edge: edgeId, err: error }, 'the edge did not answer the call for a replay');
      });
  }

  /** Has the edge end the link; where that gets lost, the rules ask again. */
  #kick({ edge, number }: Link, reason: KickReason): void {
    const kick = { link: number, epoch: edge.epoch, byeCode: ByeCode.TOO_MANY_ERRORS, reason: KICK_TEXTS[reason] };
    this.#bus.request(edgeControl(edge.edgeId), { kick }, { timeoutMs: CONTROL_TIMEOUT_MS }).catch((error: unknown) => {
      this.#options.logger.debug({ edge: edge.edgeId, err: error }, 'the edge did not answer the call to end a link');
    });
  }

  #teach(owner: number, serventGuid: Uint8Array, link: Link): void {
    const learned = this.#learned.get(owner) ?? [];
    if (learned.length >= MAX_LEARNED) return;
    learned.push({
      serventGuid,
      edgeId: link.edge.edgeId,
      edgeEpoch: link.edge.epoch,
      link: link.number,
    });
    this.#learned.set(owner, learned);
    // A PUSH often follows its hit at once.
    if (learned.length === 1) setImmediate(() => this.#publishLearned());
  }

  #publishLearned(): void {
    for (const [owner, learned] of this.#learned) {
      this.#bus.publish(routerLearn(owner), { shard: this.#options.shard, learned });
    }
    this.#learned.clear();
  }

  #learn(learned: readonly Learned[]): void {
    for (const { serventGuid, edgeId, edgeEpoch, link } of learned) {
      const known = this.#follower?.find(edgeId, edgeEpoch)?.links.get(link);
      if (known !== undefined) this.#shard?.learn(serventGuid, known);
    }
  }
}
