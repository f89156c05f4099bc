import { randomInt } from 'node:crypto';

const EPOCH_LIMIT = 2 ** 32;

/**
 * A number that tells one run of a process from the next: a random u32, never 0 (0 stands for "none" in messages).
 * @param random returns a whole number from `min` (inclusive) to `max` (exclusive)
 */
export function randomEpoch(random: (min: number, max: number) => number = randomInt): number {
  return random(1, EPOCH_LIMIT);
}
