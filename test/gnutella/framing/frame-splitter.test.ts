import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { FrameFault, FrameLimits } from '@filbert/gnutella';
import {
  Descriptor,
  FRAME_LIMITS,
  FrameSplitter,
  HEADER_BYTES,
  describeFrameFault,
  writeHeader,
} from '@filbert/gnutella';

const GUID = Buffer.from('00112233445566777f99aabbccddee00', 'hex');

interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly hex: string;
}

const messages = (JSON.parse(readFileSync(new URL('../../vectors/vectors.json', import.meta.url), 'utf8')) as Vector[])
  .filter((vector) => vector.kind === 'message')
  .map((vector) => Buffer.from(vector.hex, 'hex'));

function frame(descriptor: number, payload: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload, 0xaa);
  writeHeader(bytes, 0, GUID, descriptor, 1, 0, payload);
  return bytes;
}

/** A header with a raw 32-bit length, whatever it means. */
function headerOf(descriptor: number, length: number): Buffer {
  const bytes = frame(descriptor, 0);
  bytes.writeUInt32LE(length >>> 0, 19);
  return bytes;
}

/** Collects copies of the frames, for they are valid during the call only. */
class Collector {
  readonly frames: Buffer[] = [];
  readonly sources: Buffer[] = [];

  frame(bytes: Buffer, start: number, end: number): void {
    this.frames.push(Buffer.from(bytes.subarray(start, end)));
    this.sources.push(bytes);
  }
}

function split(chunks: readonly Buffer[], options: { sflag?: boolean; limits?: Partial<FrameLimits> } = {}) {
  const sink = new Collector();
  const splitter = new FrameSplitter({ sflag: false, ...options });
  let fault: FrameFault | undefined;
  for (const chunk of chunks) fault = splitter.push(Buffer.from(chunk), sink);
  return { sink, splitter, fault, frames: sink.frames };
}

