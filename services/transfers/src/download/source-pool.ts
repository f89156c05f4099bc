import type { BlameReason } from '../counters.ts';
import { Source, sourceKey, type SourceFacts } from './source.ts';

/** Sources known of one download; further ones are not taken. */
export const MAX_SOURCES = 200;

/** Who has the file of one download, and what is held against each of them. */
export class SourcePool implements Iterable<Source> {
  readonly #sources = new Map<string, Source>();

  get size(): number {
    return this.#sources.size;
  }

  [Symbol.iterator](): Iterator<Source> {
    return this.#sources.values();
  }

  get(key: string): Source | undefined {
    return this.#sources.get(key);
  }

  /** Takes sources that are not known yet. @returns how many were new */
  add(facts: Iterable<SourceFacts>): number {
    let added = 0;
    for (const one of facts) {
      const key = sourceKey(one);
      if (key === '' || this.#sources.has(key) || this.#sources.size >= MAX_SOURCES) continue;
      this.#sources.set(key, new Source(one));
      added++;
    }
    return added;
  }

  /** Those worth asking again by a later process: all but liars. */
  worthKeeping(): SourceFacts[] {
    return [...this].filter(({ blame }) => blame !== 'wrong-hash').map(({ facts }) => facts);
  }

  /** Whether that is held against any of them. */
  hasBlamed(reason: BlameReason): boolean {
    return [...this].some(({ blame }) => blame === reason);
  }

  /** Forgives those that something forgivable is held against. */
  forgive(isForgivable: (blame: BlameReason | undefined) => boolean): void {
    for (const source of this) if (isForgivable(source.blame)) source.forgive();
  }

  /** When the next of those that rest may be asked, ms since 1970; undefined where none ever may. */
  nextReadyMs(): number | undefined {
    let next: number | undefined;
    for (const source of this) {
      if (source.givenUp || source.active) continue;
      if (next === undefined || source.restUntilMs < next) next = source.restUntilMs;
    }
    return next;
  }

  /** Why none of them is asked now, for people. */
  whyNone(): string {
    if (this.size === 0) return 'no source is known';
    const blames = new Map<string, number>();
    for (const { blame } of this) if (blame !== undefined) blames.set(blame, (blames.get(blame) ?? 0) + 1);
    const list = [...blames].map(([blame, count]) => (count === 1 ? blame : `${blame} (${count})`)).join(', ');
    const isTriedAgain = (this.nextReadyMs() ?? 0) > 0;
    const again = isTriedAgain ? 'sources rest and are tried again' : 'every source was given up';
    return list === '' ? again : `${again}: ${list}`;
  }
}
