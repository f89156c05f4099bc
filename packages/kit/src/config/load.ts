import type { ParseArgsOptionsConfig } from 'node:util';
import { type ConfigDefinition, distinctOptions, type PlacedOption } from './definition.ts';
import { ENV_PREFIX, type Option } from './option.ts';
import { nearestName } from './suggest.ts';
import { MAX_VALUE_CHARS, valueInfo } from './values.ts';

/** Flags as `util.parseArgs` returns them in `values`. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** Where settings are read from: flags win over the environment, which wins over defaults. */
export interface ConfigSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags?: FlagValues;
}

export type LoadedConfig<V> =
  { readonly ok: true; readonly value: V } | { readonly ok: false; readonly problems: readonly string[] };

/** Variables with this prefix belong to the test suite and are never settings. */
const TEST_PREFIX = 'FILBERT_TEST_';
/** Longest part of a refused value that a problem repeats, in characters. */
const MAX_SHOWN_CHARS = 80;

/** What was given for an option, and by what. */
export interface GivenValue {
  readonly source: 'flag' | 'env' | 'default' | 'unset';
  /** The flag or variable that a sentence names. */
  readonly name: string;
  readonly value: unknown;
}

/**
 * Reads all options of a definition. Every problem is found at once and is a sentence that names the flag or variable, the
 * value and what is allowed. Unknown FILBERT_ variables and unknown flags are problems.
 */
export function loadConfig<V>(definition: ConfigDefinition<V>, sources: ConfigSources): LoadedConfig<V> {
  const problems = [...unknownVariables([definition], sources.env), ...unknownFlags(definition.placed, sources)];
  const values = new Map<Option<unknown>, unknown>();
  for (const { option } of distinctOptions(definition.placed)) {
    const read = readOption(option, sources);
    if ('problem' in read) problems.push(read.problem);
    else values.set(option, read.value);
  }
  if (problems.length > 0) return { ok: false, problems };
  const value = buildValue(definition.placed, values) as V;
  const found = definition.check(value);
  return found.length > 0 ? { ok: false, problems: found } : { ok: true, value };
}

/** What was given for one option. An empty variable counts as not given, except for a list, which it empties. */
export function givenValue(option: Option<unknown>, { env, flags }: ConfigSources): GivenValue {
  const flag = flags?.[option.flag];
  const { kind } = valueInfo(option.schema);
  if (flag !== undefined) return { source: 'flag', name: `--${option.flag}`, value: flag };
  const variable = env[option.env];
  if (variable !== undefined && (variable !== '' || kind === 'list'))
    return { source: 'env', name: option.env, value: variable };
  return { source: option.default === undefined ? 'unset' : 'default', name: option.env, value: option.default };
}

/** Options for `util.parseArgs` that read the flags of a definition (with `allowNegative: true` for `--no-<flag>`). */
export function parseArgsOptions(definition: ConfigDefinition<never>): ParseArgsOptionsConfig {
  const options: ParseArgsOptionsConfig = {};
  for (const { option } of distinctOptions(definition.placed)) {
    const { kind } = valueInfo(option.schema);
    options[option.flag] = { type: kind === 'boolean' ? 'boolean' : 'string', multiple: kind === 'list' };
  }
  return options;
}

function readOption(option: Option<unknown>, sources: ConfigSources): { value: unknown } | { problem: string } {
  const given = givenValue(option, sources);
  if (given.source === 'unset') {
    if (!option.required) return { value: undefined };
    return { problem: `${option.env} (or --${option.flag}) is missing: it must be ${allowed(option)}.` };
  }
  const parsed = option.schema.safeParse(given.value);
  if (parsed.success) return { value: parsed.data };
  return { problem: `${given.name} is ${shown(option, given.value)}: it must be ${allowed(option)}.` };
}

function allowed(option: Option<unknown>): string {
  const text = valueInfo(option.schema).allowed;
  return option.unit === undefined ? text : `${text} (${option.unit})`;
}

function shown(option: Option<unknown>, value: unknown): string {
  if (option.secret === true) return 'not usable (its value is hidden)';
  const given = Array.isArray(value) ? value.join(',') : value;
  const isLong = typeof given === 'string' && given.length > MAX_SHOWN_CHARS;
  return JSON.stringify(isLong ? `${given.slice(0, MAX_SHOWN_CHARS)}…` : given) ?? 'undefined';
}

/** A sentence for each FILBERT_ variable that none of the definitions knows. */
export function unknownVariables(
  definitions: readonly Pick<ConfigDefinition<never>, 'placed'>[],
  env: ConfigSources['env'],
): string[] {
  const known = new Set<string>(definitions.flatMap(({ placed }) => placed.map(({ option }) => option.env)));
  return Object.keys(env)
    .filter((name) => name.startsWith(ENV_PREFIX) && !name.startsWith(TEST_PREFIX) && !known.has(name))
    .filter((name) => !isServiceLink(name, env[name] ?? ''))
    .map((name) => `${name} is not a known variable${suggestion(nearestName(name, known))}`);
}

function unknownFlags(placed: readonly PlacedOption[], { flags = {} }: ConfigSources): string[] {
  const known = new Set(placed.map(({ option }) => option.flag));
  return Object.keys(flags)
    .filter((name) => flags[name] !== undefined && !known.has(name))
    .map((name) => {
      const nearest = nearestName(name, known);
      return `--${name} is not a known flag${suggestion(nearest === undefined ? undefined : `--${nearest}`)}`;
    });
}

function suggestion(nearest: string | undefined): string {
  return nearest === undefined ? '.' : `; did you mean ${nearest}?`;
}

/**
 * Kubernetes puts variables for every Service of the namespace into each container, so a Service called `filbert-router`
 * yields FILBERT_ROUTER_SERVICE_HOST and others that nobody meant as settings.
 */
function isServiceLink(name: string, value: string): boolean {
  if (value.length > MAX_VALUE_CHARS) return false;
  if (/_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name)) return true;
  if (/_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return true;
  return name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value);
}

function buildValue(placed: readonly PlacedOption[], values: ReadonlyMap<Option<unknown>, unknown>): unknown {
  const root: Record<string, unknown> = {};
  for (const { keys, option } of placed) {
    let target = root;
    for (const key of keys.slice(0, -1)) target = (target[key] ??= {}) as Record<string, unknown>;
    const last = keys.at(-1);
    if (last !== undefined) target[last] = values.get(option);
  }
  return root;
}
