import type { BusCount, BusEvent } from './bus.ts';
import { MAX_COUNTED_TOPICS } from './limits.ts';

/** The counters of one topic name: plain numbers that the bus increments where things happen. */
export type TopicCounts = Record<BusEvent, number>;

/** Stands for every topic beyond `MAX_COUNTED_TOPICS`. */
export const OTHER_TOPICS = 'other';

/** The counters of one bus by topic name. */
export class BusCounts {
  readonly #topics = new Map<string, TopicCounts>();

  /** The counters of the topic called `name`, made when first asked for. */
  of(name: string): TopicCounts {
    return this.#topics.get(name) ?? this.#add(name);
  }

  /** The name under which a topic is counted: its own, or that of all beyond the bound. */
  nameOf(name: string): string {
    this.of(name);
    return this.#topics.has(name) ? name : OTHER_TOPICS;
  }

  /** Every counter that is not 0. */
  *entries(): Generator<BusCount> {
    for (const [topic, counts] of this.#topics) {
      for (const [event, value] of Object.entries(counts) as [BusEvent, number][]) {
        if (value > 0) yield { topic, event, value };
      }
    }
  }

  #add(name: string): TopicCounts {
    if (this.#topics.size >= MAX_COUNTED_TOPICS - 1 && name !== OTHER_TOPICS) return this.of(OTHER_TOPICS);
    const counts: TopicCounts = {
      published: 0,
      delivered: 0,
      disconnected: 0,
      'no-credit': 0,
      'queue-full': 0,
      undecodable: 0,
      'too-large': 0,
      'handler-error': 0,
    };
    this.#topics.set(name, counts);
    return counts;
  }
}
