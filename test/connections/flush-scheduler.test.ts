import assert from 'node:assert/strict';
import { FlushScheduler } from '../../services/connections/src/flush-scheduler.ts';
import { OutClass } from '../../services/connections/src/link/out-queue.ts';
import type { PeerLink } from '../../services/connections/src/link/peer-link.ts';
import { FrameBench, turns } from '../support/frame-bench.ts';
import { encodeFrame, randomGuid } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';

function frame(bytes = 60): Buffer {
  return encodeFrame({ guid: randomGuid(), descriptor: 0x80, ttl: 1, hops: 1, payload: Buffer.alloc(bytes - 23) });
}

describe('connections flush scheduler', () => {
  let bench: FrameBench;
  let scheduler: FlushScheduler;

  beforeEach(() => {
    bench = new FrameBench();
    scheduler = new FlushScheduler(() => bench.clock.monotonic());
    bench.onDirty = (link) => scheduler.mark(link);
  });
  afterEach(async () => {
    scheduler.stop();
    await bench.stop();
  });

  function relay(link: PeerLink, bytes?: number): void {
    const one = frame(bytes);
    assert.ok(link.relay(OutClass.query, one, 0, one.length, 1, 1));
  }

  /** Makes the scheduler see a load at which flushes to leaves are put together. */
  async function load(link: PeerLink): Promise<void> {
    for (let i = 0; i < 60; i++) {
      relay(link);
      await turns(1);
    }
    bench.clock.advance(10);
    for (let i = 0; i < 2; i++) {
      bench.clock.advance(250);
      for (let j = 0; j < 1200; j++) scheduler.mark(link);
      await turns(1);
    }
  }

  it('flushes a link once at the end of the turn, however much it was given', async () => {
    const { link, far } = await bench.add('leaf');
    let received = 0;
    far.on('data', (chunk: Buffer) => (received += chunk.length));
    for (let i = 0; i < 5; i++) relay(link);
    assert.equal(link.queue.bytes, 300, 'not before the turn is over');
    await turns(1);
    assert.deepEqual([link.queue.bytes, scheduler.flushes, link.dirty], [0, 1, false]);
    await waitFor('the frames', () => received === 300);
    relay(link);
    await turns(1);
    assert.equal(scheduler.flushes, 2);
  });

  it('lets a deflated link wait for more, but for 200 ms at most', async () => {
    const { link } = await bench.add('leaf', { deflateOut: true });
    relay(link);
    await turns(3);
    assert.equal(link.queue.bytes, 60);
    const start = performance.now();
    await waitFor('the flush', () => link.queue.bytes === 0);
    assert.ok(performance.now() - start > 100);
    assert.equal(scheduler.flushes, 1);
  });

  it('flushes a deflated link at the end of the turn in which 4 KiB came together', async () => {
    const { link } = await bench.add('ultrapeer', { deflateOut: true });
    relay(link);
    await turns(2);
    for (let i = 0; i < 80; i++) relay(link);
    await turns(1);
    assert.equal(link.queue.bytes, 0);
  });

  it('does not let a control frame wait on a deflated link, not even behind one that may', async () => {
    const { link } = await bench.add('leaf', { deflateOut: true });
    assert.ok(link.send(OutClass.control, frame()));
    await turns(1);
    assert.equal(link.queue.bytes, 0);
    // The stream takes the next only when it is through with this.
    await waitFor('the deflated bytes', () => link.counters.bytesOut > 0);
    await turns();
    relay(link);
    await turns(1);
    assert.equal(link.queue.bytes, 60);
    assert.ok(link.send(OutClass.control, frame()));
    await turns(1);
    assert.equal(link.queue.bytes, 0);
  });

  it('under load puts what leaves get within 20 ms together, not what ultrapeers get, nor control frames', async () => {
    const { link: leaf } = await bench.add('leaf');
    const { link: other } = await bench.add('leaf');
    const { link: ultrapeer } = await bench.add('ultrapeer');
    await load(leaf);
    await waitFor('all to be sent', () => leaf.queue.bytes === 0 && !leaf.dirty);
    relay(leaf);
    relay(ultrapeer);
    other.send(OutClass.control, frame());
    await turns(1);
    assert.deepEqual([leaf.queue.bytes, ultrapeer.queue.bytes, other.queue.bytes], [60, 0, 0]);
    relay(leaf);
    await waitFor('the flush', () => leaf.queue.bytes === 0);
  });

  it('flushes all that waits when it is stopped', async () => {
    const { link: deflated } = await bench.add('leaf', { deflateOut: true });
    const { link } = await bench.add('leaf');
    relay(deflated);
    relay(link);
    scheduler.stop();
    assert.deepEqual([deflated.queue.bytes, link.queue.bytes], [0, 0]);
  });
});
