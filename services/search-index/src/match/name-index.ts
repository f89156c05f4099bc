import { canonicalWords } from '@filbert/gnutella';
import { Posting } from './posting.ts';

/** Words of one name that are indexed; the rest cannot be searched for. */
export const MAX_WORDS_PER_NAME = 64;
/** Different words of one query that are looked at; more only narrow it further. */
export const MAX_QUERY_WORDS = 32;
/** Files looked at for one query: one that finds little among many ends there. */
export const MAX_CANDIDATES = 20_000;
/** A query needs a word of at least so many UTF-8 bytes: single letters would match everything. */
export const MIN_LONGEST_WORD_BYTES = 2;
/** Words without files are dropped from the vocabulary once there are so many. */
const MAX_STALE_WORDS = 1_000;

/** A word of a query and the part of the vocabulary that begins with it. */
interface Term {
  readonly word: string;
  /** How often the query has it. */
  readonly count: number;
  readonly from: number;
  readonly to: number;
  /** Upper bound of the files that match. */
  readonly files: number;
}

/**
 * Finds names by words: each word of a query must begin a word of the name, and one that the query has twice must begin two
 * (docs/protocol/03-ggep-huge.md §8, gtk-gnutella's matching). Names are told by slots: small numbers that the caller
 * gives, and may give again once a name is removed.
 */
export class NameIndex {
  /** Queries that ended at `MAX_CANDIDATES`. */
  truncated = 0;
  readonly #byWord = new Map<string, Posting>();
  /** The words of each slot's name, repeated ones included. */
  readonly #names: (readonly Posting[] | undefined)[] = [];
  /** Every posting in order of its word, but for those in `#fresh`. */
  #vocabulary: Posting[] = [];
  #fresh: Posting[] = [];
  /** Postings of the vocabulary that are empty. */
  #stale = 0;
  /** For each slot, the last query that looked at it. */
  #seen = new Uint32Array(64);
  #query = 0;

  /** Different words. */
  get words(): number {
    return this.#byWord.size;
  }

  /** Every word that some name has, in no order. */
  vocabulary(): Iterable<string> {
    return this.#byWord.keys();
  }

  add(slot: number, name: string): void {
    this.remove(slot);
    const words = canonicalWords(name)
      .slice(0, MAX_WORDS_PER_NAME)
      .map((word) => this.#posting(word));
    for (const posting of words) posting.add(slot);
    this.#names[slot] = words;
    if (slot >= this.#seen.length) {
      const grown = new Uint32Array(Math.max(slot + 1, this.#seen.length * 2));
      grown.set(this.#seen);
      this.#seen = grown;
    }
  }

  remove(slot: number): void {
    const words = this.#names[slot];
    if (words === undefined) return;
    this.#names[slot] = undefined;
    for (const posting of words) {
      posting.remove(slot);
      if (posting.length === 0 && this.#byWord.get(posting.word) === posting) {
        this.#byWord.delete(posting.word);
        this.#stale++;
      }
    }
  }

  /**
   * Slots of names that have all words of `text`, `limit` at most.
   * @param accept asked about each match in turn; those it refuses do not count
   */
  search(text: string, limit: number, accept: (slot: number) => boolean = () => true): number[] {
    const found: number[] = [];
    const terms = this.#terms(text);
    const [seed, ...others] = terms;
    if (seed === undefined) return found;
    const query = this.#nextQuery();
    let candidates = 0;
    for (let at = seed.from; at < seed.to; at++) {
      const posting = this.#vocabulary[at] as Posting;
      for (let position = 0; position < posting.length; position++) {
        const slot = posting.at(position);
        if (this.#seen[slot] === query) continue;
        this.#seen[slot] = query;
        if (++candidates > MAX_CANDIDATES) {
          this.truncated++;
          return found;
        }
        if (seed.count > 1 && !this.#matches(seed, slot)) continue;
        if (!others.every((term) => this.#matches(term, slot)) || !accept(slot)) continue;
        found.push(slot);
        if (found.length >= limit) return found;
      }
    }
    return found;
  }

  #posting(word: string): Posting {
    let posting = this.#byWord.get(word);
    if (posting === undefined) {
      posting = new Posting(word);
      this.#byWord.set(word, posting);
      this.#fresh.push(posting);
    }
    return posting;
  }

  #matches(term: Term, slot: number): boolean {
    if (term.count === 1 && term.to - term.from === 1) return (this.#vocabulary[term.from] as Posting).has(slot);
    let missing = term.count;
    for (const { word } of this.#names[slot] ?? []) if (word.startsWith(term.word) && --missing === 0) return true;
    return false;
  }

  /** The terms of a query, the rarest first; none where nothing can match. */
  #terms(text: string): Term[] {
    const counts = new Map<string, number>();
    for (const word of canonicalWords(text)) {
      if (counts.size >= MAX_QUERY_WORDS && !counts.has(word)) break;
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    if (![...counts.keys()].some((word) => Buffer.byteLength(word) >= MIN_LONGEST_WORD_BYTES)) return [];
    this.#order();
    const terms: Term[] = [];
    for (const [word, count] of counts) {
      const from = this.#first((other) => other >= word);
      const to = this.#first((other) => other >= word && !other.startsWith(word));
      let files = 0;
      // Beyond what is looked at anyway, one term is as common as another.
      for (let at = from; at < to && files <= MAX_CANDIDATES; at++) files += (this.#vocabulary[at] as Posting).length;
      if (files === 0) return [];
      terms.push({ word, count, from, to, files });
    }
    return terms.sort((a, b) => a.files - b.files);
  }

  /** Position in the vocabulary of the first word that `isThere` holds for; it holds for all words behind it too. */
  #first(isThere: (word: string) => boolean): number {
    let low = 0;
    let high = this.#vocabulary.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isThere((this.#vocabulary[middle] as Posting).word)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Puts new words in their places. */
  #order(): void {
    if (this.#fresh.length === 0 && this.#stale <= MAX_STALE_WORDS) return;
    const before = this.#vocabulary;
    const fresh = this.#fresh.filter(({ length }) => length > 0).sort((a, b) => (a.word < b.word ? -1 : 1));
    const merged: Posting[] = [];
    let next = 0;
    for (const posting of before) {
      if (posting.length === 0) continue;
      for (; next < fresh.length && (fresh[next] as Posting).word < posting.word; next++) {
        merged.push(fresh[next] as Posting);
      }
      merged.push(posting);
    }
    for (; next < fresh.length; next++) merged.push(fresh[next] as Posting);
    this.#vocabulary = merged;
    this.#fresh = [];
    this.#stale = 0;
  }

  #nextQuery(): number {
    this.#query = (this.#query + 1) >>> 0;
    if (this.#query === 0) {
      this.#seen.fill(0);
      this.#query = 1;
    }
    return this.#query;
  }
}
