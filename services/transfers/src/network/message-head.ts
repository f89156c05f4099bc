// The head of an HTTP request or response: start line and headers, sans-IO (docs/protocol/08-push-and-transfers.md §4).

/** Bounds of one head. */
export interface HeadLimits {
  readonly maxStartLineBytes: number;
  readonly maxLineBytes: number;
  readonly maxLines: number;
  readonly maxBytes: number;
}

/** What is taken from peers; wider than what §4 lets servents send. */
export const HEAD_LIMITS: HeadLimits = {
  maxStartLineBytes: 2_048,
  maxLineBytes: 4_096,
  maxLines: 128,
  maxBytes: 16_384,
};

/** Why a head is not taken. `too-large`: one of the limits; `malformed`: no header form, or control characters. */
export type HeadRefusal = 'too-large' | 'malformed';

/** A start line and its headers, names in lower case; repeated headers are joined by a comma. */
export interface MessageHead {
  /** One character per byte. */
  readonly startLine: string;
  readonly headers: ReadonlyMap<string, string>;
}

export type HeadProgress =
  | { readonly kind: 'need-more' }
  | { readonly kind: 'head'; readonly head: MessageHead; /** of the last bytes given */ readonly used: number }
  | { readonly kind: 'refused'; readonly reason: HeadRefusal };

const LF = 0x0a;
const CR = 0x0d;
const NEED_MORE: HeadProgress = { kind: 'need-more' };

/** Collects one head out of pieces of any size. Lines end in CR LF or LF; empty lines before the start line are skipped. */
export class HeadReader {
  readonly #limits: HeadLimits;
  #bytes = Buffer.allocUnsafe(1_024);
  #length = 0;
  #lineStart = 0;
  #lines = 0;
  #skipped = 0;

  constructor(limits: HeadLimits = HEAD_LIMITS) {
    this.#limits = limits;
  }

  /** True once a byte of the head has arrived. */
  get begun(): boolean {
    return this.#length > 0;
  }

  /** Takes the next bytes. After a head or a refusal, start a new reader. */
  push(chunk: Uint8Array): HeadProgress {
    const limits = this.#limits;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#length === 0 && (byte === CR || byte === LF)) {
        if (++this.#skipped > 4) return { kind: 'refused', reason: 'malformed' };
        continue;
      }
      if (this.#length >= limits.maxBytes) return { kind: 'refused', reason: 'too-large' };
      if (this.#length === this.#bytes.length) this.#grow();
      this.#bytes[this.#length++] = byte;
      const lineBytes = this.#length - this.#lineStart;
      if (byte !== LF) {
        const most = this.#lines === 0 ? limits.maxStartLineBytes : limits.maxLineBytes;
        if (lineBytes > most + 1) return { kind: 'refused', reason: 'too-large' };
        continue;
      }
      if (lineBytes === 1 || (lineBytes === 2 && this.#bytes[this.#lineStart] === CR)) return this.#finish(i + 1);
      if (++this.#lines > limits.maxLines) return { kind: 'refused', reason: 'too-large' };
      this.#lineStart = this.#length;
    }
    return NEED_MORE;
  }

  #finish(used: number): HeadProgress {
    const [startLine = '', ...lines] = this.#bytes.toString('latin1', 0, this.#lineStart).split(/\r?\n/);
    const headers = new Map<string, string>();
    let last: string | undefined;
    for (const line of lines) {
      if (line === '') continue;
      if (hasControl(line)) return { kind: 'refused', reason: 'malformed' };
      if (line.startsWith(' ') || line.startsWith('\t')) {
        if (last === undefined) return { kind: 'refused', reason: 'malformed' };
        headers.set(last, `${headers.get(last)} ${line.trim()}`.trim());
        continue;
      }
      const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256})[ \t]*:(.*)$/.exec(line);
      if (match === null) return { kind: 'refused', reason: 'malformed' };
      last = (match[1] ?? '').toLowerCase();
      const value = (match[2] ?? '').trim();
      const before = headers.get(last);
      headers.set(last, before === undefined ? value : `${before}, ${value}`);
    }
    if (hasControl(startLine)) return { kind: 'refused', reason: 'malformed' };
    return { kind: 'head', head: { startLine, headers }, used };
  }

  #grow(): void {
    const wider = Buffer.allocUnsafe(this.#bytes.length * 2);
    this.#bytes.copy(wider, 0, 0, this.#length);
    this.#bytes = wider;
  }
}

/** Any control character but the tab: a stray CR too. */
function hasControl(line: string): boolean {
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}
