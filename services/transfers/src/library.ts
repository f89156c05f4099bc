import type { Sha1 } from '@filbert/gnutella';
import { asSha1, SHA1_BYTES } from '@filbert/gnutella';
import { libraryBrowse, libraryLookup, type LibraryBrowseReply } from '@filbert/contracts';
import { BusError, type Bus } from '@filbert/kit';

/** How long the library may take to answer, in ms. */
const LOOKUP_TIMEOUT_MS = 3_000;

/** One shared file as the catalogue knows it. */
export interface LibraryFile {
  readonly index: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha1: Sha1;
  /** Absolute. */
  readonly path: string;
  readonly modifiedAtMs: number;
  /** The share folder that it lies in, as the catalogue says; empty where it says none. */
  readonly shareFolder: string;
}

/** `away`: nobody answers for the library, so it is not known whether the file is shared. */
export type LibraryAnswer =
  { readonly kind: 'found'; readonly file: LibraryFile } | { readonly kind: 'not-shared' } | { readonly kind: 'away' };

/** Finds shared files; the catalogue is elsewhere. */
export interface LibraryLookup {
  bySha1(sha1: Sha1): Promise<LibraryAnswer>;
  byIndex(index: number): Promise<LibraryAnswer>;
  /** A page of the library as query hits; undefined where nobody answers. */
  browse(offset: number): Promise<LibraryBrowseReply | undefined>;
}

/** The library over the bus: shards that do not have a file stay silent, or say that they have not. */
export function busLibrary(bus: Bus): LibraryLookup {
  const lookup = async (sha1: Uint8Array, index: number): Promise<LibraryAnswer> => {
    try {
      const reply = await bus.request(libraryLookup, { sha1, index }, { timeoutMs: LOOKUP_TIMEOUT_MS });
      if (!reply.found || reply.sha1.length !== SHA1_BYTES) return { kind: 'not-shared' };
      const { name, path, size, modifiedAtMs, shareFolder } = reply;
      const sha1OfFile = asSha1(reply.sha1);
      const file = { index: reply.index, name, sizeBytes: size, sha1: sha1OfFile, path, modifiedAtMs, shareFolder };
      return { kind: 'found', file };
    } catch (error) {
      // Silence of those that answer means that none of them has it.
      if (error instanceof BusError) return { kind: error.code === 'timeout' ? 'not-shared' : 'away' };
      throw error;
    }
  };
  return {
    bySha1: (sha1) => lookup(sha1, 0),
    byIndex: (index) => lookup(new Uint8Array(0), index),
    browse: async (offset) => {
      try {
        return await bus.request(libraryBrowse, { offset }, { timeoutMs: LOOKUP_TIMEOUT_MS });
      } catch (error) {
        if (error instanceof BusError) return undefined;
        throw error;
      }
    },
  };
}
