// The machine-readable vectors of the protocol pages, typed as far as tests need it.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly input: unknown;
  readonly hex?: string;
  readonly expected?: unknown;
}

export const vectors = load('vectors.json') as readonly Vector[];
export const limewireVectors = load('vectors-limewire.json') as Readonly<Record<string, unknown>>;

/** All vectors of a kind; a kind that is not there is a mistake in the test. */
export function vectorsOfKind(kind: string): readonly Vector[] {
  const found = vectors.filter((vector) => vector.kind === kind);
  if (found.length === 0) throw new Error(`no vectors of kind ${kind}`);
  return found;
}

/** The vector of that name. */
export function vectorNamed(name: string): Vector {
  const found = vectors.find((vector) => vector.name === name);
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}

export function hexBytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function load(file: string): unknown {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`../vectors/${file}`, import.meta.url)), 'utf8'));
}
