import { constants, inflateSync } from 'node:zlib';
import { Z_BUF_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END, zlibInflate, zlibInflateInit2, ZStream } from 'pako';
import type { PatchDecoder } from './patch-decoder.ts';

/** One step of inflation gives no more than this. */
export const INFLATE_STEP_BYTES = 16 * 1024;
/**
 * What a patch sequence holds while slices of it are outstanding: a window of 32 KiB, code tables of 5.6 KiB, code
 * lengths of 1.2 KiB and some fields. Measured: 39.7 KiB.
 */
export const PATCH_INFLATER_BYTES = 40 * 1024;
const MIN_STEP_BYTES = 64;
/** Window size: as the stream's header says, 32 KiB at most. */
const WINDOW_OF_HEADER = 0;

/** What became of compressed data. */
export type InflateVerdict =
  /** All of it was inflated and applied; the stream goes on. */
  | 'more'
  /** The stream ended in this data; its checksum is right. */
  | 'end'
  /** It gives more than the table has entries for. */
  | 'overflow'
  /** It is no zlib stream, its checksum is wrong, or data follows its end. */
  | 'corrupt';

/** Where steps of inflation go. All of it is synchronous, so that one room serves all links. */
const step = new Uint8Array(INFLATE_STEP_BYTES);
const NOTHING = new Uint8Array(0);

/**
 * Inflates a patch slice by slice into the table's entries (docs/protocol/05-qrp.md §2): holds the window of the stream
 * and neither compressed nor plain data. What is too much is found in the slice that brings it.
 */
export class PatchInflater {
  readonly #decoder: PatchDecoder;
  readonly #stream = new ZStream();
  #ended = false;

  constructor(decoder: PatchDecoder) {
    this.#decoder = decoder;
    zlibInflateInit2(this.#stream, WINDOW_OF_HEADER);
    this.#stream.output = step;
  }

  /** Inflates the next slice; after anything but 'more' there is no use in going on. Keeps no reference to `slice`. */
  write(slice: Uint8Array): InflateVerdict {
    if (this.#ended) return 'corrupt';
    const stream = this.#stream;
    stream.input = slice;
    stream.next_in = 0;
    stream.avail_in = slice.length;
    const verdict = this.#run();
    stream.input = NOTHING;
    this.#ended = verdict !== 'more';
    return verdict;
  }

  #run(): InflateVerdict {
    const stream = this.#stream;
    do {
      stream.next_out = 0;
      stream.avail_out = INFLATE_STEP_BYTES;
      const status = zlibInflate(stream, Z_NO_FLUSH);
      // Without progress there is nothing left to do: the step before ended where the slice does.
      if (status === Z_BUF_ERROR) return 'more';
      if (status !== Z_OK && status !== Z_STREAM_END) return 'corrupt';
      if (!this.#decoder.write(step.subarray(0, stream.next_out))) return 'overflow';
      if (status === Z_STREAM_END) return 'end';
    } while (stream.avail_in > 0 || stream.avail_out === 0);
    return 'more';
  }
}

/**
 * Inflates a patch that came in one slice, with Node's own zlib: two to seven times cheaper than slice by slice, and
 * most leaves' patches are that small.
 * @param plainBytes of the whole table; more than this is not inflated
 */
export function inflatePatch(slice: Uint8Array, plainBytes: number, decoder: PatchDecoder): InflateVerdict {
  let plain: Uint8Array;
  try {
    plain = inflateSync(slice, {
      maxOutputLength: plainBytes,
      chunkSize: Math.max(MIN_STEP_BYTES, Math.min(INFLATE_STEP_BYTES, plainBytes)),
      // A stream that gives every entry but lacks its trailer is taken, as gtk-gnutella does.
      finishFlush: constants.Z_SYNC_FLUSH,
    });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return code === 'ERR_BUFFER_TOO_LARGE' ? 'overflow' : 'corrupt';
  }
  return decoder.write(plain) ? 'end' : 'overflow';
}
