import { readFileSync } from 'node:fs';

interface Vector {
  readonly name: string;
  readonly input: unknown;
  readonly expected: unknown;
}

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/vectors.json', import.meta.url), 'utf8'),
) as readonly Vector[];

/** The vector of that name. */
export function vectorNamed(name: string): Vector {
  const vector = vectors.find((one) => one.name === name);
  if (vector === undefined) throw new Error(`there is no vector ${name}`);
  return vector;
}
