import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { deflateSync } from 'node:zlib';
import { Flood } from '../../bench/load/flood.ts';
import { formatBlock, roleHeaders } from '../support/raw-handshake.ts';
import type { RawPeer } from '../support/raw-peer.ts';
import { patchPayloads, resetPayload } from '../support/raw-table.ts';
import { encodeFrame, queryPayload, randomGuid, RAW_DESCRIPTOR, shortTokens } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

/** How long a bad visitor waits at most for the node to end it. */
const VISIT_TIMEOUT_MS = 6_000;

/** How long the flood goes on, and how fast it is. */
const FLOOD_MS = 3_000;
const FLOOD_VISITS_PER_SECOND = 150;

/** While it does, a query may take this long: far beyond what it takes, and far below what a standstill would. */
const SERVED_P99_MS = 500;

const HELLO = formatBlock('GNUTELLA CONNECT/0.6', roleHeaders('leaf', '0'.repeat(32), '127.0.0.1', false));

/** Says these bytes and reads until the node ends the connection, or lets the visitor in. */
function visit(port: number, ...parts: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`still open after ${JSON.stringify(received.slice(0, 200))}`));
    }, VISIT_TIMEOUT_MS);
    socket.on('connect', () => {
      for (const part of parts) socket.write(part);
    });
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (received.startsWith('GNUTELLA/0.6 200 ') && received.endsWith('\r\n\r\n')) socket.destroy();
    });
    // A reset is an end like another: what was unread on the other side is discarded.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(received);
    });
  });
}

function withLength(payload: Buffer, length: number, descriptor: number): Buffer {
  const bytes = encodeFrame({ guid: randomGuid(), descriptor, ttl: 1, hops: 0, payload });
  bytes.writeUInt32LE(length, 19);
  return bytes;
}

/** Changes to a whole hello. */
function hello(...lines: readonly string[]): string {
  return HELLO.replace('\r\n\r\n', `\r\n${lines.join('\r\n')}\r\n\r\n`);
}

