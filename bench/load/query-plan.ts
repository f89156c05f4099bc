import { randomFillSync } from 'node:crypto';
import { RAW_DESCRIPTOR, RAW_HEADER_BYTES } from '../../test/support/raw-wire.ts';
import type { Population } from './population.ts';
import { randomBelow, seededRandom } from './random.ts';

/** The most leaves that one planned query may match: one bit each in the tracker's masks. Pairs beyond are not used. */
export const MAX_EXPECTED = 31;

/** Word pairs planned; they are used in turn, and the texts differ each time by their short words. */
const PLANNED_PAIRS = 32_768;

/** Draws for each pair until one within `MAX_EXPECTED` is found. */
const MAX_DRAWS = 1_000;

/** Flags present, GGEP "H" understood (protocol page 02 §9). */
const QUERY_FLAGS = 0x8800;

/** Random bytes drawn at once for GUIDs. */
const RANDOM_POOL_BYTES = 64 * 1024;

/** Bytes behind the two words: three words of two characters, a space before each but the first, and NUL. */
const SALT_BYTES = 9;

const DIGITS = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz', 'latin1');

/** The bytes that one query message may need at most: header, flags, two words of up to 16 letters, salt. */
export const MAX_QUERY_BYTES = RAW_HEADER_BYTES + 2 + 34 + SALT_BYTES;

/**
 * Queries of two words of one leaf, with the leaves that must get each. Every message has a new GUID, whose first four
 * bytes are the query's number, and a new text: two words that are looked up and three that are too short to be
 * (protocol page 05 §1.1) and spell the number.
 */
export class QueryPlan {
  readonly #texts: Buffer[] = [];
  readonly #expected: Int32Array[] = [];
  readonly #pool = Buffer.alloc(RANDOM_POOL_BYTES);
  #poolAt = RANDOM_POOL_BYTES;

  constructor(population: Population, seed: number, pairs = PLANNED_PAIRS) {
    const random = seededRandom(seed);
    for (let i = 0; i < pairs; i++) this.#plan(population, randomBelow(population.leaves, random), random);
  }

  get pairs(): number {
    return this.#texts.length;
  }

  /** The leaves that the query with this number must reach, ascending. */
  expected(number: number): Int32Array {
    return this.#expected[number % this.#expected.length] ?? new Int32Array();
  }

  /** Writes the message of the query with this number at `at` and returns its end. TTL 1, hops 1: a relayed query. */
  write(number: number, into: Buffer, at: number): number {
    return this.#write(this.#texts[number % this.#texts.length] ?? DIGITS, number, into, at);
  }

  /** Writes a query of two words of that leaf, whomever else it matches, and returns its end. */
  writeProbe(population: Population, leaf: number, number: number, into: Buffer, at: number): number {
    const [first = '', second = ''] = wordsOf(population, leaf);
    return this.#write(Buffer.from(`${first} ${second} `, 'latin1'), number, into, at);
  }

  #plan(population: Population, leaf: number, random: () => number): void {
    const words = wordsOf(population, leaf);
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      const first = words[randomBelow(words.length, random)] ?? '';
      const second = words[randomBelow(words.length, random)] ?? '';
      if (first === second) continue;
      const expected = population.matching(first, second);
      if (expected.length > MAX_EXPECTED) continue;
      this.#texts.push(Buffer.from(`${first} ${second} `, 'latin1'));
      this.#expected.push(Int32Array.from(expected));
      return;
    }
    throw new Error(`no two words of leaf ${leaf} match at most ${MAX_EXPECTED} leaves`);
  }

  #write(text: Buffer, number: number, into: Buffer, at: number): number {
    if (this.#poolAt + 16 > RANDOM_POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#poolAt = 0;
    }
    this.#pool.copy(into, at, this.#poolAt, this.#poolAt + 16);
    this.#poolAt += 16;
    into.writeUInt32LE(number, at);
    // Bit 0 of the last byte would mark a repeated query (protocol page 02 §1).
    into[at + 15] = (into[at + 15] ?? 0) & 0xfe;
    into[at + 16] = RAW_DESCRIPTOR.query;
    into[at + 17] = 1;
    into[at + 18] = 1;
    const payloadBytes = 2 + text.length + SALT_BYTES;
    into.writeUInt32LE(payloadBytes, at + 19);
    into.writeUInt16BE(QUERY_FLAGS, at + RAW_HEADER_BYTES);
    let end = at + RAW_HEADER_BYTES + 2;
    end += text.copy(into, end);
    let rest = number;
    for (let digit = 0; digit < 6; digit++) {
      into[end++] = DIGITS[rest % 36] ?? 0;
      rest = Math.floor(rest / 36);
      if (digit === 1 || digit === 3) into[end++] = 0x20;
    }
    into[end++] = 0;
    return end;
  }
}

function wordsOf(population: Population, leaf: number): string[] {
  return Array.from(population.wordsOf[leaf] ?? [], (word) => population.words[word] ?? '');
}
