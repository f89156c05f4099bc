import type { DestinationStream } from 'pino';

const LEVEL_NAMES = new Map([
  [10, 'TRACE'],
  [20, 'DEBUG'],
  [30, 'INFO'],
  [40, 'WARN'],
  [50, 'ERROR'],
  [60, 'FATAL'],
]);
/** Fields that have a place of their own in the line, or say nothing on a terminal. */
const PLACED_FIELDS = new Set(['level', 'time', 'msg', 'name', 'component', 'err', 'pid', 'hostname']);

/**
 * Makes one log line for people of one JSON log line:
 * `12:34:56.789 INFO  connections/handshake  message  key=value`. A line that is not JSON is passed on as text.
 */
export function formatForTerminal(line: string): string {
  const fields = parseFields(line);
  if (fields === undefined) return `${printable(line.trimEnd())}\n`;
  const time = typeof fields['time'] === 'number' ? new Date(fields['time']).toISOString().slice(11, 23) : '';
  const level = (LEVEL_NAMES.get(Number(fields['level'])) ?? 'LOG').padEnd(5);
  const who = [fields['name'], fields['component']].filter((part) => typeof part === 'string').join('/');
  const message = typeof fields['msg'] === 'string' ? printable(fields['msg']) : '';
  const rest = Object.entries(fields)
    .filter(([key]) => !PLACED_FIELDS.has(key))
    .map(([key, value]) => `${printable(key)}=${shown(value)}`);
  const head = [`${time} ${level} ${printable(who)}`, message, rest.join(' ')].filter((part) => part !== '').join('  ');
  return `${head}\n${stackOf(fields['err'])}`;
}

/** A pino destination that writes lines for people to a terminal. */
export function terminalDestination(output: { write(text: string): unknown }): DestinationStream {
  return { write: (line) => void output.write(formatForTerminal(line)) };
}

function parseFields(line: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function shown(value: unknown): string {
  const plain = typeof value === 'string' && /^[^\s="]+$/.test(value);
  return printable(plain ? value : (JSON.stringify(value) ?? ''));
}

function stackOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('stack' in error) || typeof error.stack !== 'string') return '';
  return error.stack
    .split('\n')
    .map((line) => `    ${printable(line.trim())}\n`)
    .join('');
}

/** Peers choose some of the texts that are logged: nothing in them may move the cursor or turn the line around. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
