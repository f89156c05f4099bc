import {
  formatPeerAddress,
  guidToHex,
  type HitRecord,
  type PeerAddress,
  type QueryHit,
  type Sha1,
} from '@filbert/gnutella';
import { sha1Key } from '../catalogue/shared-file.ts';
import type { HitOrigin } from './judge-hit.ts';

/** Sources that one search keeps; it ends with them. */
export const MAX_SOURCES = 10_000;
/** Names and sizes of one file that are told apart. */
export const MAX_VARIANTS = 16;

/** One servent that has the file. */
export interface FoundSource {
  readonly name: string;
  readonly sizeBytes: number;
  readonly index: number;
  /** 16 bytes */
  readonly serventGuid: Uint8Array;
  readonly address: PeerAddress | undefined;
  readonly firewalled: boolean;
  readonly pushProxies: readonly PeerAddress[];
  readonly busy: boolean;
  readonly vendor: string;
  /** Links that the hit came over. */
  readonly hops: number;
}

/** One file by its hash, with what its sources say of it. */
export interface FoundFile {
  readonly sha1: Sha1 | undefined;
  /** How many sources give each name and each size. */
  readonly names: Map<string, number>;
  readonly sizes: Map<number, number>;
  sources: number;
}

/** A source that was not known before, with its file as it is now. */
export interface Found {
  readonly file: FoundFile;
  readonly source: FoundSource;
}

/** What one search found, grouped by SHA-1; a record without a hash is a file of its own. */
export class FoundFiles {
  readonly #files = new Map<string, FoundFile>();
  readonly #sources = new Set<string>();

  get files(): number {
    return this.#files.size;
  }

  get sources(): number {
    return this.#sources.size;
  }

  /** Adds a record of a hit. @returns undefined for a source that is known, or one too many */
  add(hit: QueryHit, record: HitRecord, origin: HitOrigin, hops: number): Found | undefined {
    return this.addSource(record.sha1, {
      name: record.name,
      sizeBytes: record.sizeBytes,
      index: record.index,
      serventGuid: hit.serventGuid,
      address: origin.address,
      firewalled: origin.firewalled,
      pushProxies: origin.pushProxies,
      busy: hit.trailer?.isBusy === true,
      vendor: origin.vendor,
      hops,
    });
  }

  /** Adds a source of the file with that hash. @returns undefined for a source that is known, or one too many */
  addSource(sha1: Sha1 | undefined, source: FoundSource): Found | undefined {
    const { fileKey, sourceKey } = keysOf(sha1, source);
    if (this.#sources.has(sourceKey) || this.#sources.size >= MAX_SOURCES) return undefined;
    this.#sources.add(sourceKey);

    let file = this.#files.get(fileKey);
    if (file === undefined) {
      file = { sha1, names: new Map(), sizes: new Map(), sources: 0 };
      this.#files.set(fileKey, file);
    }
    file.sources++;
    count(file.names, source.name);
    count(file.sizes, source.sizeBytes);
    return { file, source };
  }
}

/** What tells a file from others, one without a hash by who has it, and a source from others of the same file. */
export function keysOf(
  sha1: Sha1 | undefined,
  { serventGuid, address, index, name }: FoundSource,
): { readonly fileKey: string; readonly sourceKey: string } {
  const servent = guidToHex(serventGuid);
  const where = address === undefined ? '' : formatPeerAddress(address);
  const fileKey = sha1 === undefined ? `${servent} ${index} ${name}` : sha1Key(sha1);
  return { fileKey, sourceKey: `${fileKey} ${servent} ${where}` };
}

/** What most sources say first, then the others. */
export function byFrequency<T>(counts: ReadonlyMap<T, number>): T[] {
  return [...counts].sort((a, b) => b[1] - a[1]).map(([value]) => value);
}

function count<T>(counts: Map<T, number>, value: T): void {
  const known = counts.get(value);
  if (known === undefined && counts.size >= MAX_VARIANTS) return;
  counts.set(value, (known ?? 0) + 1);
}
