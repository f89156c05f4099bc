import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Descriptor } from '@filbert/gnutella';
import { OUT_CLASS_NAMES, OutClass, outClassOf, OutQueue } from '../../../services/connections/src/link/out-queue.ts';
import { RawFrameLog } from '../../support/raw-frame-log.ts';
import { encodeFrame, type RawFrame } from '../../support/raw-wire.ts';

const HEADER = 23;

/** A frame of `bytes` bytes in all, told apart by `id`. */
function frameOf(id: number, bytes: number, ttl = 3, hops = 1): Buffer {
  const guid = id.toString(16).padStart(32, '0');
  return encodeFrame({ guid, descriptor: 0x80, ttl, hops, payload: Buffer.alloc(bytes - HEADER, id & 0xff) });
}

function idOf(frame: RawFrame): number {
  return parseInt(frame.guid, 16);
}

function framesIn(bytes: Buffer | undefined): RawFrame[] {
  if (bytes === undefined) return [];
  const frames = new RawFrameLog().feed(Buffer.from(bytes));
  const whole = frames.reduce((sum, frame) => sum + HEADER + frame.payload.length, 0);
  assert.equal(whole, bytes.length, 'what is taken is made of whole frames');
  return frames;
}

function takeAll(queue: OutQueue): number[] {
  return framesIn(queue.take(Number.MAX_SAFE_INTEGER)).map(idOf);
}

describe('connections out-queue', () => {
  it('gives what is worth most first, and each class in the order it came', () => {
    const queue = new OutQueue(10_000);
    const { ping, query, pong, hit, push, control } = OutClass;
    [ping, query, pong, hit, push, control, ping, query, pong, hit, push, control].forEach((kind, id) =>
      queue.pushFrame(kind, frameOf(id, 50)),
    );
    assert.equal(queue.bytes, 12 * 50);
    assert.deepEqual(takeAll(queue), [5, 11, 4, 10, 3, 9, 2, 8, 1, 7, 0, 6]);
    assert.equal(queue.bytes, 0);
    assert.equal(queue.take(100), undefined);
  });

  it('files each function under the class of its worth', () => {
    const classes = [Descriptor.PING, Descriptor.PONG, Descriptor.QUERY, Descriptor.QUERY_HIT, Descriptor.PUSH];
    assert.deepEqual(
      classes.map((descriptor) => OUT_CLASS_NAMES[outClassOf(descriptor)]),
      ['ping', 'pong', 'query', 'hit', 'push'],
    );
    for (const descriptor of [Descriptor.QRP, Descriptor.VENDOR, Descriptor.BYE]) {
      assert.equal(outClassOf(descriptor), OutClass.control);
    }
  });

  it('writes the TTL and hops it is told into its copy, and leaves the original alone', () => {
    const queue = new OutQueue(1000);
    const original = Buffer.concat([Buffer.alloc(7), frameOf(1, 40, 5, 2), Buffer.alloc(3)]);
    const before = Buffer.from(original);
    assert.ok(queue.push(OutClass.query, original, 7, 47, 4, 3));
    const [frame] = framesIn(queue.take(1000));
    assert.deepEqual([frame?.ttl, frame?.hops, frame?.payload.length], [4, 3, 17]);
    assert.deepEqual(original, before);
  });

  it('keeps TTL and hops of a frame of ours', () => {
    const queue = new OutQueue(1000);
    queue.pushFrame(OutClass.ping, frameOf(1, 40, 4, 0));
    const [frame] = framesIn(queue.take(1000));
    assert.deepEqual([frame?.ttl, frame?.hops], [4, 0]);
  });

  it('drops the new frame where nothing less valuable waits, and counts it', () => {
    const queue = new OutQueue(100);
    assert.ok(queue.pushFrame(OutClass.query, frameOf(1, 60)));
    assert.ok(!queue.pushFrame(OutClass.query, frameOf(2, 60)));
    assert.ok(!queue.pushFrame(OutClass.ping, frameOf(3, 60)));
    assert.deepEqual([...queue.dropped], [0, 0, 0, 0, 1, 1]);
    assert.deepEqual(takeAll(queue), [1]);
  });

  it('evicts the oldest of the least valuable class first, as many as it takes', () => {
    const queue = new OutQueue(200);
    queue.pushFrame(OutClass.ping, frameOf(1, 50));
    queue.pushFrame(OutClass.ping, frameOf(2, 50));
    queue.pushFrame(OutClass.query, frameOf(3, 50));
    queue.pushFrame(OutClass.query, frameOf(4, 50));
    assert.ok(queue.pushFrame(OutClass.hit, frameOf(5, 40)));
    assert.deepEqual([...queue.dropped], [0, 0, 0, 0, 0, 1]);
    assert.ok(queue.pushFrame(OutClass.hit, frameOf(6, 110)));
    assert.deepEqual([...queue.dropped], [0, 0, 0, 0, 1, 2]);
    assert.deepEqual(takeAll(queue), [5, 6, 4]);
  });

  it('evicts nothing for a frame that would not fit even then', () => {
    const queue = new OutQueue(150);
    queue.pushFrame(OutClass.hit, frameOf(1, 100));
    queue.pushFrame(OutClass.ping, frameOf(2, 40));
    assert.ok(!queue.pushFrame(OutClass.query, frameOf(3, 60)));
    assert.ok(!queue.pushFrame(OutClass.control, frameOf(4, 151)));
    assert.deepEqual([...queue.dropped], [1, 0, 0, 0, 1, 0]);
    assert.deepEqual(takeAll(queue), [1, 2]);
  });

  it('takes up to the limit and cuts between frames only', () => {
    const queue = new OutQueue(1000);
    for (let id = 1; id <= 5; id++) queue.pushFrame(OutClass.query, frameOf(id, 30));
    assert.deepEqual(framesIn(queue.take(89)).map(idOf), [1, 2]);
    assert.equal(queue.bytes, 90);
    assert.deepEqual(framesIn(queue.take(60)).map(idOf), [3, 4]);
    assert.deepEqual(framesIn(queue.take(1)).map(idOf), [5], 'one frame at least');
    assert.equal(queue.take(1), undefined);
  });

  it('does not let a long frame of a lower class ride on what was taken before it', () => {
    const queue = new OutQueue(1000);
    queue.pushFrame(OutClass.control, frameOf(1, 30));
    queue.pushFrame(OutClass.query, frameOf(2, 100));
    queue.pushFrame(OutClass.ping, frameOf(3, 30));
    assert.deepEqual(framesIn(queue.take(60)).map(idOf), [1]);
    assert.deepEqual(framesIn(queue.take(130)).map(idOf), [2, 3]);
  });

  it('keeps bytes that were taken as they are while more is queued behind them', () => {
    const queue = new OutQueue(10_000);
    for (let id = 1; id <= 6; id++) queue.pushFrame(OutClass.query, frameOf(id, 40));
    const taken = queue.take(80);
    const copy = Buffer.from(taken ?? []);
    for (let id = 7; id <= 60; id++) queue.pushFrame(OutClass.query, frameOf(id, 40));
    assert.deepEqual(taken, copy);
    assert.deepEqual(
      takeAll(queue),
      Array.from({ length: 58 }, (_, i) => i + 3),
    );
  });

  it('says whether a control frame waits', () => {
    const queue = new OutQueue(1000);
    queue.pushFrame(OutClass.query, frameOf(1, 30));
    assert.equal(queue.hasControl, false);
    queue.pushFrame(OutClass.control, frameOf(2, 30));
    assert.equal(queue.hasControl, true);
    queue.take(30);
    assert.equal(queue.hasControl, false);
  });

  it('is empty after clear and usable again', () => {
    const queue = new OutQueue(100);
    queue.pushFrame(OutClass.hit, frameOf(1, 100));
    queue.clear();
    assert.equal(queue.bytes, 0);
    assert.equal(queue.take(100), undefined);
    assert.ok(queue.pushFrame(OutClass.hit, frameOf(2, 100)));
    assert.deepEqual(takeAll(queue), [2]);
  });

  it('does what a plain list of lists does, for any pushes and takes', () => {
    const operation = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.integer({ min: 0, max: 5 }), bytes: fc.integer({ min: 23, max: 400 }) }),
      },
      { weight: 1, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 900 }) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), fc.integer({ min: 300, max: 2000 }), (operations, limit) => {
        const queue = new OutQueue(limit);
        const model = new ModelQueue(limit);
        operations.forEach((operation, id) => {
          if ('take' in operation) {
            assert.deepEqual(framesIn(queue.take(operation.take)).map(idOf), model.take(operation.take));
          } else {
            const pushed = queue.pushFrame(operation.kind as OutClass, frameOf(id, operation.bytes));
            assert.equal(pushed, model.push(operation.kind, id, operation.bytes));
          }
          assert.equal(queue.bytes, model.bytes);
          assert.ok(queue.bytes <= limit);
          assert.deepEqual([...queue.dropped], model.dropped);
        });
        assert.deepEqual(takeAll(queue), model.take(Number.MAX_SAFE_INTEGER));
      }),
      { numRuns: 150 },
    );
  });
});

