import {
  EDGE_LOST_MS,
  MAX_EDGES,
  NO_TABLE,
  ReplayMark,
  unpackUint32,
  type EdgeSummary,
  type IngressBatch,
  type StateBatch,
} from '@filbert/contracts';
import type { EdgeLinks, Link, LinkTable } from './link-table.ts';

/** A batch waits this long for the link records that it relies on. */
export const HOLD_MS = 200;
/** Batches held for one edge; a further one is dropped. */
export const MAX_HELD_BATCHES = 64;
/** A replay is asked of one edge at most this often. */
export const REPLAY_ASK_MS = 500;

interface HeldBatch {
  readonly batch: IngressBatch;
  readonly until: number;
  readonly done: () => void;
}

interface Edge extends EdgeLinks {
  readonly links: Map<number, Link>;
  /** The epoch that this one replaced: messages of it that are still under way change nothing. */
  readonly epochBefore: number | undefined;
  /** Number of the last link record applied; meaningless while not synced. */
  applied: number;
  /** Whether every record up to `applied` has been applied. */
  synced: boolean;
  /** Inside a replay that this shard follows. */
  replaying: boolean;
  /** Links that the replay under way named as living so far. */
  alive: Set<number>;
  heardAt: number;
  askedAt: number;
  held: HeldBatch[];
}

export interface StateFollowerOptions {
  readonly links: LinkTable;
  readonly now: () => number;
  /** Asks an edge to replay its link records. */
  readonly askReplay: (edgeId: string) => void;
  /** Processes a batch whose state has arrived. */
  readonly process: (batch: IngressBatch, edge: EdgeLinks) => void;
  /** A batch was dropped because its state did not arrive in time, or too many waited. */
  readonly onLate: (batch: IngressBatch) => void;
  readonly onEdgeGone: (edge: EdgeLinks) => void;
}

/**
 * Follows the numbered streams of link records of all edges (docs/architecture.md, "State"): applies what is in order, asks
 * for a replay where something is missing, holds frames that run ahead of their state, and drops the links of an edge that
 * has gone silent.
 */
export class StateFollower {
  readonly #options: StateFollowerOptions;
  readonly #edges = new Map<string, Edge>();

  constructor(options: StateFollowerOptions) {
    this.#options = options;
  }

  get edges(): Iterable<EdgeLinks> {
    return this.#edges.values();
  }

