/**
 * A generator of pseudo-random numbers in [0, 1) from a 32-bit seed (mulberry32): the same load in each run of the
 * benchmark, so that two runs differ by the node alone.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number in [0, below). */
export function randomBelow(below: number, random: () => number): number {
  return Math.floor(random() * below);
}
