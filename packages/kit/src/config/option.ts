import type { z } from 'zod';
import { valueInfo } from './values.ts';

/** Prefix of every environment variable that configures Filbert. */
export const ENV_PREFIX = 'FILBERT_';

interface OptionCommon {
  /** Name of the command-line flag, without the dashes. */
  readonly flag: string;
  /** Name of the environment variable. */
  readonly env: `FILBERT_${string}`;
  /** One sentence for people. */
  readonly description: string;
  /** What a plain number counts: `links`, `ms`, `bytes/s`, … */
  readonly unit?: string;
  /** The value is never shown, neither in listings nor in problems. */
  readonly secret?: boolean;
}

/** One setting of a service: where it may be given, what it may be, and what it is otherwise. */
export interface Option<T> extends OptionCommon {
  readonly schema: z.ZodType<T>;
  /** Default as it would be written by hand; undefined: none. */
  readonly default: unknown;
  readonly required: boolean;
  /** Only for inference: what loading yields. Never set. */
  readonly valueType?: T;
}

/** What `option` takes. */
export interface OptionSpec<Out, In> extends OptionCommon {
  readonly schema: z.ZodType<Out, In>;
  /** Default, as the schema reads it: `'127.0.0.1:6346'`, `'30s'`, `5000`, `['a', 'b']`. */
  readonly default?: In;
  /** There is no default and the process cannot do without. */
  readonly required?: boolean;
}

/** Why a definition is wrong. A mistake in the program, never in what an operator wrote. */
export class ConfigError extends Error {
  readonly code: 'bad-definition';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
    this.code = 'bad-definition';
  }
}

/**
 * Declares one setting. Without a default and not required, its value may be undefined.
 * @throws ConfigError where the flag or variable is misnamed or the default does not pass its own schema
 */
export function option<Out, In>(spec: OptionSpec<Out, In> & { readonly default: In }): Option<Out>;
export function option<Out, In>(spec: OptionSpec<Out, In> & { readonly required: true }): Option<Out>;
export function option<Out, In>(spec: OptionSpec<Out, In>): Option<Out | undefined>;
export function option<Out, In>(spec: OptionSpec<Out, In>): Option<Out | undefined> {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(spec.flag)) throw new ConfigError(`flag "${spec.flag}" is not kebab-case`);
  if (!/^FILBERT(_[A-Z0-9]+)+$/.test(spec.env))
    throw new ConfigError(`variable "${spec.env}" is not FILBERT_UPPER_CASE`);
  const required = spec.required ?? false;
  if (spec.default !== undefined) {
    if (required) throw new ConfigError(`${spec.env} is required and has a default`);
    const parsed = spec.schema.safeParse(spec.default);
    if (!parsed.success)
      throw new ConfigError(`the default of ${spec.env} is not allowed: ${valueInfo(spec.schema).allowed}`);
  }
  return { ...spec, default: spec.default, required };
}
