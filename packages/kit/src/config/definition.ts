import { ConfigError, type Option } from './option.ts';

/** Options by the name under which a service reads them. */
export type Options = Readonly<Record<string, Option<unknown>>>;

/** What loading a definition yields. */
export type ConfigValue<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

/** An option with the keys that lead to its value. */
export interface PlacedOption {
  readonly keys: readonly string[];
  readonly option: Option<unknown>;
}

/** What one process may be told: options, and checks over several of them. */
export interface ConfigDefinition<V> {
  readonly placed: readonly PlacedOption[];
  /** Problems that show only when all values are read, each a sentence. */
  readonly check: (value: V) => readonly string[];
}

/** The value type of a definition. */
export type ConfigOf<D> = D extends ConfigDefinition<infer V> ? V : never;

/**
 * Declares the configuration of one service.
 * @param check looks at values together and returns a sentence for each problem
 * @throws ConfigError where two options share a flag or a variable
 */
export function defineConfig<O extends Options>(
  options: O,
  { check = () => [] }: { readonly check?: (value: ConfigValue<O>) => readonly string[] } = {},
): ConfigDefinition<ConfigValue<O>> {
  const placed = Object.entries(options).map(([name, option]) => ({ keys: [name], option }));
  refuseClashes(placed);
  return { placed, check };
}

/**
 * Joins definitions for one process; each part's value lies under its name. Parts may share an option by using the same
 * object: it is then read once and shown once.
 * @throws ConfigError where two different options share a flag or a variable
 */
export function mergeConfigs<P extends Readonly<Record<string, ConfigDefinition<never>>>>(
  parts: P,
): ConfigDefinition<{ readonly [K in keyof P]: ConfigOf<P[K]> }> {
  const placed = Object.entries(parts).flatMap(([name, part]) =>
    part.placed.map(({ keys, option }) => ({ keys: [name, ...keys], option })),
  );
  refuseClashes(placed);
  return {
    placed,
    check: (value) => [
      // The value under a name was built from that part's own options.
      ...new Set(Object.entries(parts).flatMap(([name, part]) => part.check(value[name] as never))),
    ],
  };
}

/** The options of a definition, each once, in order of declaration. */
export function distinctOptions(placed: readonly PlacedOption[]): PlacedOption[] {
  const seen = new Set<Option<unknown>>();
  return placed.filter(({ option }) => !seen.has(option) && seen.add(option));
}

function refuseClashes(placed: readonly PlacedOption[]): void {
  const owners = new Map<string, Option<unknown>>();
  for (const { option } of distinctOptions(placed)) {
    for (const name of [option.env, `--${option.flag}`]) {
      if (owners.has(name)) throw new ConfigError(`${name} is declared twice`);
      owners.set(name, option);
    }
  }
}
