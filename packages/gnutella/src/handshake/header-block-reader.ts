// Reads one block of the handshake out of a byte stream (docs/protocol/01-handshake.md §2).

import { HandshakeHeaders } from './headers.ts';
import { MAX_BLOCK_BYTES, MAX_HEADER_LINES, MAX_LINE_BYTES } from './limits.ts';
import { stripControls } from './text.ts';

export type HeaderBlockFault = 'line-too-long' | 'too-many-lines' | 'block-too-large' | 'eof';

/** A whole block. `consumed` counts the bytes of the last chunk that belong to it; what follows is the caller's. */
export interface HeaderBlock {
  readonly ok: true;
  readonly startLine: string;
  readonly headers: HandshakeHeaders;
  readonly consumed: number;
}

/** A block that will never be whole, with what was read of it. */
export interface BrokenHeaderBlock {
  readonly ok: false;
  readonly reason: HeaderBlockFault;
  readonly startLine: string | undefined;
  readonly headers: HandshakeHeaders;
}

export type HeaderBlockResult = HeaderBlock | BrokenHeaderBlock;

const LF = 0x0a;
const CR = 0x0d;
const SPACE = ' ';
const TAB = '\t';

/**
 * Assembles one header block from chunks cut anywhere. Lines end in CRLF or LF; a line that begins with a space or a
 * tab continues the one before; lines without a colon or with an impossible name are ignored. Holds at most one
 * unfinished line and the headers of {@link MAX_BLOCK_BYTES}.
 */
export class HeaderBlockReader {
  #partial = Buffer.alloc(0);
  #blockBytes = 0;
  #lines = 0;
  #startLine: string | undefined;
  readonly #entries: [name: string, value: string][] = [];
  /** Whether the last line was a header that a continuation line may extend. */
  #continuable = false;
  #result: HeaderBlockResult | undefined;

  /** Takes the next bytes; undefined while the block goes on. After a result all that comes is left unread. */
  push(chunk: Uint8Array): HeaderBlockResult | undefined {
    if (this.#result) return this.#result.ok ? { ...this.#result, consumed: 0 } : this.#result;
    let at = 0;
    while (at < chunk.length) {
      const lineEnd = chunk.indexOf(LF, at);
      const stop = lineEnd < 0 ? chunk.length : lineEnd;
      const fault = this.#refuse(chunk, at, stop, lineEnd >= 0);
      if (fault) return this.#fail(fault);
      const piece = Buffer.from(chunk.buffer, chunk.byteOffset + at, stop - at);
      this.#blockBytes += stop - at + (lineEnd < 0 ? 0 : 1);
      if (lineEnd < 0) {
        this.#partial = Buffer.concat([this.#partial, piece]);
        return undefined;
      }
      at = lineEnd + 1;
      const line = this.#takeLine(piece);
      if (this.#startLine === undefined) {
        this.#startLine = stripControls(line);
      } else if (line === '') {
        const headers = new HandshakeHeaders(this.#entries);
        this.#result = { ok: true, startLine: this.#startLine, headers, consumed: at };
        return this.#result;
      } else {
        if (++this.#lines > MAX_HEADER_LINES) return this.#fail('too-many-lines');
        this.#addLine(line);
      }
    }
    return undefined;
  }

  /** The stream ended: the fault it means for this block, with the headers so far; the result, had there been one. */
  end(): HeaderBlockResult {
    return this.#result ?? this.#fail('eof');
  }

  /** The limit that the bytes from `start` to `stop` break, if any. A CR right before the LF is not part of a line. */
  #refuse(chunk: Uint8Array, start: number, stop: number, ended: boolean): HeaderBlockFault | undefined {
    const length = this.#partial.length + stop - start;
    if (length > MAX_LINE_BYTES) {
      const last = stop > start ? chunk[stop - 1] : this.#partial[this.#partial.length - 1];
      if (length > MAX_LINE_BYTES + 1 || last !== CR) return 'line-too-long';
    }
    if (this.#blockBytes + stop - start + (ended ? 1 : 0) > MAX_BLOCK_BYTES) return 'block-too-large';
    return undefined;
  }

  #takeLine(piece: Buffer): string {
    const bytes = this.#partial.length === 0 ? piece : Buffer.concat([this.#partial, piece]);
    this.#partial = Buffer.alloc(0);
    const end = bytes.length > 0 && bytes[bytes.length - 1] === CR ? bytes.length - 1 : bytes.length;
    return bytes.toString('latin1', 0, end);
  }

  #addLine(line: string): void {
    if (line.startsWith(SPACE) || line.startsWith(TAB)) {
      const last = this.#entries[this.#entries.length - 1];
      const more = stripControls(line).trim();
      if (this.#continuable && last !== undefined) last[1] = `${last[1]} ${more}`.trim();
      return;
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trimEnd();
    // A name with a space or a control character inside names nothing that we know.
    this.#continuable = /^[\x21-\x7e]+$/.test(name);
    if (this.#continuable) this.#entries.push([name, stripControls(line.slice(colon + 1)).trim()]);
  }

  #fail(reason: HeaderBlockFault): HeaderBlockResult {
    const headers = new HandshakeHeaders(this.#entries);
    this.#result = { ok: false, reason, startLine: this.#startLine, headers };
    this.#partial = Buffer.alloc(0);
    return this.#result;
  }
}
