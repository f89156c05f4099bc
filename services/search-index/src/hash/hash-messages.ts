/** What the service tells a hashing thread. */
export interface HashJob {
  readonly id: number;
  /** Absolute, without symbolic links. */
  readonly path: string;
}

/** Why a file has no hash. `changed`: its content moved while it was read. `not-a-file`: it is something else by now. */
export type HashFailure = 'changed' | 'vanished' | 'unreadable' | 'not-a-file' | 'stalled';

/** What a hashing thread tells the service. */
export type HashReport =
  | { readonly kind: 'progress'; readonly id: number; readonly bytes: number }
  | {
      readonly kind: 'hashed';
      readonly id: number;
      readonly sha1: Uint8Array;
      readonly sizeBytes: number;
      readonly modifiedMs: number;
    }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: HashFailure; readonly detail: string };