  /** Batches that wait for link records. */
  get heldBatches(): number {
    let held = 0;
    for (const edge of this.#edges.values()) held += edge.held.length;
    return held;
  }

  get edgeCount(): number {
    return this.#edges.size;
  }

  /** Whether every edge known is followed without a gap. */
  get settled(): boolean {
    for (const edge of this.#edges.values()) if (!edge.synced) return false;
    return true;
  }

  find(edgeId: string, epoch: number): EdgeLinks | undefined {
    const edge = this.#edges.get(edgeId);
    return edge?.epoch === epoch ? edge : undefined;
  }

  /** Applies one message of an edge's state stream. */
  state(batch: StateBatch): void {
    const edge = this.#edgeOf(batch.edgeId, batch.epoch, batch.replay === 0 && batch.firstNumber === 1);
    if (edge === undefined) return;
    edge.heardAt = this.#options.now();
    switch (batch.replay) {
      case ReplayMark.REPLAY_MARK_BEGIN:
        if (edge.synced) return;
        edge.replaying = true;
        edge.applied = batch.firstNumber;
        edge.alive = new Set();
        return;
      case ReplayMark.REPLAY_MARK_PART:
        if (!edge.replaying) return;
        for (const number of unpackUint32(batch.liveLinks)) edge.alive.add(number);
        for (const record of batch.records) {
          // One that this shard may still hold is gone.
          this.#options.links.apply(edge, record.table === undefined ? { ...record, table: NO_TABLE } : record);
        }
        return;
      case ReplayMark.REPLAY_MARK_END:
        this.#endReplay(edge, batch);
        return;
      default:
        this.#records(edge, batch);
    }
  }

  /** Notes a heartbeat: who is new, restarted or ahead of what was applied is asked for a replay. */
  summary(summary: EdgeSummary): void {
    const edge = this.#edgeOf(summary.edgeId, summary.epoch, false);
    if (edge === undefined) return;
    edge.heardAt = this.#options.now();
    if (edge.synced && summary.stateNumber > edge.applied) edge.synced = false;
    if (!edge.synced) this.#ask(edge);
  }

  /**
   * Processes a batch of frames now, or when the state it relies on has arrived.
   * @returns a promise only where the batch has to wait; it settles when the batch was processed or dropped
   */
  ingress(batch: IngressBatch): undefined | Promise<void> {
    const edge = this.#edgeOf(batch.edgeId, batch.edgeEpoch, false);
    if (edge === undefined) {
      this.#options.onLate(batch);
      return undefined;
    }
    if (edge.held.length === 0 && this.#isReady(edge, batch)) {
      this.#options.process(batch, edge);
      return undefined;
    }
    if (edge.held.length >= MAX_HELD_BATCHES) {
      this.#options.onLate(batch);
      return undefined;
    }
    return new Promise((done) => {
      edge.held.push({ batch, until: this.#options.now() + HOLD_MS, done });
    });
  }

  /**
   * Drops what waited too long and edges that went silent; call it some ten times a second.
   * @param cutOff whether this shard itself is cut off from the bus: then nobody's silence counts
   */
  tick(cutOff: boolean): void {
    const now = this.#options.now();
    for (const edge of this.#edges.values()) {
      if (cutOff) {
        edge.heardAt = now;
      } else if (now - edge.heardAt > EDGE_LOST_MS) {
        this.#remove(edge);
        continue;
      }
      this.#expireHeld(edge, now);
    }
  }

  /** After a time without ticks (a stalled process) nobody's silence counts either. */
  forgiveSilence(): void {
    for (const edge of this.#edges.values()) edge.heardAt = this.#options.now();
  }

  #records(edge: Edge, batch: StateBatch): void {
    if (!edge.synced && !edge.replaying) {
      this.#ask(edge);
      return;
    }
    const ahead = batch.firstNumber - edge.applied - 1;
    if (ahead > 0) {
      edge.synced = false;
      edge.replaying = false;
      this.#ask(edge);
      return;
    }
    for (let i = -ahead; i < batch.records.length; i++) {
      const record = batch.records[i];
      if (record === undefined) break;
      // During a replay a change of a link that was not replayed yet is part of its facts, which are still to come.
      const partial = record.table !== undefined && !record.table.reset;
      if (!(edge.replaying && partial && !edge.links.has(record.link))) this.#options.links.apply(edge, record);
      edge.applied++;
    }
    if (edge.synced) this.#processHeld(edge);
  }

  #endReplay(edge: Edge, batch: StateBatch): void {
    if (!edge.replaying) return;
    edge.replaying = false;
    const { alive } = edge;
    edge.alive = new Set();
    if (edge.applied !== batch.firstNumber) {
      this.#ask(edge);
      return;
    }
    for (const number of unpackUint32(batch.liveLinks)) alive.add(number);
    for (const link of [...edge.links.values()]) if (!alive.has(link.number)) this.#options.links.remove(link);
    edge.synced = true;
    this.#processHeld(edge);
  }

  #edgeOf(edgeId: string, epoch: number, fromTheStart: boolean): Edge | undefined {
    const known = this.#edges.get(edgeId);
    if (known?.epoch === epoch) return known;
    if (known?.epochBefore === epoch) return undefined;
    if (known !== undefined) this.#remove(known);
    else if (this.#edges.size >= MAX_EDGES) return undefined;
    const edge: Edge = {
      edgeId,
      epoch,
      links: new Map(),
      epochBefore: known?.epoch,
      applied: 0,
      synced: fromTheStart,
      replaying: false,
      alive: new Set(),
      heardAt: this.#options.now(),
      askedAt: -REPLAY_ASK_MS,
      held: [],
    };
    this.#edges.set(edgeId, edge);
    if (!fromTheStart) this.#ask(edge);
    return edge;
  }

  #ask(edge: Edge): void {
    const now = this.#options.now();
    if (now - edge.askedAt < REPLAY_ASK_MS) return;
    edge.askedAt = now;
    this.#options.askReplay(edge.edgeId);
  }

  #isReady(edge: Edge, batch: IngressBatch): boolean {
    return edge.synced && edge.applied >= batch.stateNumber;
  }

  #processHeld(edge: Edge): void {
    while (edge.held.length > 0) {
      const first = edge.held[0] as HeldBatch;
      if (!this.#isReady(edge, first.batch)) return;
      edge.held.shift();
      this.#options.process(first.batch, edge);
      first.done();
    }
  }

  #expireHeld(edge: Edge, now: number): void {
    let late = false;
    while (edge.held.length > 0 && (edge.held[0] as HeldBatch).until <= now) {
      const { batch, done } = edge.held.shift() as HeldBatch;
      this.#options.onLate(batch);
      done();
      late = true;
    }
    // A replay that is under way goes on, however many batches it is too late for.
    if (!late || edge.replaying) return;
    edge.synced = false;
    this.#ask(edge);
  }

  #remove(edge: Edge): void {
    this.#edges.delete(edge.edgeId);
    this.#options.links.removeEdge(edge);
    for (const { batch, done } of edge.held) {
      this.#options.onLate(batch);
      done();
    }
    this.#options.onEdgeGone(edge);
  }
}
