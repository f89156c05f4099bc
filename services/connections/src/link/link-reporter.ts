import { NO_TABLE, tableChanges, type StateStream } from '@filbert/contracts';
import { resize, type SlotSet } from '@filbert/gnutella';
import { nextDue, nextPaid } from '../cell-rate.ts';
import type { PeerLink } from './peer-link.ts';

/** Changes of a link's facts (hops-flow, servent GUID, features) that are told at once; then one each interval. */
export const FACTS_BURST = 10;
export const FACTS_INTERVAL_MS = 1_000;
/**
 * Changes of its table, likewise, by the slots that each makes every shard go through: those of the old table and of the
 * new one, each counted as often as it is repeated in the largest merged table.
 */
export const TABLE_WORK_BURST = 2 ** 22;
export const TABLE_WORK_PER_SECOND = 2 ** 18;
/** The least that a change counts as. */
export const TABLE_LEAST_WORK = 2 ** 16;
/** log2 of the slots of the largest merged table (docs/limits.md). */
const MERGED_BITS = 20;
/** A table with more slots set than 2 to this power is folded to this size: most of its slots are then set. */
export const MAX_DENSE_BITS = 18;

/**
 * Tells shards what changed of links, at a pace that no peer sets: what comes faster is told later, as it then stands.
 * So a peer that toggles its hops-flow, or sends table after table, costs the shards no more than others do.
 */
export class LinkReporter {
  readonly #state: StateStream;
  readonly #now: () => number;
  readonly #factsDue = new Set<PeerLink>();
  readonly #tablesDue = new Map<PeerLink, SlotSet | undefined>();

  /** @param options.now ms, monotonic */
  constructor(options: { readonly state: StateStream; readonly now: () => number }) {
    this.#state = options.state;
    this.#now = options.now;
  }

  /** Links of which something is still to be told. */
  get waiting(): number {
    return this.#factsDue.size + this.#tablesDue.size;
  }

  /** Facts of the link changed. */
  facts(link: PeerLink): void {
    this.#factsDue.add(link);
    this.#tellFacts(link);
  }

  /** The link has this table now; undefined: none. */
  table(link: PeerLink, table: SlotSet | undefined): void {
    const next = table === undefined ? undefined : bounded(table);
    this.#tablesDue.set(link, next);
    this.#tellTable(link, next);
  }

  /** Tells what had to wait; call it about once a second. */
  tick(): void {
    for (const link of this.#factsDue) this.#tellFacts(link);
    for (const [link, table] of this.#tablesDue) this.#tellTable(link, table);
  }

  /** The link is gone. */
  forget(link: PeerLink): void {
    this.#factsDue.delete(link);
    this.#tablesDue.delete(link);
  }

  #tellFacts(link: PeerLink): void {
    const due = nextDue(link.nextFactsAt, this.#now(), FACTS_BURST, FACTS_INTERVAL_MS);
    if (due === undefined) return;
    link.nextFactsAt = due;
    this.#factsDue.delete(link);
    this.#state.upsert(link);
  }

  #tellTable(link: PeerLink, next: SlotSet | undefined): void {
    const told = link.table;
    if (next === undefined ? told === undefined : told?.equals(next)) {
      this.#tablesDue.delete(link);
      return;
    }
    const work = Math.max(TABLE_LEAST_WORK, workOf(told) + workOf(next));
    const paidAt = nextPaid(link.tablesPaidAt, this.#now(), work, TABLE_WORK_BURST, TABLE_WORK_PER_SECOND);
    if (paidAt === undefined) return;
    link.tablesPaidAt = paidAt;
    this.#tablesDue.delete(link);
    link.table = next;
    for (const change of next === undefined ? [NO_TABLE] : tableChanges(told, next)) this.#state.upsert(link, change);
  }
}

function workOf(table: SlotSet | undefined): number {
  return table === undefined ? 0 : table.count * 2 ** Math.max(0, MERGED_BITS - table.bits);
}

/** Folding loses nothing that matched (docs/protocol/05 §4). */
function bounded(table: SlotSet): SlotSet {
  return table.count > 2 ** MAX_DENSE_BITS ? resize(table, MAX_DENSE_BITS) : table;
}