/** The rules of the queue in their plainest form. */
class ModelQueue {
  readonly dropped = [0, 0, 0, 0, 0, 0];
  readonly #limit: number;
  readonly #classes: { id: number; bytes: number }[][] = [[], [], [], [], [], []];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#classes.flat().reduce((sum, frame) => sum + frame.bytes, 0);
  }

  push(kind: number, id: number, bytes: number): boolean {
    const evictable = this.#classes.slice(kind + 1).flat();
    const least = this.bytes - evictable.reduce((sum, frame) => sum + frame.bytes, 0) + bytes;
    if (least > this.#limit) {
      this.dropped[kind] = (this.dropped[kind] ?? 0) + 1;
      return false;
    }
    for (let victim = 5; this.bytes + bytes > this.#limit;) {
      if (this.#classes[victim]?.shift() === undefined) victim--;
      else this.dropped[victim] = (this.dropped[victim] ?? 0) + 1;
    }
    this.#classes[kind]?.push({ id, bytes });
    return true;
  }

  take(most: number): number[] {
    const ids: number[] = [];
    let taken = 0;
    for (const frames of this.#classes) {
      for (let next = frames[0]; next !== undefined; next = frames[0]) {
        if (taken + next.bytes > most && taken > 0) return ids;
        frames.shift();
        ids.push(next.id);
        taken += next.bytes;
        if (taken >= most) return ids;
      }
    }
    return ids;
  }
}
