import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { constants, createDeflate, createInflate, type Deflate } from 'node:zlib';
import { OUT_CLASS_NAMES, OutClass } from '../../../services/connections/src/link/out-queue.ts';
import { LEAF_QUEUE_BYTES, type PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench, turns, type BenchLinkOptions } from '../../support/frame-bench.ts';
import { RawFrameLog } from '../../support/raw-frame-log.ts';
import {
  byePayload,
  encodeFrame,
  queryPayload,
  randomGuid,
  RAW_DESCRIPTOR,
  type RawFrame,
} from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Nothing at all is compressible about it. */
function query(text: string): Buffer {
  return encodeFrame({
    guid: randomGuid(),
    descriptor: RAW_DESCRIPTOR.query,
    ttl: 3,
    hops: 0,
    payload: queryPayload({ text }),
  });
}

/** The peer's side of a link: what it received, and whether its socket ended. */
class FarEnd {
  readonly log = new RawFrameLog();
  readonly frames: RawFrame[] = [];
  ended = false;
  closed = false;
  bytes = 0;
  /** 'end' in place of 'close': the link shut its side down in order. */
  constructor(socket: Socket, inflates = false) {
    const take = (chunk: Buffer): void => void this.frames.push(...this.log.feed(chunk));
    if (inflates) {
      const inflate = createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
      inflate.on('data', take);
      socket.on('data', (chunk: Buffer) => {
        this.bytes += chunk.length;
        inflate.write(chunk);
      });
    } else {
      socket.on('data', (chunk: Buffer) => {
        this.bytes += chunk.length;
        take(chunk);
      });
    }
    socket.on('end', () => (this.ended = true));
    socket.on('close', () => (this.closed = true));
  }

  get byes(): string[] {
    return this.frames
      .filter(({ descriptor }) => descriptor === RAW_DESCRIPTOR.bye)
      .map(({ payload }) => `${payload.readUInt16LE(0)} ${payload.toString('latin1', 2)}`);
  }
}

