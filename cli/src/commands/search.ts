import { searchV1 } from '@filbert/contracts';
import { callStream, duration as durationText, formatHostPort, integer, type FlagValues } from '@filbert/kit';
import type { z } from 'zod';
import { CommandError, ExitCode } from '../exit-codes.ts';
import { CALL_TIMEOUT_MS, withNode } from '../control/control-client.ts';
import { interruptible, untilAborted } from './interruption.ts';
import { ProgressLine } from './progress-line.ts';
import { bytes, duration, plural, printable, printJson } from './show.ts';
import { sayWhoCannotBeAsked } from './who-is-asked.ts';

/** Longest name of a file that is printed, in characters. */
const MAX_NAME_CHARS = 120;
/** Bounds of `--timeout`, in ms: those of the node. */
const MIN_TIMEOUT_MS = 1_000;
const MAX_TIMEOUT_MS = 200_000;
const DEFAULT_TIMEOUT = '30s';
/** Bounds of `--enough`, in sources: those of the node. */
const MAX_ENOUGH = 10_000;
const DEFAULT_ENOUGH = '100';
const PROGRESS_INTERVAL_MS = 500;

const END_REASONS: Readonly<Record<searchV1.SearchEnd, string>> = {
  [searchV1.SearchEnd.SEARCH_END_UNSPECIFIED]: 'the node ended it',
  [searchV1.SearchEnd.SEARCH_END_ENOUGH]: 'that was enough',
  [searchV1.SearchEnd.SEARCH_END_TIMEOUT]: 'the time was up',
  [searchV1.SearchEnd.UNRECOGNIZED]: 'the node ended it',
};

/** `filbert search WORDS…`: prints sources as they come. */
export async function search(words: readonly string[], flags: FlagValues): Promise<void> {
  const timeoutMs = flag(flags, 'timeout', DEFAULT_TIMEOUT, durationText({ min: MIN_TIMEOUT_MS, max: MAX_TIMEOUT_MS }));
  const enough = flag(flags, 'enough', DEFAULT_ENOUGH, integer({ min: 1, max: MAX_ENOUGH }));
  const results = flags['json'] === true ? new JsonResults() : new GroupedResults();
  const startedAtMs = Date.now();
  const ended = await interruptible(async (state) => {
    let end = 'interrupted';
    await withNode(flags, async (client) => {
      void sayWhoCannotBeAsked(client);
      const found = callStream(
        client,
        searchV1.SearchServiceService.search,
        { query: words.join(' '), enough, timeoutMs },
        { timeoutMs: timeoutMs + CALL_TIMEOUT_MS, signal: state.signal },
      );
      const progress = new SearchProgress(startedAtMs, timeoutMs, () => results.sources);
      try {
        for await (const { file, source, end: reason } of untilAborted(found, state.signal)) {
          progress.clear();
          if (file !== undefined && source !== undefined) results.add(file, source);
          else end = END_REASONS[reason];
        }
      } finally {
        progress.stop();
      }
    });
    return end;
  });
  results.end(Date.now() - startedAtMs, ended);
  if (results.sources === 0) console.error(`nothing found in ${duration(Date.now() - startedAtMs)}: ${ended}`);
}

/** On a terminal, a line below the results that shows how long the search goes on. */
class SearchProgress {
  readonly #line = new ProgressLine({ output: process.stderr, now: Date.now });
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(startedAtMs: number, timeoutMs: number, sources: () => number) {
    if (!process.stderr.isTTY) return;
    const show = (): void => {
      const passed = `${duration(Date.now() - startedAtMs)} of ${duration(timeoutMs)}`;
      this.#line.show(`searching: ${passed}, ${plural(sources(), 'source')}`);
    };
    this.#timer = setInterval(show, PROGRESS_INTERVAL_MS);
  }

  /** Makes room for a result. */
  clear(): void {
    this.#line.clear();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.clear();
  }
}

/** One object a source. */
class JsonResults {
  sources = 0;

  add(file: searchV1.FoundFile, source: searchV1.Source): void {
    this.sources++;
    printJson({
      name: source.name,
      size: source.size,
      sha1: file.sha1 === '' ? null : file.sha1,
      servent: source.servent,
      address: source.address === '' ? null : source.address,
      port: source.port,
      firewalled: source.firewalled,
      hops: source.hops,
      vendor: source.vendor,
      busy: source.busy,
      index: source.index,
      pushProxies: source.pushProxies,
      fileSources: file.sources,
    });
  }

  end(): void {
    // Nothing but objects is printed.
  }
}

/** A numbered line for each file, with its sources below; a file that gets more later is named again. */
class GroupedResults {
  sources = 0;
  #files = 0;
  /** Number of each file with a hash; the node bounds how many there are. */
  readonly #numbers = new Map<string, number>();
  #current = 0;

  add(file: searchV1.FoundFile, source: searchV1.Source): void {
    this.sources++;
    const known = file.sha1 === '' ? undefined : this.#numbers.get(file.sha1);
    const number = known ?? ++this.#files;
    const name = printable(file.name, MAX_NAME_CHARS);
    if (known === undefined) {
      if (file.sha1 !== '') this.#numbers.set(file.sha1, number);
      const hash = file.sha1 === '' ? 'no hash' : `urn:sha1:${printable(file.sha1)}`;
      console.log(`${number}. ${name}  ${bytes(file.size)}  ${hash}`);
    } else if (number !== this.#current) {
      console.log(`${number}. ${name}  ${plural(file.sources, 'source')}`);
    }
    this.#current = number;
    console.log(`     ${describeSource(file, source)}`);
  }

  end(elapsedMs: number, reason: string): void {
    if (this.sources === 0) return;
    const count = `${plural(this.#files, 'file')} from ${plural(this.sources, 'source')}`;
    console.log(`${count} in ${duration(elapsedMs)}: ${reason}`);
  }
}

function describeSource(file: searchV1.FoundFile, source: searchV1.Source): string {
  const address =
    source.address === '' ? '(no address)' : formatHostPort({ host: printable(source.address), port: source.port });
  return [
    address,
    printable(source.vendor) || '-',
    printable(source.servent),
    plural(source.hops, 'hop'),
    ...(source.firewalled ? ['firewalled'] : []),
    ...(source.busy ? ['busy'] : []),
    // Somebody lies of the size, or names the file in another way.
    ...(source.size === file.size ? [] : [`says ${bytes(source.size)}`]),
    ...(source.name === file.name ? [] : [`as "${printable(source.name, MAX_NAME_CHARS)}"`]),
  ].join('  ');
}

/** @throws CommandError where the value is not one that the option takes */
function flag<T>(flags: FlagValues, name: string, fallback: string, schema: z.ZodType<T>): T {
  const given = flags[name] ?? fallback;
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new CommandError(ExitCode.usage, `--${name} is "${String(given)}": ${parsed.error.issues[0]?.message ?? ''}`);
}
