import type { DatabaseSync } from 'node:sqlite';
import { NODE_SECRET_BYTES } from '@filbert/contracts';
import { GUID_BYTES, randomServentGuid } from '@filbert/gnutella';

/** Who the node is: kept for ever. */
export interface Identity {
  /** What peers PUSH to, 16 bytes. */
  readonly serventGuid: Uint8Array;
  /** Keys the shard map, 16 bytes. */
  readonly nodeSecret: Uint8Array;
}

/** Reads the identity, or makes one on the first start. */
export function loadIdentity(database: DatabaseSync, random: (bytes: number) => Uint8Array): Identity {
  return {
    serventGuid: loadOrCreate(database, 'servent_guid', GUID_BYTES, () => randomServentGuid(random)),
    nodeSecret: loadOrCreate(database, 'node_secret', NODE_SECRET_BYTES, () => random(NODE_SECRET_BYTES)),
  };
}

function loadOrCreate(database: DatabaseSync, key: string, bytes: number, create: () => Uint8Array): Uint8Array {
  const known = database.prepare('SELECT value FROM identity WHERE key = ?').get(key)?.['value'];
  if (known instanceof Uint8Array && known.length === bytes) return known;
  const made = create();
  database.prepare('INSERT OR REPLACE INTO identity (key, value) VALUES (?, ?)').run(key, made);
  return made;
}