describe('connections peer link', () => {
  let bench: FrameBench;

  beforeEach(() => {
    bench = new FrameBench();
  });
  afterEach(() => bench.stop());

  async function open(options: BenchLinkOptions = {}): Promise<{ link: PeerLink; socket: Socket; far: FarEnd }> {
    const { link, far: socket } = await bench.add('ultrapeer', { flushes: true, ...options });
    return { link, socket, far: new FarEnd(socket, options.deflateOut) };
  }

  /** A peer that deflates what it says. */
  function deflating(socket: Socket): Deflate {
    const deflate = createDeflate({ flush: constants.Z_SYNC_FLUSH });
    deflate.on('data', (chunk: Buffer) => socket.write(chunk));
    return deflate;
  }

  describe('frames', () => {
    it('hands on every frame, however the bytes are cut', async () => {
      const { link, socket } = await open();
      const bytes = Buffer.concat([query('one'), query('two'), query('three')]);
      for (let at = 0; at < bytes.length; at += 7) {
        socket.write(bytes.subarray(at, at + 7));
        await turns(1);
      }
      await waitFor('the frames', () => link.counters.messagesIn === 3);
      assert.equal(link.counters.bytesIn, bytes.length);
      assert.equal((await bench.takeRouted()).length, 3);
    });

    it('takes bytes that came with the last block of the handshake', async () => {
      const { link } = await bench.add('ultrapeer');
      const frame = query('glued');
      link.open(frame);
      assert.equal(link.counters.messagesIn, 1);
    });

    it('writes what it relays with the TTL and hops it was told', async () => {
      const { link, far } = await open();
      const frame = query('hello');
      link.relay(OutClass.query, frame, 0, frame.length, 1, 4);
      await waitFor('the frame', () => far.frames.length === 1);
      assert.deepEqual([far.frames[0]?.ttl, far.frames[0]?.hops], [1, 4]);
      assert.deepEqual([link.counters.messagesOut, link.counters.bytesOut], [1, frame.length]);
    });
  });

  describe('compression', () => {
    it('inflates what the peer deflates, cut anywhere', async () => {
      const { link, socket } = await open({ inflateIn: true });
      const deflate = deflating(socket);
      for (let i = 0; i < 50; i++) deflate.write(query(`query number ${i}`));
      await waitFor('the frames', () => link.counters.messagesIn === 50);
      assert.ok(link.counters.bytesIn < 50 * 60);
    });

    it('deflates what it sends as one stream for the life of the link', async () => {
      const { link, far } = await open({ deflateOut: true });
      for (let i = 0; i < 20; i++) {
        const frame = query(`query number ${i}`);
        link.relay(OutClass.query, frame, 0, frame.length, 1, 1);
        await turns(2);
      }
      await waitFor('the frames', () => far.frames.length === 20);
      assert.deepEqual(
        far.frames.map(({ payload }) => payload.toString('latin1', 2)),
        Array.from({ length: 20 }, (_, i) => `query number ${i}\0`),
      );
    });

    it('works in both directions at once', async () => {
      const { link, socket, far } = await open({ inflateIn: true, deflateOut: true });
      const deflate = deflating(socket);
      for (let i = 0; i < 10; i++) {
        deflate.write(query(`in ${i}`));
        const frame = query(`out ${i}`);
        link.relay(OutClass.query, frame, 0, frame.length, 1, 1);
      }
      await waitFor('all frames', () => far.frames.length === 10 && link.counters.messagesIn === 10);
      assert.equal(bench.byes.size, 0);
    });

    it('ends a link whose stream is broken with BYE 400, and hands on what stood before', async () => {
      const { socket, far } = await open({ inflateIn: true });
      const deflate = deflating(socket);
      deflate.write(query('good'));
      assert.equal((await waitFor('the frame', async () => (await bench.takeRouted()).at(0))).link, 1);
      socket.write(Buffer.alloc(64, 0xff));
      await waitFor('the end', () => far.ended);
      assert.deepEqual(far.byes, ['400 Inflation error\r\nServer: Filbert/test\r\n\r\n\0']);
    });

    it('ends a link that goes on after the end of its stream', async () => {
      const { socket, far } = await open({ inflateIn: true });
      const deflate = deflating(socket);
      deflate.end(query('last words'));
      await waitFor('the frame', async () => (await bench.takeRouted()).length === 1);
      socket.write(query('more'));
      await waitFor('the end', () => far.ended);
      assert.match(far.byes[0] ?? '', /^400 Deflated stream ended/);
    });

    it('ends a link that inflates without measure, and does so within a few MiB', async () => {
      const { link, socket, far } = await open({ inflateIn: true });
      // Frames that nobody minds, as long as they come in reasonable number.
      const bomb = Buffer.alloc(4 * 2 ** 20);
      for (let at = 0; at + 23 <= bomb.length; at += 23) bomb[at + 16] = 0xcd;
      const deflate = deflating(socket);
      for (let i = 0; i < 16 && !far.ended; i++) {
        deflate.write(bomb);
        await turns(5);
      }
      await waitFor('the end', () => far.ended);
      assert.match(far.byes[0] ?? '', /^400 Deflated stream inflates too much/);
      assert.ok(link.counters.messagesIn < (8 * 2 ** 20) / 23, `${link.counters.messagesIn} frames`);
    });

    it('lets a stream pass that inflates well in large chunks', async () => {
      const { link, socket } = await open({ inflateIn: true });
      // About 60 to 1, in one write of some 64 KiB.
      const text = Buffer.alloc(4 * 2 ** 20);
      let frames = 0;
      for (let at = 0; at + 1000 <= text.length; at += 1000) {
        encodeFrame({ guid: randomGuid(), descriptor: 0xcd, ttl: 1, hops: 0, payload: Buffer.alloc(977) }).copy(
          text,
          at,
        );
        frames++;
      }
      const deflate = createDeflate({ level: 9 });
      const chunks: Buffer[] = [];
      deflate.on('data', (chunk: Buffer) => chunks.push(chunk));
      deflate.write(text.subarray(0, frames * 1000));
      await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
      const whole = Buffer.concat(chunks);
      assert.ok(whole.length < text.length / 40);
      socket.write(whole);
      await waitFor('all frames', () => link.counters.messagesIn === frames);
      assert.equal(bench.byes.size, 0);
    });

    it('gives its share of the budget back when it ends', async () => {
      const { link, socket } = await open({ inflateIn: true, deflateOut: true });
      assert.ok(bench.budget.usedBytes > 0);
      socket.destroy();
      await waitFor('the close', () => bench.closed.has(link.number));
      assert.equal(bench.budget.usedBytes, 0);
    });
  });

  describe('BYE', () => {
    it('is the last that a peer gets, behind what waited, and then the socket is shut in order', async () => {
      const { link, far } = await open();
      const frame = query('before');
      link.relay(OutClass.query, frame, 0, frame.length, 1, 1);
      link.bye(413, 'Invalid QRP table length');
      await waitFor('the end', () => far.ended);
      assert.deepEqual(
        far.frames.map(({ descriptor, ttl, hops }) => [descriptor, ttl, hops]),
        [
          [RAW_DESCRIPTOR.query, 1, 1],
          [RAW_DESCRIPTOR.bye, 1, 0],
        ],
      );
      assert.deepEqual(far.byes, ['413 Invalid QRP table length\r\nServer: Filbert/test\r\n\r\n\0']);
    });

    it('is not sent to a peer that did not say Bye-Packet: its link just closes', async () => {
      const { link, far } = await open({ headers: { 'Bye-Packet': null } });
      link.bye(413, 'Invalid QRP table length');
      await waitFor('the close', () => far.closed);
      assert.equal(far.bytes, 0);
      assert.equal(bench.byes.get(link.number), 413, 'the edge knows why');
    });

    it('arrives on a deflated link, also right behind other frames', async () => {
      const { link, far } = await open({ deflateOut: true });
      const frame = query('before');
      link.relay(OutClass.query, frame, 0, frame.length, 1, 1);
      link.flush();
      link.relay(OutClass.query, frame, 0, frame.length, 1, 1);
      link.bye(408, 'Sent message with TTL=0');
      await waitFor('the end', () => far.ended);
      assert.deepEqual(
        far.frames.map(({ descriptor }) => descriptor),
        [RAW_DESCRIPTOR.query, RAW_DESCRIPTOR.query, RAW_DESCRIPTOR.bye],
      );
    });

    it('ends the taking: nothing that comes after it is looked at, and nothing more is sent', async () => {
      const { link, socket, far } = await open();
      link.bye(409, 'Too many bad messages');
      socket.write(Buffer.concat([query('one'), query('two')]));
      const frame = query('three');
      assert.equal(link.relay(OutClass.query, frame, 0, frame.length, 1, 1), false);
      assert.equal(link.send(OutClass.control, frame), false);
      await waitFor('the close', () => bench.closed.has(link.number));
      await waitFor('the close', () => far.closed);
      assert.equal(link.counters.messagesIn, 0);
      assert.equal(far.frames.length, 1);
      assert.match(bench.closed.get(link.number) ?? '', /^BYE 409: Too many bad messages$/);
    });

    it('ends the taking of frames in the very chunk that caused it', async () => {
      const { link, socket, far } = await open();
      const ttlZero = encodeFrame({ guid: randomGuid(), descriptor: 0x80, ttl: 0, hops: 0, payload: queryPayload({}) });
      socket.write(Buffer.concat([...Array.from({ length: 9 }, () => ttlZero), query('not seen')]));
      await waitFor('the end', () => far.ended);
      assert.equal(link.counters.messagesIn, 5);
      assert.match(far.byes[0] ?? '', /^408 /);
      assert.deepEqual(await bench.takeRouted(), []);
    });

    it('is sent once, whatever else happens', async () => {
      const { link, far } = await open();
      link.bye(401, 'Too many duplicate messages');
      link.bye(409, 'Too many bad messages');
      await waitFor('the end', () => far.ended);
      assert.equal(far.byes.length, 1);
    });

    it('says 400 for a message that is too long for its kind', async () => {
      const { link, socket, far } = await open();
      const header = query('').subarray(0, 23);
      header.writeUInt32LE(1025, 19);
      socket.write(Buffer.concat([query('good'), header]));
      await waitFor('the end', () => far.ended);
      assert.match(far.byes[0] ?? '', /^400 Too large query message \(1025 bytes\)/);
      assert.equal(link.counters.messagesIn, 1);
    });

    it('says 400 for a length with flags from a peer without sflag', async () => {
      const { socket, far } = await open();
      const header = query('').subarray(0, 23);
      header.writeUInt32LE(0x80000005, 19);
      socket.write(header);
      await waitFor('the end', () => far.ended);
      assert.match(far.byes[0] ?? '', /^400 /);
    });

    it('never answers a BYE: neither one that is in order nor one that is too long', async () => {
      const { socket, far } = await open();
      const bye = { guid: randomGuid(), descriptor: RAW_DESCRIPTOR.bye, ttl: 1, hops: 0 };
      socket.write(encodeFrame({ ...bye, payload: byePayload(200, 'Servent closing') }));
      await waitFor('the close', () => far.closed);
      const second = await open();
      second.socket.write(encodeFrame({ ...bye, payload: byePayload(200, 'x'.repeat(5000)) }));
      await waitFor('the close', () => second.far.closed);
      assert.deepEqual([far.bytes, second.far.bytes], [0, 0]);
      assert.match(bench.closed.get(1) ?? '', /said BYE 200/);
    });

    it('says 502 where a control frame finds no room', async () => {
      const { link, far } = await open();
      const big = encodeFrame({ guid: randomGuid(), descriptor: 0x30, ttl: 1, hops: 0, payload: Buffer.alloc(60_000) });
      let sent = 0;
      while (link.send(OutClass.control, big)) sent++;
      assert.equal(sent, 4);
      await waitFor('the end', () => far.ended);
      assert.match(far.byes[0] ?? '', /^502 Send queue full/);
    });
  });

  describe('a slow reader', () => {
    it('harms itself only: its queue drops what is worth least, others get everything', async () => {
      const { link: slow, far: socket } = await bench.add('leaf', { flushes: true });
      socket.pause();
      const { link: quick, far } = await open();
      const frame = encodeFrame({ guid: randomGuid(), descriptor: 0x80, ttl: 1, hops: 1, payload: Buffer.alloc(1000) });
      const hit = encodeFrame({ guid: randomGuid(), descriptor: 0x81, ttl: 1, hops: 1, payload: Buffer.alloc(1000) });
      let rounds = 0;
      while (slow.blockedSince === undefined) {
        slow.relay(OutClass.query, frame, 0, frame.length, 1, 1);
        if (++rounds % 20 === 0) await turns(1);
        assert.ok(rounds < 100_000);
      }
      for (let i = 0; i < 200; i++) {
        slow.relay(OutClass.query, frame, 0, frame.length, 1, 1);
        slow.relay(OutClass.hit, hit, 0, hit.length, 1, 1);
        quick.relay(OutClass.query, frame, 0, frame.length, 1, 1);
        if (i % 20 === 0) await turns(2);
      }
      await waitFor('everything at the quick one', () => far.frames.length === 200);
      assert.ok(slow.queue.bytes <= LEAF_QUEUE_BYTES);
      const dropped = Object.fromEntries(OUT_CLASS_NAMES.map((name, i) => [name, slow.queue.dropped[i] ?? 0]));
      assert.ok((dropped.query ?? 0) > 150, JSON.stringify(dropped));
      assert.ok((dropped.hit ?? 0) > 50 && (dropped.query ?? 0) > (dropped.hit ?? 0), JSON.stringify(dropped));
      assert.deepEqual([...quick.queue.dropped], [0, 0, 0, 0, 0, 0]);
      assert.equal(bench.byes.size, 0);

      const received = new FarEnd(socket);
      socket.resume();
      await waitFor('the rest', () => slow.queue.bytes === 0 && slow.blockedSince === undefined, 10_000);
      const before = received.frames.length;
      slow.relay(OutClass.query, frame, 0, frame.length, 1, 1);
      await waitFor('the next frame', () => received.frames.length > before);
    });

    it('that is told to go is closed at once, for it would not read the BYE', async () => {
      const { link, far: socket } = await bench.add('leaf', { flushes: true });
      socket.pause();
      link.blockedSince = bench.now();
      link.bye(405, 'Flow-controlled for too long');
      await waitFor('the close', () => bench.closed.has(link.number));
      assert.equal(bench.byes.get(link.number), 405);
    });
  });

  it('tells its end once, with the reason, and forgets what waited', async () => {
    const { link, socket } = await open({ flushes: false });
    link.send(OutClass.ping, query('waits'));
    socket.destroy();
    await waitFor('the close', () => bench.closed.has(link.number));
    assert.equal(bench.closed.get(link.number), 'connection closed by the peer');
    assert.equal(link.queue.bytes, 0);
    assert.ok(link.ended);
    link.destroy('again');
    assert.equal(bench.closed.size, 1);
  });
});
