import { basename } from 'node:path';
import type { Sha1 } from '@filbert/gnutella';

/** A file as it was when it was hashed. */
export interface HashedFile {
  /** Absolute, inside a share folder, without symbolic links. */
  readonly path: string;
  readonly sizeBytes: number;
  /** ms since 1970, with fractions. */
  readonly modifiedMs: number;
  readonly sha1: Sha1;
}

/** A file in the catalogue. */
export interface SharedFile extends HashedFile {
  /** 1…2^32-2, stable, and never given to another file. */
  readonly index: number;
  /** What peers see: the last part of the path. */
  readonly name: string;
  /** ms since 1970 at which this content was first shared. */
  readonly addedMs: number;
}

/** The name under which a file is shared. */
export function sharedName(path: string): string {
  return basename(path);
}

/** A key of a hash for maps: 20 characters, one per byte. */
export function sha1Key(sha1: Uint8Array): string {
  return Buffer.from(sha1.buffer, sha1.byteOffset, sha1.byteLength).toString('latin1');
}
