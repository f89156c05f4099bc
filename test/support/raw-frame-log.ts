import { RAW_HEADER_BYTES, type RawFrame } from './raw-wire.ts';

/** The most frames one raw peer keeps. */
const MAX_FRAMES = 200_000;

/** The most payload bytes one raw peer keeps. */
const MAX_BYTES = 128 * 1024 * 1024;

/** The largest payload a raw peer takes from the node: the architectural limit (protocol page 02 §1). */
const MAX_PAYLOAD_BYTES = 65_535;

/** The most waits open at once on one raw peer. */
const MAX_WAITERS = 1_000;

/** Picks frames. */
export type FramePredicate = (frame: RawFrame) => boolean;

interface Waiter {
  predicate: FramePredicate;
  resolve: (frame: RawFrame) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

/** Cuts a byte stream into frames and keeps them, so that a test can take them one by one or ask for all. */
export class RawFrameLog {
  readonly #frames: RawFrame[] = [];
  readonly #untaken: RawFrame[] = [];
  readonly #waiters = new Set<Waiter>();
  #pending: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #failure: Error | undefined;

  /** Takes bytes from the socket and returns the frames that they completed. */
  feed(bytes: Buffer): RawFrame[] {
    if (this.#failure !== undefined) return [];
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const completed: RawFrame[] = [];
    let at = 0;
    while (this.#pending.length - at >= RAW_HEADER_BYTES) {
      const length = this.#pending.readUInt32LE(at + 19);
      if (length > MAX_PAYLOAD_BYTES) {
        this.fail(new Error(`raw peer: the node sent a payload length of ${length}`));
        return completed;
      }
      if (this.#pending.length - at < RAW_HEADER_BYTES + length) break;
      const frame = {
        guid: this.#pending.toString('hex', at, at + 16),
        descriptor: this.#pending[at + 16] ?? 0,
        ttl: this.#pending[at + 17] ?? 0,
        hops: this.#pending[at + 18] ?? 0,
        payload: Buffer.from(this.#pending.subarray(at + RAW_HEADER_BYTES, at + RAW_HEADER_BYTES + length)),
      };
      at += RAW_HEADER_BYTES + length;
      this.#keep(frame);
      completed.push(frame);
    }
    this.#pending = Buffer.from(this.#pending.subarray(at));
    return completed;
  }

  /** Every frame received that the predicate picks, whether taken by `next` or not. */
  all(predicate: FramePredicate): RawFrame[] {
    return this.#frames.filter(predicate);
  }

  /** The frames that the predicate picks and that no `next` took. */
  untaken(predicate: FramePredicate): RawFrame[] {
    return this.#untaken.filter(predicate);
  }

  /** Takes the first frame picked, received already or to come. @throws Error when none comes or the link ends */
  async next(predicate: FramePredicate, timeoutMs: number): Promise<RawFrame> {
    const at = this.#untaken.findIndex(predicate);
    const [frame] = at < 0 ? [] : this.#untaken.splice(at, 1);
    if (frame !== undefined) return frame;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#waiters.size >= MAX_WAITERS) throw new Error('raw peer: too many waits at once');
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`raw peer: no such frame within ${timeoutMs} ms; received ${this.#summary()}`));
      }, timeoutMs);
      const waiter: Waiter = { predicate, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  /** Ends all waits, now and later: no more frames come. */
  fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timer);
      waiter.reject(this.#failure);
    }
    this.#waiters.clear();
  }

  #keep(frame: RawFrame): void {
    this.#bytes += frame.payload.length;
    if (this.#frames.length >= MAX_FRAMES || this.#bytes > MAX_BYTES) {
      this.fail(new Error('raw peer: more frames than it keeps'));
      return;
    }
    this.#frames.push(frame);
    for (const waiter of this.#waiters) {
      if (!waiter.predicate(frame)) continue;
      this.#waiters.delete(waiter);
      clearTimeout(waiter.timer);
      waiter.resolve(frame);
      return;
    }
    this.#untaken.push(frame);
  }

  #summary(): string {
    const counts = new Map<number, number>();
    for (const frame of this.#frames) counts.set(frame.descriptor, (counts.get(frame.descriptor) ?? 0) + 1);
    const parts = [...counts].map(([descriptor, count]) => `${count} of 0x${descriptor.toString(16).padStart(2, '0')}`);
    return parts.length === 0 ? 'nothing' : parts.join(', ');
  }
}
