import type { BusOutstanding } from './bus.ts';
import type { BusCounts } from './topic-counts.ts';

interface OpenWriter {
  readonly outstandingBytes: number;
}

/** The writers of a bus that are open, by topic name. */
export class OpenWriters {
  readonly #topics = new Map<OpenWriter, string>();
  readonly #counts: BusCounts;

  /** @param counts - bounds how many topics are told apart */
  constructor(counts: BusCounts) {
    this.#counts = counts;
  }

  add(writer: OpenWriter, topic: string): void {
    this.#topics.set(writer, this.#counts.nameOf(topic));
  }

  delete(writer: OpenWriter): void {
    this.#topics.delete(writer);
  }

  /** One entry a topic with open writers. */
  outstanding(): BusOutstanding[] {
    const sums = new Map<string, number>();
    for (const [writer, topic] of this.#topics) sums.set(topic, (sums.get(topic) ?? 0) + writer.outstandingBytes);
    return Array.from(sums, ([topic, bytes]) => ({ topic, bytes }));
  }
}
