import { formatPeerAddress, guidToHex, type Sha1 } from '@filbert/gnutella';
import type { Clock } from '@filbert/kit';
import { sha1Key } from '../catalogue/shared-file.ts';
import type { FoundSource } from './found-files.ts';

/** Sources that are remembered after the searches that found them. */
export const MAX_RECENT_SOURCES = 2_000;
/** For so long, in ms: about as long as the way of a PUSH is kept. */
export const RECENT_MS = 600_000;

interface Remembered {
  readonly file: string;
  readonly source: FoundSource;
  readonly foundAtMs: number;
}

/**
 * What searches by words found lately, for whoever then asks for one of the files by its hash. The network alone may not
 * answer that: a servent whose query route table holds words and no URNs is never asked for a hash
 * (docs/protocol/05-qrp.md §1), yet has just told the hash in its hit.
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
  add(sha1: Sha1, source: FoundSource): void {
    const file = sha1Key(sha1);
    const where = source.address === undefined ? '' : formatPeerAddress(source.address);
    const key = `${file} ${guidToHex(source.serventGuid)} ${where}`;
    this.#sources.delete(key);
    this.#forgetOld();
    if (this.#sources.size >= MAX_RECENT_SOURCES) this.#forgetFirst();
    // The GUID is a view of the whole hit, which must not be kept for it.
    const kept = { ...source, serventGuid: source.serventGuid.slice() };
    this.#sources.set(key, { file, source: kept, foundAtMs: this.#clock.monotonic() });
  }

  /** Who had the file, the latest find first. */
  sourcesOf(sha1: Sha1): FoundSource[] {
    this.#forgetOld();
    const file = sha1Key(sha1);
    const sources = [];
    for (const remembered of this.#sources.values()) if (remembered.file === file) sources.push(remembered.source);
    return sources.reverse();
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
