import { Descriptor, HEADER_BYTES, HOPS_OFFSET, payloadLength, TTL_OFFSET } from '@filbert/gnutella';

/** Classes of outgoing frames, the most valuable first (docs/protocol/02 §16). */
export const OutClass = { control: 0, push: 1, hit: 2, pong: 3, query: 4, ping: 5 } as const;
export type OutClass = (typeof OutClass)[keyof typeof OutClass];

/** Names of the classes, in their order: labels of metrics. */
export const OUT_CLASS_NAMES = ['control', 'push', 'hit', 'pong', 'query', 'ping'] as const;
const CLASSES = OUT_CLASS_NAMES.length;

/** Least room that a class takes when it first holds a frame, bytes. */
const SMALLEST_BUFFER_BYTES = 256;

/** The class that a frame of this function belongs to. */
export function outClassOf(descriptor: number): OutClass {
  switch (descriptor) {
    case Descriptor.QUERY:
      return OutClass.query;
    case Descriptor.QUERY_HIT:
      return OutClass.hit;
    case Descriptor.PUSH:
      return OutClass.push;
    case Descriptor.PONG:
      return OutClass.pong;
    case Descriptor.PING:
      return OutClass.ping;
    default:
      return OutClass.control;
  }
}

/**
 * What one link has still to send: a byte buffer a class, together within a limit. Where the limit is reached, the oldest
 * frames of less valuable classes make room, else the new frame is dropped. A link that sends nothing holds no memory.
 */
export class OutQueue {
  /** Frames dropped, by class. */
  readonly dropped = new Uint32Array(CLASSES);
  readonly #limitBytes: number;
  readonly #buffers: (Buffer | undefined)[] = new Array<Buffer | undefined>(CLASSES).fill(undefined);
  readonly #heads = new Uint32Array(CLASSES);
  readonly #tails = new Uint32Array(CLASSES);
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a control frame waits: it should not be delayed. */
  get hasControl(): boolean {
    return this.#buffers[OutClass.control] !== undefined;
  }

  /**
   * Copies the frame `bytes[start, end)` behind the others of its class, with this TTL and hops.
   * @returns false where it was dropped, because nothing less valuable could make room
   */
  push(kind: OutClass, bytes: Uint8Array, start: number, end: number, ttl: number, hops: number): boolean {
    const length = end - start;
    if (this.#bytes + length > this.#limitBytes && !this.#makeRoom(kind, length)) {
      (this.dropped[kind] as number)++;
      return false;
    }
    const at = this.#reserve(kind, length);
    const buffer = this.#buffers[kind] as Buffer;
    for (let i = 0; i < length; i++) buffer[at + i] = bytes[start + i] as number;
    buffer[at + TTL_OFFSET] = ttl;
    buffer[at + HOPS_OFFSET] = hops;
    this.#bytes += length;
    return true;
  }

  /** Copies a frame of ours as it is. */
  pushFrame(kind: OutClass, frame: Uint8Array): boolean {
    return this.push(kind, frame, 0, frame.length, frame[TTL_OFFSET] as number, frame[HOPS_OFFSET] as number);
  }

  /**
   * Takes whole frames, the most valuable first, of at least one frame and otherwise at most `most` bytes together.
   * The buffer belongs to the caller.
   */
  take(most: number): Buffer | undefined {
    if (this.#bytes === 0) return undefined;
    let parts: Buffer[] | undefined;
    let first: Buffer | undefined;
    let taken = 0;
    for (let kind = 0; kind < CLASSES && taken < most; kind++) {
      const buffer = this.#buffers[kind];
      if (buffer === undefined) continue;
      const head = this.#heads[kind] as number;
      const tail = this.#tails[kind] as number;
      let end = tail;
      if (taken + tail - head > most) {
        end = wholeFrames(buffer, head, tail, most - taken, taken === 0);
        if (end === head) break;
      }
      const part = buffer.subarray(head, end);
      taken += part.length;
      if (end === tail) this.#buffers[kind] = undefined;
      else this.#heads[kind] = end;
      if (first === undefined) first = part;
      else (parts ??= [first]).push(part);
      if (end !== tail) break;
    }
    this.#bytes -= taken;
    return parts === undefined ? first : Buffer.concat(parts, taken);
  }

  /** Throws everything away. */
  clear(): void {
    this.#buffers.fill(undefined);
    this.#bytes = 0;
  }

  #makeRoom(kind: OutClass, length: number): boolean {
    // Nothing is thrown away for a frame that would not fit even then.
    let least = this.#bytes + length;
    for (let victim = CLASSES - 1; victim > kind; victim--) {
      if (this.#buffers[victim] !== undefined)
        least -= (this.#tails[victim] as number) - (this.#heads[victim] as number);
    }
    if (least > this.#limitBytes) return false;
    for (let victim = CLASSES - 1; victim > kind; victim--) {
      const buffer = this.#buffers[victim];
      if (buffer === undefined) continue;
      let head = this.#heads[victim] as number;
      const tail = this.#tails[victim] as number;
      while (head < tail && this.#bytes + length > this.#limitBytes) {
        const size = HEADER_BYTES + payloadLength(buffer, head);
        head += size;
        this.#bytes -= size;
        (this.dropped[victim] as number)++;
      }
      if (head >= tail) this.#buffers[victim] = undefined;
      else this.#heads[victim] = head;
      if (this.#bytes + length <= this.#limitBytes) return true;
    }
    return false;
  }

  #reserve(kind: OutClass, length: number): number {
    const buffer = this.#buffers[kind];
    if (buffer === undefined) {
      this.#buffers[kind] = Buffer.allocUnsafe(Math.max(SMALLEST_BUFFER_BYTES, length));
      this.#heads[kind] = 0;
      this.#tails[kind] = length;
      return 0;
    }
    const head = this.#heads[kind] as number;
    const tail = this.#tails[kind] as number;
    if (tail + length <= buffer.length) {
      this.#tails[kind] = tail + length;
      return tail;
    }
    const used = tail - head;
    const larger = Buffer.allocUnsafe(Math.max(used + length, used * 2));
    buffer.copy(larger, 0, head, tail);
    this.#buffers[kind] = larger;
    this.#heads[kind] = 0;
    this.#tails[kind] = used + length;
    return used;
  }
}

/** End of the last whole frame within `most` bytes from `head`; of the first frame where `atLeastOne`. */
function wholeFrames(buffer: Buffer, head: number, tail: number, most: number, atLeastOne: boolean): number {
  let end = head;
  while (end < tail) {
    const next = end + HEADER_BYTES + payloadLength(buffer, end);
    if (next - head > most && !(atLeastOne && end === head)) break;
    end = next;
  }
  return end;
}
