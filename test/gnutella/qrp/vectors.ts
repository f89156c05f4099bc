import { readFileSync } from 'node:fs';

interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly input: unknown;
  readonly expected?: unknown;
  readonly hex?: string;
}

function load(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../vectors/${file}`, import.meta.url), 'utf8'));
}

const all = load('vectors.json') as Vector[];

/** The vectors of one kind with the shapes that the caller knows; fails when there is none. */
export function vectorsOfKind<Input, Expected>(kind: string): { name: string; input: Input; expected: Expected }[] {
  const found = all.filter((vector) => vector.kind === kind);
  if (found.length === 0) throw new Error(`no vector of kind ${kind}`);
  return found as unknown as { name: string; input: Input; expected: Expected }[];
}

/** One vector by name. */
export function vectorNamed(name: string): Vector {
  const found = all.find((vector) => vector.name === name);
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}

/** Payload of a whole message given as a vector. */
export function messagePayload(name: string): Buffer {
  return Buffer.from(vectorNamed(name).hex ?? '', 'hex').subarray(23);
}

interface LimeWireVectors {
  readonly qrp_hash: {
    readonly cases: { readonly word: string; readonly bits: number; readonly hash: number }[];
    readonly substring_cases: {
      readonly text: string;
      readonly start: number;
      readonly end: number;
      readonly bits: number;
      readonly hash: number;
    }[];
  };
  readonly qrp_keywords: { readonly path: string; readonly keywords: string[] }[];
  readonly qrp_prefixes: {
    readonly cases: { readonly words: string[]; readonly out?: string[]; readonly out_count?: number }[];
  };
  readonly qrp_nibbles: {
    readonly extend: { readonly nibble: string; readonly byte: string }[];
    readonly halve: { readonly entries8: number[]; readonly packed4: string };
  };
  readonly qrp_patch_encoding: {
    readonly infinity: number;
    readonly max_patch_data_bytes: number;
    readonly entry_bits: number;
    readonly present_from_absent: number;
    readonly absent_from_present: number;
    readonly compressor_none: number;
    readonly compressor_deflate: number;
  };
  readonly qrt_match_rule: { readonly text: string };
  readonly qrp_errors: { readonly case: string; readonly ok: boolean }[];
  readonly qrp_resize: {
    readonly src: number;
    readonly dst: number;
    readonly src_set: number[];
    readonly dst_set: number[];
  }[];
  readonly qrp_messages: { readonly name: string; readonly hex: string; readonly fields: Record<string, unknown> }[];
  readonly qrt_entries: {
    readonly size: number;
    readonly add: string[];
    readonly entries: number;
    readonly contains?: Record<string, boolean>;
  }[];
}

/** The values out of LimeWire's tests. */
export const limeWireVectors = load('vectors-limewire.json') as LimeWireVectors;
