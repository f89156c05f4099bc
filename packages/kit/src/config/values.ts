import { isIPv4, isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';

/** Longest text of one setting that is looked at, in characters. */
export const MAX_VALUE_CHARS = 16_384;
/** Most entries of a list setting. */
export const MAX_LIST_ENTRIES = 1_000;

const MAX_PORT = 65_535;
const MAX_HOST_NAME_CHARS = 253;

/** An address to listen on or to dial: an IPv4 or IPv6 literal (without brackets) or a host name, and a TCP or UDP port. */
export interface HostPort {
  readonly host: string;
  /** 0 … 65535; 0 lets the system choose when listening. */
  readonly port: number;
}

/** What is known of a schema beyond its parsing. */
export interface ValueInfo {
  /** Completes the sentence "it must be …". */
  readonly allowed: string;
  /** How the flag looks on the command line. */
  readonly kind: 'boolean' | 'list' | 'scalar';
  /** Writes a value so that the schema reads it back; undefined where the value's type alone tells how. */
  readonly write?: (value: unknown) => string;
}

const infos = new WeakMap<z.ZodType, ValueInfo>();

function describe<S extends z.ZodType>(schema: S, info: ValueInfo): S {
  infos.set(schema, info);
  return schema;
}

/** What a schema allows, in words; for a schema made without the helpers here, what zod itself knows. */
export function valueInfo(schema: z.ZodType): ValueInfo {
  const known = infos.get(schema);
  if (known !== undefined) return known;
  if (schema instanceof z.ZodEnum) return { allowed: `one of ${schema.options.join(', ')}`, kind: 'scalar' };
  return { allowed: schema.description ?? 'text', kind: 'scalar' };
}

/** A text that becomes a value, or does not: `read` returns undefined for what is not allowed. */
function textual<T, In extends string | number>(
  input: z.ZodType<In>,
  info: ValueInfo,
  read: (value: In) => T | undefined,
): z.ZodType<T, In> {
  const schema = input.transform((value, context): T => {
    const result = read(value);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: `it must be ${info.allowed}` });
    return z.NEVER;
  });
  return describe(schema as unknown as z.ZodType<T, In>, info);
}

const text = z.string().max(MAX_VALUE_CHARS);
const textOrNumber = z.union([text, z.number()]);

/** Bounds of a number, both inclusive. */
export interface NumberBounds {
  readonly min: number;
  readonly max: number;
}

/** One of a few words. */
export function oneOf<const W extends readonly [string, ...string[]]>(words: W): z.ZodType<W[number], W[number]> {
  return z.enum(words);
}

/** A whole number within bounds, written in decimal digits. */
export function integer({ min, max }: NumberBounds): z.ZodType<number, string | number> {
  return textual(textOrNumber, { allowed: `a whole number from ${min} to ${max}`, kind: 'scalar' }, (value) => {
    const number = typeof value === 'number' ? value : /^-?\d{1,16}$/.test(value) ? Number(value) : NaN;
    return Number.isSafeInteger(number) && number >= min && number <= max ? number : undefined;
  });
}

/** A number within bounds that need not be whole, such as a ratio. */
export function decimal({ min, max }: NumberBounds): z.ZodType<number, string | number> {
  return textual(textOrNumber, { allowed: `a number from ${min} to ${max}`, kind: 'scalar' }, (value) => {
    const number = typeof value === 'number' ? value : /^-?\d{1,16}(\.\d{1,16})?$/.test(value) ? Number(value) : NaN;
    return Number.isFinite(number) && number >= min && number <= max ? number : undefined;
  });
}

const TRUE_WORDS = new Set(['true', '1', 'yes', 'on']);
const FALSE_WORDS = new Set(['false', '0', 'no', 'off']);

/** A switch: `true`/`false`, `1`/`0`, `yes`/`no`, `on`/`off`; as a flag it needs no value, and `--no-<flag>` turns it off. */
export function toggle(): z.ZodType<boolean, string | boolean> {
  const schema = z.union([z.boolean(), text]).transform((value, context): boolean => {
    const word = typeof value === 'boolean' ? String(value) : value.toLowerCase();
    if (TRUE_WORDS.has(word)) return true;
    if (!FALSE_WORDS.has(word)) context.addIssue({ code: 'custom', message: 'it must be true or false' });
    return false;
  });
  return describe(schema, { allowed: 'true or false', kind: 'boolean' });
}

const DURATION_UNITS = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** Writes a duration in ms with the largest unit that keeps it whole: 90000 becomes `90s`. */
export function formatDuration(ms: number): string {
  let best = `${ms}ms`;
  for (const [unit, size] of DURATION_UNITS) if (ms !== 0 && ms % size === 0) best = `${ms / size}${unit}`;
  return best;
}

/** A length of time with its unit, such as `250ms`, `30s`, `5m`, `2h`, `1d`. Value and bounds are whole ms. */
export function duration({ min, max }: NumberBounds): z.ZodType<number, string> {
  const allowed = `a duration such as 250ms, 30s or 5m, from ${formatDuration(min)} to ${formatDuration(max)}`;
  const write = (value: unknown): string => formatDuration(value as number);
  return textual(text, { allowed, kind: 'scalar', write }, (value) => {
    const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(value);
    const ms = match === null ? NaN : Number(match[1]) * (DURATION_UNITS.get(match[2] ?? '') ?? NaN);
    return ms >= min && ms <= max ? ms : undefined;
  });
}

