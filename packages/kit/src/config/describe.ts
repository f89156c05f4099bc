import { type ConfigDefinition, distinctOptions } from './definition.ts';
import { type ConfigSources, givenValue } from './load.ts';
import { valueInfo } from './values.ts';

/** One option as `filbert config print` and the configuration page show it. All texts; '' where there is nothing to say. */
export interface ConfigRow {
  /** Where the value lies in the loaded configuration: `listen`, or `connections.listen` in a merged one. */
  readonly name: string;
  readonly flag: string;
  readonly env: string;
  readonly unit: string;
  readonly default: string;
  readonly bounds: string;
  readonly description: string;
  readonly required: boolean;
  readonly secret: boolean;
  /** The value in force as it was written, hidden for a secret. */
  readonly value: string;
  readonly source: 'flag' | 'env' | 'default' | 'unset';
}

/** Stands for the value of a secret. */
export const HIDDEN = '(hidden)';

/** One row for each option, in order of declaration; without sources, values are the defaults. */
export function describeConfig(
  definition: ConfigDefinition<never>,
  sources: ConfigSources = { env: {} },
): readonly ConfigRow[] {
  return distinctOptions(definition.placed).map(({ keys, option }) => {
    const given = givenValue(option, sources);
    const secret = option.secret ?? false;
    const show = (value: unknown): string => (secret && value !== undefined ? HIDDEN : written(value));
    return {
      name: keys.join('.'),
      flag: `--${option.flag}`,
      env: option.env,
      unit: option.unit ?? '',
      default: show(option.default),
      bounds: valueInfo(option.schema).allowed,
      description: option.description,
      required: option.required,
      secret,
      value: show(given.value),
      source: given.source,
    };
  });
}

function written(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.join(',');
  return JSON.stringify(value);
}