describeOnBothForms('bad input', (net) => {
  const handshakes: readonly (readonly [name: string, said: string | Buffer, answer: RegExp])[] = [
    ['a line of over 1024 bytes', hello(`X-Long: ${'a'.repeat(1100)}`), /^GNUTELLA\/0\.6 413 Header line too long\r\n/],
    ['more than 128 headers', hello(...Array.from({ length: 130 }, (_, i) => `X-${i}: y`)), /^GNUTELLA\/0\.6 413 /],
    [
      'a block over 16 KiB',
      hello(...Array.from({ length: 20 }, (_, i) => `X-${i}: ${'b'.repeat(900)}`)),
      /^GNUTELLA\/0\.6 413 /,
    ],
    ['no headers at all', 'GNUTELLA CONNECT/0.6\r\n\r\n', /^GNUTELLA\/0\.6 403 Normal nodes refused\r\n/],
    [
      'zero bytes where the role should be',
      HELLO.replace('X-Ultrapeer: False', 'X-Ultrapeer: \0\0'),
      /^GNUTELLA\/0\.6 4\d\d /,
    ],
    ['an encoding that nobody offered', hello('Content-Encoding: deflate'), /^GNUTELLA\/0\.6 400 /],
    ['Gnutella2 only', hello('Accept: application/x-gnutella2'), /^GNUTELLA\/0\.6 406 /],
    ['a closed network', hello('X-Auth-Challenge: 1234'), /^GNUTELLA\/0\.6 403 Not a network member\r\n/],
    ['bytes behind the first block', `${HELLO}more`, /^$/],
    ['version 0.4', 'GNUTELLA CONNECT/0.4\r\n\r\n', /^$/],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', /^$/],
    ['an endless first line', Buffer.alloc(3000, 0x41), /^$/],
    ['random bytes', Buffer.concat([Buffer.of(0x80), randomBytes(600)]), /^$/],
    ['a TLS record', Buffer.from('16030100c8010000c40303', 'hex'), /^$/],
  ];
  it('answers bad handshakes as the pages say, and closes', async () => {
    for (const [name, said, answer] of handshakes) {
      const text = await visit(net.node.gnutella.port, said).catch((error: unknown) => {
        throw new Error(`${name}: ${String(error)}`);
      });
      assert.match(text, answer, name);
    }
    await net.linked(0);
  });

  it('takes a handshake in single bytes, and with bare line feeds', async () => {
    const bytes = [...Buffer.from(HELLO, 'latin1')].map((byte) => Buffer.of(byte));
    for (const parts of [bytes, [HELLO.replaceAll('\r\n', '\n')]]) {
      assert.match(await visit(net.node.gnutella.port, ...parts), /^GNUTELLA\/0\.6 200 OK\r\n/);
    }
  });

  it('closes when the third block claims an encoding that is none', async () => {
    for (const coding of ['gzip', 'deflate, gzip']) {
      const peer = await net.dial({ finalHeaders: { 'Content-Encoding': coding } });
      await peer.waitClosed();
    }
    await net.linked(0);
  });

  /** Sends the bytes on a new link and tells the BYE that ends it, or "none" where it just closes. */
  async function ending(bytes: Uint8Array, options: Parameters<typeof net.dial>[0] = {}): Promise<number | 'none'> {
    const peer = await net.dial(options);
    assert.ok(peer.accepted);
    peer.send(bytes);
    await peer.waitClosed();
    return peer.bye?.code ?? 'none';
  }

  it('ends a link whose stream of messages cannot go on, with BYE 400', async () => {
    const { query, pong, hit, bye, push } = RAW_DESCRIPTOR;
    for (const [name, bytes, code] of [
      ['a length without end', withLength(Buffer.alloc(8), 0xffffffff, query), 400],
      ['a length over 65535', withLength(Buffer.alloc(8), 0x10000, hit), 400],
      ['flags without sflag', withLength(Buffer.alloc(16), 0x80000010, query), 400],
      ['a query over 1 KiB', withLength(Buffer.alloc(1025), 1025, query), 400],
      ['another over 40 KiB', withLength(Buffer.alloc(64), 40_961, pong), 400],
      ['a PUSH over 40 KiB', withLength(Buffer.alloc(64), 50_000, push), 400],
      ['a BYE over 4 KiB, never answered with one', withLength(Buffer.alloc(64), 4097, bye), 'none'],
    ] as const) {
      assert.equal(await ending(bytes), code, name);
    }
  });

  it('ends a leaf that relays with BYE 414', async () => {
    for (const descriptor of [RAW_DESCRIPTOR.query, RAW_DESCRIPTOR.ping, RAW_DESCRIPTOR.hit, 0x99]) {
      const frame = { guid: randomGuid(), descriptor, ttl: 2, hops: 1, payload: queryPayload({ text: 'relayed' }) };
      assert.equal(await ending(encodeFrame(frame)), 414);
    }
  });

  it('ends a link whose tables break the rules with BYE 413', async () => {
    const qrp = (...payloads: readonly Buffer[]): Buffer =>
      Buffer.concat(
        payloads.map((payload) =>
          encodeFrame({ guid: randomGuid(), descriptor: RAW_DESCRIPTOR.qrp, ttl: 1, hops: 0, payload }),
        ),
      );
    const reset = resetPayload(1024, 2);
    const patch = (...bytes: readonly number[]): Buffer => Buffer.concat([Buffer.of(1, ...bytes), Buffer.alloc(512)]);
    for (const [name, ...payloads] of [
      ['a length that is no power of two', resetPayload(1000, 2)],
      ['a length of 0', resetPayload(0, 2)],
      ['a length beyond all bounds', resetPayload(2 ** 25, 2)],
      ['infinity 0', resetPayload(1024, 0)],
      ['PATCH without RESET', patch(1, 1, 0, 4)],
      ['a sequence from 2', reset, patch(2, 2, 0, 4)],
      ['a sequence of none', reset, patch(1, 0, 0, 4)],
      ['a number past the end', reset, patch(2, 1, 0, 4)],
      ['entries of 3 bits', reset, patch(1, 1, 0, 3)],
      ['an unknown compressor', reset, patch(1, 1, 9, 4)],
      ['a sequence that changes its size', reset, Buffer.of(1, 1, 3, 0, 4, 0), patch(2, 2, 0, 4)],
      ['a sequence that changes its entries', reset, Buffer.of(1, 1, 2, 0, 4, 0), patch(2, 2, 0, 8)],
      ['too few entries', reset, Buffer.of(1, 1, 1, 0, 4, 0, 0)],
      ['too many entries', reset, Buffer.concat([patch(1, 1, 0, 4), Buffer.alloc(1)])],
      [
        'too many entries when inflated',
        reset,
        Buffer.concat([Buffer.of(1, 1, 1, 1, 4), deflateSync(Buffer.alloc(2 ** 20))]),
      ],
      ['data that is not zlib', reset, Buffer.concat([Buffer.of(1, 1, 1, 1, 4), randomBytes(64)])],
      [
        'zlib data that is cut off',
        reset,
        ...patchPayloads(10, [1, 2, 3], []).map((payload) => payload.subarray(0, -6)),
      ],
    ] as const) {
      assert.equal(await ending(qrp(...payloads)), 413, name);
    }
  });

  it('drops malformed messages, counts each by its reason and keeps the link, until they are too many', async function () {
    this.timeout(60_000);
    const keeper = await net.leaf({ table: { words: ['pomelo'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'pomelo');
    const { query, pong, hit, push, bye, ping, vendor } = RAW_DESCRIPTOR;
    const pomelo = Buffer.from('pomelo\0');
    const bad: readonly (readonly [dropped: string, descriptor: number, payload: Buffer, ttl?: number])[] = [
      ['router: malformed', query, Buffer.of(0x88, 0, 0)],
      ['router: malformed', query, Buffer.concat([Buffer.of(0x88, 0), pomelo.subarray(0, 6)])],
      [
        'router: malformed',
        query,
        Buffer.concat([Buffer.of(0x88, 0), Buffer.from('pomelo \xff\xfe', 'latin1'), Buffer.of(0)]),
      ],
      ['router: malformed', query, Buffer.concat([Buffer.of(0, 0), pomelo])],
      ['router: malformed', query, Buffer.concat([Buffer.of(0x88, 0), pomelo, Buffer.from('urn:sha1:TOOSHORT')])],
      // Long, and none the worse for that: no table has the word.
      ['', query, Buffer.concat([Buffer.of(0x88, 0), Buffer.from(`pomelo ${'x'.repeat(300)}\0`)])],
      ['edge: malformed', pong, Buffer.alloc(13)],
      ['edge: malformed', pong, Buffer.alloc(15, 1)],
      ['edge: malformed', push, Buffer.alloc(25)],
      ['edge: malformed', push, Buffer.alloc(27)],
      ['edge: unusable-address', push, Buffer.alloc(26)],
      ['router: malformed', hit, Buffer.alloc(15)],
      ['router: malformed', hit, Buffer.concat([Buffer.of(255), Buffer.alloc(40, 1)])],
      ['edge: malformed', bye, Buffer.alloc(0)],
      ['edge: malformed', bye, Buffer.of(1)],
      ['edge: not-for-us', bye, Buffer.of(200, 0, 0), 7],
      ['edge: malformed', ping, Buffer.from('not GGEP')],
      ['edge: malformed', vendor, Buffer.alloc(7)],
      ['edge: malformed', RAW_DESCRIPTOR.qrp, Buffer.of(7, 7, 7)],
      ['edge: unknown-function', 0x20, Buffer.alloc(10)],
      ['edge: unknown-function', 0x99, randomBytes(100)],
    ];
    const expected = await drops();
    for (const [index, [dropped, descriptor, payload, ttl = 1]] of bad.entries()) {
      const frame = asker.sendFrame(descriptor, payload, { ttl });
      if (descriptor === query) await net.absent(keeper, frame, { source: asker, words: 'pomelo' });
      if (dropped !== '') expected.set(dropped, (expected.get(dropped) ?? 0) + 1);
      const counted = async (): Promise<boolean> => {
        const now = await drops();
        return [...expected].every(([reason, count]) => now.get(reason) === count);
      };
      await waitFor(`message ${index} of these to be counted as "${dropped}" and as nothing else`, counted);
    }
    await asker.pingBarrier();
    assert.ok(!asker.destroyed, asker.bye?.text ?? '');
    for (let i = 0; i < 110; i++) asker.sendFrame(0x99, Buffer.alloc(4));
    await asker.waitClosed();
    assert.equal(asker.bye?.code, 409);
  });

  it('takes a message that is cut at every place', async () => {
    const keeper = await net.leaf({ table: { words: ['calamondin'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'calamondin');
    const payload = queryPayload({ text: 'calamondin' });
    const first = { guid: randomGuid(), descriptor: RAW_DESCRIPTOR.query, ttl: 1, hops: 0, payload };
    // A repetition of the text would be dropped.
    const second = { ...first, guid: randomGuid(), payload: queryPayload({ text: 'calamondin of' }) };
    for (const byte of Buffer.concat([encodeFrame(first), encodeFrame(second)])) asker.send(Buffer.of(byte));
    for (const { guid } of [first, second]) await keeper.nextOf('query', guid);
  });

  it('ends a deflated link whose stream is broken, ended or a bomb', async () => {
    for (const bytes of [
      Buffer.concat([Buffer.from('789c', 'hex'), randomBytes(200)]),
      randomBytes(300),
      Buffer.concat([deflateSync(Buffer.alloc(0)), Buffer.alloc(50)]),
      deflateSync(Buffer.alloc(2 ** 26)),
    ]) {
      // Deflated by the test itself: what `send` writes is not touched.
      const peer = await net.dial({
        headers: { 'Accept-Encoding': null },
        finalHeaders: { 'Content-Encoding': 'deflate' },
      });
      assert.ok(peer.accepted);
      peer.send(bytes);
      await peer.waitClosed();
      assert.equal(peer.bye?.code, 400, `${bytes.length} bytes`);
    }
    await net.linked(0);
  });

  it('stays, and serves its other links, under a flood of all that is bad', async function () {
    this.timeout(60_000);
    const keeper = await net.leaf({ table: { words: ['satsuma'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'satsuma');
    const before = processesOf();
    const flood = new Flood('127.0.0.1', net.node.gnutella.port, FLOOD_VISITS_PER_SECOND);
    const latencies: number[] = [];
    const endMs = performance.now() + FLOOD_MS;
    while (performance.now() < endMs) latencies.push(await roundTrip(asker, keeper));
    const counts = await flood.stop();
    assert.ok(counts.visits > (FLOOD_VISITS_PER_SECOND * FLOOD_MS) / 1000 / 2, `${counts.visits} visits`);
    latencies.sort((a, b) => a - b);
    const p99 = latencies[Math.floor(latencies.length * 0.99)] ?? Infinity;
    assert.ok(p99 < SERVED_P99_MS, `99 % of ${latencies.length} queries within ${p99} ms`);
    assert.ok(!keeper.destroyed && !asker.destroyed);
    assert.deepEqual(processesOf(), before, 'no process ended');
    await net.linked(2);
  });

  /** Frames dropped so far, by the service that dropped them and the reason, over all of its processes. */
  async function drops(): Promise<Map<string, number>> {
    const sums = new Map<string, number>();
    const line = /^filbert_(connections_frames|router)_dropped_total\{reason="([a-z-]+)"[^}]*\} (\d+)$/gm;
    for (const [, service = '', reason = '', value] of (await net.node.metrics()).matchAll(line)) {
      const key = `${service === 'router' ? 'router' : 'edge'}: ${reason}`;
      sums.set(key, (sums.get(key) ?? 0) + Number(value));
    }
    return sums;
  }

  async function roundTrip(asker: RawPeer, keeper: RawPeer): Promise<number> {
    const startMs = performance.now();
    await keeper.nextOf('query', asker.sendQuery({ text: `satsuma ${shortTokens()}` }).guid);
    return performance.now() - startMs;
  }

  /** The node's own process and those below it. */
  function processesOf(): number[] {
    return [net.node.pid, ...net.node.descendants().map(({ pid }) => pid)].sort((a, b) => a - b);
  }
});
