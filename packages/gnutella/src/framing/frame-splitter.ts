// Cuts the binary phase of a link into frames (docs/protocol/02-messages.md §1, §4 and §15).

import { Descriptor, FUNCTION_OFFSET, HEADER_BYTES, LENGTH_OFFSET, MAX_PAYLOAD_BYTES, rawLength } from '../header.ts';
import type { FrameFault, FrameFaultReason } from './frame-fault.ts';
import { FRAME_LIMITS, frameLimit } from './frame-limits.ts';
import type { FrameLimits } from './frame-limits.ts';

/** Takes frames as they come. */
export interface FrameSink {
  /** One whole frame, header and payload, at `start`…`end` of `bytes`: valid during the call only. */
  frame(bytes: Buffer, start: number, end: number): void;
}

export interface FrameSplitterOptions {
  /** Whether the peer has the feature `sflag`: flags in the upper half of the length field. */
  readonly sflag: boolean;
  /** Smaller or larger payload limits than {@link FRAME_LIMITS}, each 65535 at the most. */
  readonly limits?: Partial<FrameLimits>;
}

/** First room for a frame that is cut over chunks, in bytes: a length alone must not make us allocate all of it. */
const FIRST_ROOM_BYTES = 4096;

const FLAGS_PRESENT = 0x8000_0000;
const KNOWN_FLAGS_AND_LENGTH = 0x8000_ffff;
const NOTHING = Buffer.alloc(0);

/**
 * Cuts a byte stream into frames, without copying those that lie whole in a chunk and without allocating for them. One
 * frame that is cut over chunks is assembled in a buffer that grows with what arrived, never beyond its type's limit,
 * and is let go when the frame is complete.
 *
 * A frame with bit 31 of its length set is taken from peers with `sflag`; the bit is cleared in place, for we never
 * emit it. One that carries flags beyond is passed over: nobody knows what they mean.
 */
export class FrameSplitter {
  readonly #sflag: boolean;
  readonly #limits: FrameLimits;
  /** The beginning of a frame, `#held` bytes long. */
  #buffer: Buffer = NOTHING;
  #held = 0;
  /** Length of the frame that is being assembled, 0 until its header is complete. */
  #total = 0;
  #fault: FrameFault | undefined;
  #stopped = false;
  #paused = false;
  #unread = 0;
  #skipped = 0;

  constructor(options: FrameSplitterOptions) {
    this.#sflag = options.sflag;
    this.#limits = { ...FRAME_LIMITS, ...options.limits };
  }

  /** Bytes held of a frame that is not complete yet. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Frames passed over because of length flags that we do not know. */
  get skippedFrames(): number {
    return this.#skipped;
  }

  /** Bytes of the chunk pushed last that were left unread because of `pause`: push them again, before all others. */
  get unread(): number {
    return this.#unread;
  }

  /** Called by the sink: the frame that it was handed is the last one of this `push`. */
  pause(): void {
    this.#paused = true;
  }

  /** Hands out no frame any more, not even of the chunk being pushed: the link is closing. */
  stop(): void {
    this.#stopped = true;
    this.#release();
  }

  /**
   * Takes the next bytes of the stream and hands each frame that they complete to the sink, in order.
   * @returns the fault that ends the stream, found after the frames before it were handed out; the same again for
   * every later call
   */
  push(chunk: Buffer, sink: FrameSink): FrameFault | undefined {
    this.#paused = false;
    this.#unread = 0;
    if (this.#stopped) return this.#fault;
    let at = 0;
    const end = chunk.length;
    if (this.#held > 0) {
      at = this.#complete(chunk, sink);
      if (this.#held > 0 || this.#stopped) return this.#fault;
      if (this.#paused) return this.#leave(end - at);
    }
    while (end - at >= HEADER_BYTES) {
      const total = this.#measure(chunk, at);
      if (total === 0) return this.#fault;
      if (end - at < total) {
        this.#hold(chunk, at, total);
        return undefined;
      }
      this.#deliver(chunk, at, total, sink);
      if (this.#stopped) return this.#fault;
      at += total;
      if (this.#paused) return this.#leave(end - at);
    }
    if (at < end) this.#hold(chunk, at, 0);
    return undefined;
  }

  #leave(bytes: number): undefined {
    this.#unread = bytes;
    return undefined;
  }

  /** Goes on with the frame that is held. Returns how many bytes of the chunk it took. */
  #complete(chunk: Buffer, sink: FrameSink): number {
    let at = 0;
    if (this.#total === 0) {
      at = this.#append(chunk, 0, HEADER_BYTES);
      if (this.#held < HEADER_BYTES) return at;
      this.#total = this.#measure(this.#buffer, 0);
      if (this.#total === 0) return at;
    }
    at += this.#append(chunk, at, this.#total);
    if (this.#held < this.#total) return at;
    const frame = this.#buffer;
    const total = this.#total;
    this.#release();
    this.#deliver(frame, 0, total, sink);
    return at;
  }

  #hold(chunk: Buffer, at: number, total: number): void {
    this.#total = total;
    this.#append(chunk, at, total === 0 ? HEADER_BYTES : total);
  }

  /** Copies what the frame still lacks of `wanted` bytes, as far as the chunk has it. Returns the bytes copied. */
  #append(chunk: Buffer, at: number, wanted: number): number {
    const bytes = Math.min(wanted - this.#held, chunk.length - at);
    this.#makeRoom(this.#held + bytes, wanted);
    chunk.copy(this.#buffer, this.#held, at, at + bytes);
    this.#held += bytes;
    return bytes;
  }

  #makeRoom(needed: number, wanted: number): void {
    if (this.#buffer.length >= needed) return;
    const room = Math.min(wanted, Math.max(needed, FIRST_ROOM_BYTES, 2 * this.#buffer.length));
    const grown = Buffer.allocUnsafe(room);
    this.#buffer.copy(grown, 0, 0, this.#held);
    this.#buffer = grown;
  }

  /** The length of the frame that begins at `at`, header included; 0 when it is none and the stream ends here. */
  #measure(bytes: Buffer, at: number): number {
    const raw = rawLength(bytes, at);
    const descriptor = bytes[at + FUNCTION_OFFSET] as number;
    const flagged = raw >= FLAGS_PRESENT;
    if (raw > MAX_PAYLOAD_BYTES && !(flagged && this.#sflag)) {
      return this.#fail(flagged ? 'unexpected-flags' : 'bad-length', descriptor, raw);
    }
    const payload = raw & MAX_PAYLOAD_BYTES;
    if (payload > frameLimit(this.#limits, descriptor)) return this.#fail('too-large', descriptor, raw);
    return HEADER_BYTES + payload;
  }

  #deliver(bytes: Buffer, start: number, total: number, sink: FrameSink): void {
    const flags = start + LENGTH_OFFSET + 2;
    if (bytes[flags] !== 0 || bytes[flags + 1] !== 0) {
      if (rawLength(bytes, start) & ~KNOWN_FLAGS_AND_LENGTH) {
        this.#skipped++;
        return;
      }
      bytes[flags + 1] = 0;
    }
    sink.frame(bytes, start, start + total);
  }

  #fail(reason: FrameFaultReason, descriptor: number, length: number): 0 {
    this.#fault = { reason, byeCode: 400, mayBye: descriptor !== Descriptor.BYE, descriptor, length };
    this.stop();
    return 0;
  }

  #release(): void {
    this.#buffer = NOTHING;
    this.#held = 0;
    this.#total = 0;
  }
}
