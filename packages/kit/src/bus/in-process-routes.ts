import { IN_PROCESS_CACHED_ROUTES } from './limits.ts';
import { subjectMatches } from './subject-match.ts';

/** What a route needs to know of a subscription. */
export interface Subscriber {
  /** The subject or pattern subscribed to. */
  readonly subject: string;
  readonly queue: string | undefined;
}

interface QueueGroup<S> {
  readonly members: S[];
  readonly turn: { next: number };
}

/** Who gets what is published to one subject: all of `single`, and one member of each group in turn. */
export interface Route<S> {
  readonly single: readonly S[];
  readonly groups: readonly QueueGroup<S>[];
}

/** The member of a queue group whose turn it is. */
export function nextMember<S>(group: QueueGroup<S>): S | undefined {
  const { members, turn } = group;
  const at = turn.next % members.length;
  turn.next = at + 1;
  return members[at];
}

/** Finds the subscribers of a subject. */
export class Routes<S extends Subscriber> {
  readonly #subscribers = new Set<S>();
  readonly #cache = new Map<string, Route<S>>();
  // Kept apart from the routes, which are made anew with each subscription. As few as there are names of groups.
  readonly #turns = new Map<string, { next: number }>();

  add(subscriber: S): void {
    this.#subscribers.add(subscriber);
    this.#cache.clear();
  }

  remove(subscriber: S): void {
    this.#subscribers.delete(subscriber);
    this.#cache.clear();
  }

  clear(): void {
    this.#subscribers.clear();
    this.#cache.clear();
  }

  of(subject: string): Route<S> {
    return this.#cache.get(subject) ?? this.#find(subject);
  }

  #find(subject: string): Route<S> {
    const single: S[] = [];
    const groups = new Map<string, QueueGroup<S>>();
    for (const subscriber of this.#subscribers) {
      if (!subjectMatches(subscriber.subject, subject)) continue;
      if (subscriber.queue === undefined) single.push(subscriber);
      else this.#groupOf(groups, subscriber.queue).members.push(subscriber);
    }
    const route = { single, groups: [...groups.values()] };
    if (this.#cache.size >= IN_PROCESS_CACHED_ROUTES) this.#cache.clear();
    this.#cache.set(subject, route);
    return route;
  }

  #groupOf(groups: Map<string, QueueGroup<S>>, queue: string): QueueGroup<S> {
    const known = groups.get(queue);
    if (known !== undefined) return known;
    const turn = this.#turns.get(queue) ?? { next: 0 };
    this.#turns.set(queue, turn);
    const group = { members: [], turn };
    groups.set(queue, group);
    return group;
  }
}
