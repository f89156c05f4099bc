import type { Source } from './source.ts';

/** Connections to sources that all downloads share. */
export interface SessionBudget {
  /** False where all are in use; downloads that wait for one are nudged when one is given back. */
  tryTake(): boolean;
  give(): void;
}

export interface SourceSessionsOptions {
  readonly budget: SessionBudget;
  /** Talks to a source until there is nothing more to be had from it, or the signal fires. Never rejects. */
  readonly talk: (source: Source, round: AbortSignal) => Promise<void>;
  /** A connection has ended. */
  readonly onEnded: () => void;
}

/** The connections of one download to its sources. They belong to a round, which may be ended as a whole. */
export class SourceSessions {
  readonly #options: SourceSessionsOptions;
  readonly #sessions = new Set<Promise<void>>();
  #round = new AbortController();

  constructor(options: SourceSessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Nothing of this round goes on. */
  get isRoundOver(): boolean {
    return this.#round.signal.aborted;
  }

  /**
   * Begins with those sources that are ready.
   * @param most - connections at one time
   * @param hasWork - whether there are bytes that nobody fetches
   * @returns whether one found all connections of the worker in use
   */
  launch(sources: Iterable<Source>, nowMs: number, most: number, hasWork: () => boolean): boolean {
    for (const source of sources) {
      if (this.#sessions.size >= most) return false;
      if (!source.isReady(nowMs)) continue;
      if (!hasWork()) return false;
      if (!this.#options.budget.tryTake()) return true;
      this.#begin(source);
    }
    return false;
  }

  /** Ends the round: its connections close, and there are none until the next. */
  endRound(): void {
    this.#round.abort();
  }

  /** Ends the round, waits for its connections, and begins the next with clean hands. */
  async nextRound(): Promise<void> {
    this.#round.abort();
    await Promise.allSettled([...this.#sessions]);
    this.#round = new AbortController();
  }

  #begin(source: Source): void {
    const { budget, talk, onEnded } = this.#options;
    source.active = true;
    const session = talk(source, this.#round.signal).finally(() => {
      source.active = false;
      this.#sessions.delete(session);
      budget.give();
      onEnded();
    });
    this.#sessions.add(session);
  }
}