const BYTE_UNITS = new Map([
  ['', 1],
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
  ['TiB', 1024 ** 4],
]);

/** An amount of bytes, plain or in KiB, MiB, GiB or TiB. Value and bounds are bytes. */
export function byteSize({ min, max }: NumberBounds): z.ZodType<number, string | number> {
  const allowed = `a size in bytes such as 65536, 64KiB or 2GiB, from ${min} to ${max} bytes`;
  return textual(textOrNumber, { allowed, kind: 'scalar' }, (value) => {
    const match = /^(\d{1,15})(B|KiB|MiB|GiB|TiB|)$/.exec(String(value));
    const bytes = match === null ? NaN : Number(match[1]) * (BYTE_UNITS.get(match[2] ?? '') ?? NaN);
    return Number.isSafeInteger(bytes) && bytes >= min && bytes <= max ? bytes : undefined;
  });
}

function isHost(host: string): boolean {
  if (isIPv4(host)) return true;
  // What looks like an IPv4 address and is none would otherwise pass as a host name.
  if (/^[\d.]*$/.test(host) || host.length > MAX_HOST_NAME_CHARS) return false;
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?$/i.test(host);
}

/** Reads `127.0.0.1:6346`, `[::1]:6346` or `host.example:6346`; undefined where it is none of these. */
export function parseHostPort(value: string): HostPort | undefined {
  const match = /^(?:\[([^\]]{1,64})\]|([^:[\]]{1,253})):(\d{1,5})$/.exec(value);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > MAX_PORT) return undefined;
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined;
  return plain !== undefined && isHost(plain) ? { host: plain, port } : undefined;
}

/** Writes an address with its port, IPv6 in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An address with a port. `minPort` 1 where 0 ("the system chooses") makes no sense, as for a target to dial. */
export function hostPort({ minPort = 0 }: { readonly minPort?: 0 | 1 } = {}): z.ZodType<HostPort, string> {
  const allowed = `host:port with an IPv4 address, an [IPv6] address or a host name, and a port from ${minPort} to ${MAX_PORT}`;
  return textual(text, { allowed, kind: 'scalar' }, (value) => {
    const address = parseHostPort(value);
    return address !== undefined && address.port >= minPort ? address : undefined;
  });
}

/** A URL with one of these schemes (`http:`, `nats:`, …), as text. */
export function urlText({ schemes }: { readonly schemes: readonly `${string}:`[] }): z.ZodType<string, string> {
  const allowed = `a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`;
  return textual(text, { allowed, kind: 'scalar' }, (value) =>
    schemes.some((scheme) => value.startsWith(`${scheme}//`)) && (URL.parse(value)?.hostname ?? '') !== ''
      ? value
      : undefined,
  );
}

/** A file or folder. A relative path counts from the working directory at loading; the value is absolute. */
export function filePath(): z.ZodType<string, string> {
  return textual(text, { allowed: 'a path', kind: 'scalar' }, (value) =>
    value !== '' && !value.includes('\0') ? resolve(value) : undefined,
  );
}

/** Text of `min` to `max` characters. */
export function plainText({ min = 1, max = 255 }: Partial<NumberBounds> = {}): z.ZodType<string, string> {
  return textual(text, { allowed: `text of ${min} to ${max} characters`, kind: 'scalar' }, (value) =>
    value.length >= min && value.length <= max ? value : undefined,
  );
}

/**
 * Text that a service reads by itself.
 * @param allowed completes the sentence "it must be …"
 * @param read the value, or undefined for what is not allowed
 * @param write a text that `read` makes the value of
 */
export function parsedText<T>(
  allowed: string,
  read: (value: string) => T | undefined,
  write: (value: T) => string,
): z.ZodType<T, string> {
  // Only what `read` returned is ever written.
  return textual(text, { allowed, kind: 'scalar', write: (value) => write(value as T) }, read);
}

/**
 * Several values: comma separated in a variable; as a flag also repeated. Blanks around entries and empty entries do not count.
 * An empty variable is an empty list.
 */
export function list<T>(
  entry: z.ZodType<T, string>,
  { max = MAX_LIST_ENTRIES }: { readonly max?: number } = {},
): z.ZodType<T[], string | readonly string[]> {
  const allowed = `a comma-separated list of at most ${max} entries, each ${valueInfo(entry).allowed}`;
  const schema = z.union([text, z.array(text).max(MAX_LIST_ENTRIES).readonly()]).transform((value, context): T[] => {
    const result: T[] = [];
    const entries = (typeof value === 'string' ? [value] : value).flatMap((part) => part.split(','));
    for (const part of entries) {
      const trimmed = part.trim();
      if (trimmed === '') continue;
      const parsed = entry.safeParse(trimmed);
      if (parsed.success && result.length < max) result.push(parsed.data);
      else {
        context.addIssue({ code: 'custom', message: `it must be ${allowed}` });
        return z.NEVER;
      }
    }
    return result;
  });
  return describe(schema as unknown as z.ZodType<T[], string | readonly string[]>, { allowed, kind: 'list' });
}
