// The tour of README.md: its commands with what they print, and what of that is another each time.

/** One step: a command as it stands behind the `$`, with the lines below it, or Ctrl-C for the node that runs. */
export interface TourStep {
  readonly kind: 'command' | 'interrupt';
  readonly command: string;
  readonly printed: readonly string[];
}

const TOUR_HEADING = '## A tour of five minutes';
/** What follows needs an engine; test/containers/compose.test.ts does the like, with ports and folders of its own. */
const CONTAINERS = '**Or in containers.**';
const INTERRUPT = 'Stop it with Ctrl-C.';
const CODE_INDENT = '    ';
const PROMPT = '$ ';

/** The steps of the tour up to its containers, in order. @throws Error where the page has no such tour */
export function readTour(page: string): TourStep[] {
  const start = page.indexOf(`\n${TOUR_HEADING}\n`);
  const end = page.indexOf(`\n${CONTAINERS}`, start);
  if (start < 0 || end < 0) throw new Error(`no "${TOUR_HEADING}" that ends at "${CONTAINERS}"`);
  const steps: { kind: TourStep['kind']; command: string; printed: string[] }[] = [];
  for (const line of page.slice(start, end).split('\n')) {
    if (line.startsWith(INTERRUPT)) steps.push({ kind: 'interrupt', command: 'Ctrl-C', printed: [] });
    if (line !== '' && !line.startsWith(CODE_INDENT)) continue;
    const code = line.slice(CODE_INDENT.length);
    if (code.startsWith(PROMPT)) steps.push({ kind: 'command', command: code.slice(PROMPT.length), printed: [] });
    else steps.at(-1)?.printed.push(code);
  }
  return steps.map((step) => ({ ...step, printed: trimBlank(step.printed) }));
}

/** What a command prints beside what the page shows: log lines, progress, and what npm says itself. */
const LEFT_OUT = [
  /^\{"level":/,
  /^(?:[\d.]+ (?:[KMG]i)?B|\[[#-]+\] [\d.-]+(?: %)?) {2}/,
  /^> filbert-workspace@|^> node /,
  /^npm (?:warn|notice) /,
];

/** What differs from run to run, in the order of replacement. */
const MASKS: readonly (readonly [pattern: RegExp, mask: string])[] = [
  [/\b[0-9a-f]{32}\b/g, 'GUID'],
  [/\b[0-9a-f]{16}\b/g, 'ID'],
  [/\b(?:\d+m )?\d+s\b/g, 'TIME'],
  [/\b[\d.]+ (?:[KMG]i)?B\b/g, 'SIZE'],
  [/ {2,}/g, '  '],
];

/**
 * Output as it can be compared.
 * @param replaced texts that are other ones in this run, each with what the page has for it
 */
export function comparable(output: string | readonly string[], replaced: ReadonlyMap<string, string>): string[] {
  const lines = typeof output === 'string' ? output.split(/\r?\n/) : [...output];
  const kept = lines.filter((line) => !LEFT_OUT.some((pattern) => pattern.test(line)));
  return trimBlank(kept).map((line) => {
    let text = line;
    for (const [ours, shown] of replaced) text = text.replaceAll(ours, shown);
    for (const [pattern, mask] of MASKS) text = text.replace(pattern, mask);
    return text.trimEnd();
  });
}

function trimBlank(lines: readonly string[]): string[] {
  const first = lines.findIndex((line) => line.trim() !== '');
  const last = lines.findLastIndex((line) => line.trim() !== '');
  return first < 0 ? [] : lines.slice(first, last + 1);
}
