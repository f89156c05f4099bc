import type { EdgeSummary } from '../gen/filbert/bus/v1/bus.ts';

/** Edges of one node that are followed; further ones are ignored. */
export const MAX_EDGES = 256;
/** An edge that said nothing for this long holds no links any more: three heartbeats of one a second, and some slack. */
export const EDGE_LOST_MS = 3_500;

/** The last heartbeat of each edge that lives. */
export class EdgeSummaries {
  /** Heartbeats of edges beyond `MAX_EDGES`. */
  ignored = 0;
  readonly #now: () => number;
  readonly #edges = new Map<string, { readonly summary: EdgeSummary; readonly at: number }>();

  /** @param now ms, on a clock that does not go back */
  constructor(now: () => number) {
    this.#now = now;
  }

  note(summary: EdgeSummary): void {
    if (!this.#edges.has(summary.edgeId) && this.#edges.size >= MAX_EDGES) {
      this.#forgetLost();
      if (this.#edges.size >= MAX_EDGES) {
        this.ignored++;
        return;
      }
    }
    this.#edges.set(summary.edgeId, { summary, at: this.#now() });
  }

  /** Summaries of the edges that live. */
  *alive(): Generator<EdgeSummary> {
    this.#forgetLost();
    for (const { summary } of this.#edges.values()) yield summary;
  }

  /** Edges that live. */
  get size(): number {
    this.#forgetLost();
    return this.#edges.size;
  }

  /** Whether one of them holds an ultrapeer that listens on this address. */
  holdsUltrapeer(address: string): boolean {
    for (const { ultrapeerAddresses } of this.alive()) if (ultrapeerAddresses.includes(address)) return true;
    return false;
  }

  #forgetLost(): void {
    const oldest = this.#now() - EDGE_LOST_MS;
    for (const [edgeId, { at }] of this.#edges) if (at < oldest) this.#edges.delete(edgeId);
  }
}