describe('framing: splitter', () => {
  const stream = Buffer.concat(messages);

  it('takes all message vectors out of one chunk without copying them', () => {
    const sink = new Collector();
    const chunk = Buffer.from(stream);
    const splitter = new FrameSplitter({ sflag: false });
    assert.equal(splitter.push(chunk, sink), undefined);
    assert.deepEqual(sink.frames, messages);
    assert.ok(sink.sources.every((source) => source === chunk));
    assert.equal(splitter.heldBytes, 0);
  });

  it('takes the same frames out of two chunks, cut at every offset', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const { frames, splitter, fault } = split([stream.subarray(0, cut), stream.subarray(cut)]);
      assert.equal(fault, undefined);
      assert.deepEqual(frames, messages, `cut at ${cut}`);
      assert.equal(splitter.heldBytes, 0);
    }
  });

  it('takes the same frames byte by byte', () => {
    const { frames } = split([...stream].map((byte) => Buffer.of(byte)));
    assert.deepEqual(frames, messages);
  });

  it('takes the same frames out of any chunking, empty chunks too', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: stream.length }), { maxLength: 60 }), (cuts) => {
        const points = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const chunks = points.slice(1).map((to, index) => stream.subarray(points[index], to));
        assert.deepEqual(split(chunks).frames, messages);
      }),
      { numRuns: 100 },
    );
  });

  it('hands a frame over as soon as its last byte came, and holds only what is unfinished', () => {
    const sink = new Collector();
    const splitter = new FrameSplitter({ sflag: false });
    const query = frame(Descriptor.QUERY, 100);
    splitter.push(query.subarray(0, 50), sink);
    assert.deepEqual([sink.frames.length, splitter.heldBytes], [0, 50]);
    splitter.push(query.subarray(50, 122), sink);
    assert.deepEqual([sink.frames.length, splitter.heldBytes], [0, 122]);
    splitter.push(Buffer.concat([query.subarray(122), query, query.subarray(0, 5)]), sink);
    assert.deepEqual(sink.frames, [query, query]);
    assert.equal(splitter.heldBytes, 5);
  });

  it('assembles a large frame from many small chunks', () => {
    const hit = frame(Descriptor.QUERY_HIT, 65_535);
    for (let at = HEADER_BYTES; at < hit.length; at++) hit[at] = at & 0xff;
    const chunks = Array.from({ length: Math.ceil(hit.length / 701) }, (_, index) =>
      hit.subarray(index * 701, (index + 1) * 701),
    );
    const { frames, splitter } = split([...chunks, frame(Descriptor.PING, 0)]);
    assert.deepEqual(frames, [hit, frame(Descriptor.PING, 0)]);
    assert.equal(splitter.heldBytes, 0);
  });

  it('takes each type up to its limit and ends the stream one byte beyond', () => {
    for (const [descriptor, limit] of [
      [Descriptor.QUERY, 1024],
      [Descriptor.BYE, 4096],
      [Descriptor.PING, 40_960],
      [Descriptor.VENDOR, 40_960],
      [0x23, 40_960],
    ] as const) {
      assert.equal(split([frame(descriptor, limit)]).frames.length, 1);
      const { frames, fault } = split([frame(descriptor, limit + 1)]);
      assert.equal(frames.length, 0);
      assert.deepEqual(fault, {
        reason: 'too-large',
        byeCode: 400,
        mayBye: descriptor !== Descriptor.BYE,
        descriptor,
        length: limit + 1,
      });
    }
    assert.equal(split([frame(Descriptor.QUERY_HIT, 65_535)]).frames.length, 1);
    assert.deepEqual(FRAME_LIMITS, { query: 1024, queryHit: 65_535, bye: 4096, other: 40_960 });
  });

  it('takes other limits when told', () => {
    const { frames, fault } = split([frame(Descriptor.QUERY, 256), frame(Descriptor.QUERY, 257)], {
      limits: { query: 256 },
    });
    assert.equal(frames.length, 1);
    assert.equal(fault?.length, 257);
  });

  it('refuses lengths that are none, found at the header and cut anywhere', () => {
    for (const [length, sflag, reason] of [
      [0x0001_0000, true, 'bad-length'],
      [0x7fff_ffff, true, 'bad-length'],
      [0xffff_ffff, false, 'unexpected-flags'],
      [0x8000_0010, false, 'unexpected-flags'],
      [0x8000_0401, true, 'too-large'],
      [0xffff_ffff, true, 'too-large'],
    ] as const) {
      const header = headerOf(Descriptor.QUERY, length);
      for (let cut = 0; cut <= header.length; cut++) {
        const { fault, frames, splitter } = split([header.subarray(0, cut), header.subarray(cut)], { sflag });
        assert.equal(fault?.reason, reason, length.toString(16));
        assert.equal(fault.length, length);
        assert.deepEqual([frames.length, splitter.heldBytes], [0, 0]);
      }
    }
  });

  it('hands over the frames before a fault and takes nothing after it', () => {
    const ping = frame(Descriptor.PING, 0);
    const sink = new Collector();
    const splitter = new FrameSplitter({ sflag: false });
    const fault = splitter.push(Buffer.concat([ping, headerOf(Descriptor.QUERY, 2000), ping]), sink);
    assert.equal(fault?.reason, 'too-large');
    assert.equal(splitter.push(ping, sink), fault);
    assert.deepEqual(sink.frames, [ping]);
  });

  it('allocates with what arrives, not with the length that a header claims', () => {
    const { splitter } = split([headerOf(Descriptor.QUERY_HIT, 65_535)]);
    assert.equal(splitter.heldBytes, HEADER_BYTES);
    const room = split([headerOf(Descriptor.QUERY_HIT, 65_535), Buffer.alloc(65_535)]).sink.sources[0]?.length;
    assert.equal(room, HEADER_BYTES + 65_535, 'the whole frame is the most that is ever held');
  });

  it('with sflag takes a length with bit 31 alone and clears the bit, so that it is never sent on', () => {
    const flagged = frame(Descriptor.QUERY, 16);
    flagged.writeUInt32LE(0x8000_0010, 19);
    const plain = frame(Descriptor.QUERY, 16);
    for (let cut = 0; cut <= flagged.length; cut++) {
      const { frames, fault } = split([flagged.subarray(0, cut), flagged.subarray(cut)], { sflag: true });
      assert.equal(fault, undefined);
      assert.deepEqual(frames, [plain], `cut at ${cut}`);
    }
  });

  it('with sflag passes over a frame with unknown flags and goes on behind it', () => {
    const unknown = frame(Descriptor.QUERY, 16);
    unknown.writeUInt32LE(0x8001_0010, 19);
    const ping = frame(Descriptor.PING, 0);
    const all = Buffer.concat([ping, unknown, ping]);
    for (let cut = 0; cut <= all.length; cut++) {
      const { frames, splitter } = split([all.subarray(0, cut), all.subarray(cut)], { sflag: true });
      assert.deepEqual(frames, [ping, ping]);
      assert.equal(splitter.skippedFrames, 1);
    }
  });

  it('stops in the middle of a chunk when the sink says so', () => {
    const ping = frame(Descriptor.PING, 0);
    const splitter = new FrameSplitter({ sflag: false });
    let seen = 0;
    const sink = {
      frame: (): void => {
        seen++;
        splitter.stop();
      },
    };
    assert.equal(splitter.push(Buffer.concat([ping, ping]), sink), undefined);
    assert.equal(splitter.push(ping, sink), undefined);
    assert.deepEqual([seen, splitter.heldBytes], [1, 0]);
  });

  it('stops as well after a frame that was cut over chunks', () => {
    const ping = frame(Descriptor.PING, 0);
    const splitter = new FrameSplitter({ sflag: false });
    let seen = 0;
    const sink = {
      frame: (): void => {
        seen++;
        splitter.stop();
      },
    };
    splitter.push(ping.subarray(0, 9), sink);
    splitter.push(Buffer.concat([ping.subarray(9), ping]), sink);
    assert.equal(seen, 1);
  });

  it('pauses where the sink says so, and goes on with what was left unread, cut anywhere and at any frame', () => {
    const all = Buffer.concat(messages);
    for (let cut = 0; cut <= all.length; cut += 7) {
      const splitter = new FrameSplitter({ sflag: false });
      const collector = new Collector();
      const sink = {
        frame(bytes: Buffer, start: number, end: number): void {
          collector.frame(bytes, start, end);
          splitter.pause();
        },
      };
      let pushes = 0;
      const chunks = [all.subarray(0, cut), all.subarray(cut)].map((chunk) => Buffer.from(chunk));
      for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) {
        const before = collector.frames.length;
        assert.equal(splitter.push(chunk, sink), undefined);
        assert.ok(collector.frames.length <= before + 1, 'one frame at a time');
        if (splitter.unread > 0) chunks.unshift(chunk.subarray(chunk.length - splitter.unread));
        pushes++;
      }
      assert.deepEqual(collector.frames, messages);
      assert.ok(pushes >= messages.length);
      assert.equal(splitter.heldBytes, 0);
    }
  });

  it('leaves nothing unread when it pauses at the last frame, and nothing once it has stopped', () => {
    const ping = frame(Descriptor.PING, 0);
    const splitter = new FrameSplitter({ sflag: false });
    splitter.push(Buffer.concat([ping, ping]), { frame: () => splitter.pause() });
    assert.equal(splitter.unread, ping.length);
    splitter.push(ping, { frame: () => splitter.pause() });
    assert.equal(splitter.unread, 0);
    splitter.push(Buffer.concat([ping, ping]), {
      frame: () => {
        splitter.pause();
        splitter.stop();
      },
    });
    assert.equal(splitter.unread, 0);
  });

  it('takes any bytes without throwing, and frames add up to what was pushed', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 20 }), fc.boolean(), (chunks, sflag) => {
        const { frames, splitter, fault } = split(
          chunks.map((chunk) => Buffer.from(chunk)),
          { sflag },
        );
        if (fault) return;
        let bytes = splitter.heldBytes;
        for (const one of frames) bytes += one.length;
        const pushed = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        assert.ok(splitter.skippedFrames > 0 ? bytes < pushed : bytes === pushed);
      }),
      { numRuns: 200 },
    );
  });

  it('describes a fault for the BYE', () => {
    const { fault } = split([headerOf(Descriptor.QUERY_HIT, 0x0001_0000)]);
    assert.ok(fault);
    assert.equal(describeFrameFault(fault), 'Too large query hit message (65536 bytes)');
    assert.equal(describeFrameFault({ ...fault, descriptor: 0x05 }), 'Too large 0x05 message (65536 bytes)');
  });
});
