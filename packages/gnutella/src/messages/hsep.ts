// HSEP, 0xCD: how large the network is within 1, 2, … hops (docs/protocol/02-messages.md §13).
import { accepted, refused } from '../encoding/decoded.ts';
import type { Decoded } from '../encoding/decoded.ts';
import { readU32LE, writeU32LE } from '../encoding/integers.ts';
import { GnutellaError } from '../errors.ts';
import { Descriptor, HEADER_BYTES } from '../header.ts';
import { newFrame } from './frame.ts';
import type { Envelope } from './frame.ts';

/** Distances that are told apart; further triples are not read. */
export const MAX_HSEP_TRIPLES = 7;
const TRIPLE_BYTES = 24;
const TWO_TO_32 = 2 ** 32;

/** Totals within one distance. */
export interface HsepTriple {
  readonly nodes: number;
  readonly files: number;
  readonly kib: number;
}

export type HsepRefusal = 'bad-size' | 'too-large-number' | 'first-not-one-node' | 'decreasing';

/**
 * An HSEP frame, TTL 1.
 * @throws GnutellaError `bad-payload` for no triples, more than 7, or numbers that are not whole and safe
 */
export function encodeHsep(guid: Envelope['guid'], triples: readonly HsepTriple[]): Uint8Array {
  if (triples.length === 0 || triples.length > MAX_HSEP_TRIPLES) {
    throw new GnutellaError('bad-payload', 'HSEP has 1 to 7 triples');
  }
  const frame = newFrame({ guid, ttl: 1 }, Descriptor.HSEP, triples.length * TRIPLE_BYTES);
  let at = HEADER_BYTES;
  for (const triple of triples) {
    for (const value of [triple.nodes, triple.files, triple.kib]) {
      if (!Number.isSafeInteger(value) || value < 0) throw new GnutellaError('bad-payload', 'not a whole number');
      writeU32LE(frame, at, value % TWO_TO_32);
      writeU32LE(frame, at + 4, Math.floor(value / TWO_TO_32));
      at += 8;
    }
  }
  return frame;
}

/** Decodes the payload `bytes[start, end)`: the first {@link MAX_HSEP_TRIPLES} triples, checked as §13 says. */
export function decodeHsep(bytes: Uint8Array, start: number, end: number): Decoded<readonly HsepTriple[], HsepRefusal> {
  const size = end - start;
  if (size <= 0 || size % TRIPLE_BYTES !== 0) return refused('bad-size');
  const triples: HsepTriple[] = [];
  let previous: HsepTriple = { nodes: 0, files: 0, kib: 0 };
  for (let at = start; at < end && triples.length < MAX_HSEP_TRIPLES; at += TRIPLE_BYTES) {
    const triple = { nodes: readU64(bytes, at), files: readU64(bytes, at + 8), kib: readU64(bytes, at + 16) };
    if (!Object.values(triple).every(Number.isSafeInteger)) return refused('too-large-number');
    if (triple.nodes < previous.nodes || triple.files < previous.files || triple.kib < previous.kib) {
      return refused('decreasing');
    }
    triples.push(triple);
    previous = triple;
  }
  return triples[0]?.nodes === 1 ? accepted(triples) : refused('first-not-one-node');
}

function readU64(bytes: Uint8Array, at: number): number {
  return readU32LE(bytes, at) + readU32LE(bytes, at + 4) * TWO_TO_32;
}
