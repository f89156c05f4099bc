/** Where progress is drawn: a stream such as process.stderr. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressLineOptions {
  readonly output: ProgressOutput;
  /** ms */
  readonly now: () => number;
}

/** Where it is not a terminal, a line of progress is written this often at most, in ms. */
const LINE_INTERVAL_MS = 3_000;
/** Columns of a terminal that does not tell, or says 0. */
const DEFAULT_COLUMNS = 80;

/** One line that is redrawn on a terminal; elsewhere a line every few seconds. */
export class ProgressLine {
  readonly #output: ProgressOutput;
  readonly #now: () => number;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #isDrawn = false;
  #last = '';

  constructor({ output, now }: ProgressLineOptions) {
    this.#output = output;
    this.#now = now;
  }

  /** Shows the text, which must be printable; `important` text is written at once also where it is not a terminal. */
  show(text: string, important = false): void {
    if (this.#output.isTTY === true) {
      const { columns = 0 } = this.#output;
      const most = (columns > 1 ? columns : DEFAULT_COLUMNS) - 1;
      this.#output.write(`\r${[...text].slice(0, most).join('')}\x1b[K`);
      this.#isDrawn = true;
      return;
    }
    const nowMs = this.#now();
    if (text === this.#last || (!important && nowMs - this.#writtenAtMs < LINE_INTERVAL_MS)) return;
    this.#writtenAtMs = nowMs;
    this.#last = text;
    this.#output.write(`${text}\n`);
  }

  /** Removes the line from a terminal, so that other output can follow. */
  clear(): void {
    if (this.#isDrawn) this.#output.write('\r\x1b[K');
    this.#isDrawn = false;
  }
}

/** `[#####---------------]` for a share from 0 to 1. */
export function bar(share: number, cells = 20): string {
  const full = Math.floor(Math.min(1, Math.max(0, share)) * cells);
  return `[${'#'.repeat(full)}${'-'.repeat(cells - full)}]`;
}
