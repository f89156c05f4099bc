import { ConfigError } from './option.ts';
import { type ConfigDefinition, distinctOptions } from './definition.ts';
import { formatHostPort, type HostPort, valueInfo } from './values.ts';

/** Decimal places of a number that is not whole: what options read. */
const MAX_DECIMALS = 16;

/**
 * The variables that give a definition this value: what `loadConfig` reads back from them equals it. For a process that is
 * started with a configuration of its own; options without a value are left out.
 * @throws ConfigError where a value is no text, number, switch or address, nor a list of these
 */
export function configEnvironment<V>(definition: ConfigDefinition<V>, value: V): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const { keys, option } of distinctOptions(definition.placed)) {
    let found: unknown = value;
    for (const key of keys) found = (found as Readonly<Record<string, unknown>> | undefined)?.[key];
    const text = found === undefined ? undefined : (valueInfo(option.schema).write?.(found) ?? written(found));
    if (text === null) throw new ConfigError(`${option.env} has a value that no variable can hold`);
    if (text !== undefined) environment[option.env] = text;
  }
  return environment;
}

/** A value in the form that its option's schema reads; null where it is none of texts, numbers, switches, addresses or lists. */
function written(value: unknown): string | null {
  if (Array.isArray(value)) return value.map(written).join(',');
  if (isHostPort(value)) return formatHostPort(value);
  // Never with an exponent, which no option reads.
  if (typeof value === 'number') return Number.isInteger(value) ? value.toFixed(0) : value.toFixed(MAX_DECIMALS);
  if (typeof value === 'string' || typeof value === 'boolean') return `${value}`;
  return null;
}

function isHostPort(value: unknown): value is HostPort {
  return typeof value === 'object' && value !== null && 'host' in value && 'port' in value;
}
