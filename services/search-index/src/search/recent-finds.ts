import { asSha1, type Sha1 } from '@filbert/gnutella';
import type { Clock } from '@filbert/kit';
import { keysOf, type FoundSource } from './found-files.ts';

/** Sources that are remembered after the searches that found them. */
export const MAX_RECENT_SOURCES = 2_000;
/** For so long, in ms: about as long as the way of a PUSH is kept. */
export const RECENT_MS = 600_000;
/** What the same words found is given to who asks again within this, in ms: longer than neighbours drop a repeated text. */
export const REPEATED_MS = 120_000;

/** A source that is remembered, with its file. */
export interface RecentFind {
  readonly sha1: Sha1 | undefined;
  readonly source: FoundSource;
}

interface Remembered extends RecentFind {
  /** The words that found it. */
  readonly words: string;
  readonly foundAtMs: number;
}

/**
 * What searches found lately. For whoever asks for one of the files by its hash: the network alone may not answer that, for a
 * servent whose query route table holds words and no URNs is never asked for a hash (docs/protocol/05-qrp.md §1), yet has
 * just told the hash in its hit. And for whoever asks for the same words again: neighbours drop a text that is repeated too
 * soon (docs/protocol/06-query-routing-dq.md §2).
 */
export class RecentFinds {
  readonly #clock: Clock;
  /** By file, servent and address; what was found longest ago comes first. */
  readonly #sources = new Map<string, Remembered>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#sources.size;
  }

  /** Remembers a source, from now on; the oldest gives way to one too many. */
  add(words: string, sha1: Sha1 | undefined, source: FoundSource): void {
    const { sourceKey: key } = keysOf(sha1, source);
    this.#sources.delete(key);
    this.#forgetOld();
    if (this.#sources.size >= MAX_RECENT_SOURCES) this.#forgetFirst();
    // GUID and hash are views of the whole hit, which must not be kept for them.
    const kept = { ...source, serventGuid: new Uint8Array(source.serventGuid) };
    const hash = sha1 === undefined ? undefined : asSha1(new Uint8Array(sha1));
    this.#sources.set(key, { words, sha1: hash, source: kept, foundAtMs: this.#clock.monotonic() });
  }

  /** Who had the file, the latest find first. */
  ofFile(sha1: Sha1): RecentFind[] {
    return this.#since(RECENT_MS, (find) => find.sha1 !== undefined && Buffer.compare(find.sha1, sha1) === 0);
  }

  /** What these words found a moment ago, the latest find first. */
  ofWords(words: string): RecentFind[] {
    return this.#since(REPEATED_MS, (find) => find.words === words);
  }

  #since(ms: number, isMeant: (find: Remembered) => boolean): RecentFind[] {
    this.#forgetOld();
    const oldest = this.#clock.monotonic() - ms;
    return [...this.#sources.values()].filter((find) => find.foundAtMs > oldest && isMeant(find)).reverse();
  }

  #forgetOld(): void {
    const oldest = this.#clock.monotonic() - RECENT_MS;
    for (const [key, { foundAtMs }] of this.#sources) {
      if (foundAtMs > oldest) return;
      this.#sources.delete(key);
    }
  }

  #forgetFirst(): void {
    for (const key of this.#sources.keys()) {
      this.#sources.delete(key);
      return;
    }
  }
}
