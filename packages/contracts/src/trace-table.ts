// The sparse side table of a batch: which of its frames or entries belong to a sampled trace.
import { packed, unpackUint32 } from './packed.ts';

/** What one traced frame or entry adds to a batch: its index, and a W3C traceparent with its length and tag. */
export const TRACE_BYTES = 4 + 55 + 2;

/** Side table of a batch that is read or written: indices (u32 each, rising) and the traceparent of each. */
interface Table {
  readonly indices: Uint8Array;
  readonly parents: readonly string[];
}

const NONE = -1;

/** Collects the side table of one batch. Indices must rise. Holds nothing while nothing is sampled. */
export class TraceTableBuilder {
  #indices: number[] = [];
  #parents: string[] = [];
  #last = NONE;

  /** Of the batch, so that a table of many contexts makes it full as frames do. */
  get bytes(): number {
    return this.#parents.length * TRACE_BYTES;
  }

  /** The frame or entry of this index belongs to the trace; the first that an index was given stays. */
  add(index: number, traceparent: string): void {
    if (index === this.#last) return;
    this.#last = index;
    this.#indices.push(index);
    this.#parents.push(traceparent);
  }

  /** Hands over what was collected and starts anew; undefined where there is nothing. */
  take(): { indices: Uint8Array; parents: string[] } | undefined {
    if (this.#last === NONE) return undefined;
    const taken = { indices: packed(Uint32Array.from(this.#indices)), parents: this.#parents };
    this.#indices = [];
    this.#parents = [];
    this.#last = NONE;
    return taken;
  }
}

/** Walks a side table beside the frames or entries of its batch: one comparison for each that is not traced. */
export class TraceTableReader {
  readonly #indices: Uint32Array;
  readonly #parents: readonly string[];
  #at = 0;
  /** The next index that has a context; -1 where none is left. */
  #next: number;

  constructor({ indices, parents }: Table) {
    this.#indices = unpackUint32(indices);
    this.#parents = parents;
    this.#next = this.#indices[0] ?? NONE;
  }

  /** The traceparent of the frame or entry `index`; to be asked for each in turn. */
  of(index: number): string | undefined {
    if (index !== this.#next) return undefined;
    const traceparent = this.#parents[this.#at];
    this.#next = this.#indices[++this.#at] ?? NONE;
    return traceparent;
  }
}
