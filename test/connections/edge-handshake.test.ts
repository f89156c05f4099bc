import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { createInflate, constants } from 'node:zlib';
import type { EdgeOptions } from '../../services/connections/src/edge.ts';
import { EdgeHarness } from '../support/edge-harness.ts';
import { turns } from '../support/frame-bench.ts';
import { RawFrameLog } from '../support/raw-frame-log.ts';
import { formatBlock, parseBlock, roleHeaders, type HeaderChanges } from '../support/raw-handshake.ts';
import { randomGuid, RAW_DESCRIPTOR, type RawFrame } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';

/** The first block of a peer. */
function hello(role: 'leaf' | 'ultrapeer', changes: HeaderChanges = {}, guid = randomGuid()): string {
  return formatBlock('GNUTELLA CONNECT/0.6', roleHeaders(role, guid, '127.0.0.1', false), changes);
}

describe('connections handshakes', () => {
  let harness: EdgeHarness;

  async function start(
    options: Partial<EdgeOptions> = {},
    facts: Parameters<typeof EdgeHarness.start>[1] = {},
  ): Promise<void> {
    harness = await EdgeHarness.start(options, facts);
  }
  afterEach(() => harness.stop());

  /** Sends the first block and reads the answer to it. */
  async function greeted(block: string): Promise<{ socket: Socket; text: () => string }> {
    const socket = await harness.socket();
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    socket.write(block);
    await waitFor('the second block', () => received.includes('\r\n\r\n') || socket.destroyed);
    return { socket, text: () => received };
  }

  async function nothingHeld(): Promise<void> {
    const { edge } = harness;
    await waitFor('all slots and memory to be given back', () => {
      const { links, budget, handshaking } = edge;
      return links.taken('leaf') + links.taken('ultrapeer') + links.size + budget.usedBytes + handshaking === 0;
    });
  }

  it('takes a leaf and an ultrapeer, and says what they ask of an ultrapeer', async () => {
    await start();
    for (const role of ['leaf', 'ultrapeer'] as const) {
      const { peer, link } = await harness.join({ role });
      assert.equal(link.role, role);
      const { headers } = peer.remote;
      assert.equal(headers.get('x-ultrapeer'), 'True');
      assert.equal(headers.get('x-ultrapeer-needed'), 'True');
      assert.equal(headers.get('x-dynamic-querying'), '0.1');
      assert.equal(headers.get('x-ultrapeer-query-routing'), '0.1');
      assert.equal(headers.get('bye-packet'), '0.1');
      assert.ok(Number(headers.get('x-degree')) >= 16);
      assert.ok(Number(headers.get('x-max-ttl')) < 5);
      assert.match(headers.get('x-query-routing') ?? '', /^0\.[12]$/);
      assert.equal(headers.get('listen-ip'), `127.0.0.1:${harness.port}`);
    }
    assert.equal(harness.edge.counters.incoming.connected, 2);
  });

  it('deflates both directions where both sides can, and not beyond its budget', async () => {
    await start({ deflateBudgetBytes: 120 * 1024 });
    const { link } = await harness.join({ deflate: true });
    assert.deepEqual([link.deflatesIn, link.deflatesOut], [true, true]);
    const { peer, link: plain } = await harness.join({ deflate: true });
    assert.deepEqual([plain.deflatesIn, plain.deflatesOut], [false, false]);
    assert.equal(peer.remote.headers.get('accept-encoding'), undefined);
    await peer.pingBarrier();
  });

  it('takes a block whose lines end in LF alone, and bytes glued to the last block', async () => {
    await start();
    const ping = Buffer.alloc(23);
    ping.write(randomGuid(), 0, 'hex');
    ping[17] = 1;
    const { socket, text } = await greeted(hello('leaf').replaceAll('\r\n', '\n'));
    assert.match(text(), /^GNUTELLA\/0\.6 200 OK\r\n/);
    socket.write(Buffer.concat([Buffer.from('GNUTELLA/0.6 200 OK\n\n'), ping]));
    await waitFor('the ping', () => [...harness.edge.links.all()][0]?.counters.messagesIn === 1);
  });

  it('reads a first block that comes byte by byte', async () => {
    await start();
    const socket = await harness.socket();
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    for (const byte of Buffer.from(hello('leaf', { 'X-Long': 'x'.repeat(100) }))) {
      socket.write(Buffer.of(byte));
      await turns(1);
    }
    await waitFor('the answer', () => received.endsWith('\r\n\r\n'));
    assert.match(received, /^GNUTELLA\/0\.6 200 OK/);
  });

  describe('refusals', () => {
    it('of a full node name the ultrapeers to try instead, but not the peer itself', async () => {
      await start({ maxUltrapeers: 1, maxLeaves: 0 }, { hosts: ['5.6.7.8:6346'] });
      await harness.join({ role: 'ultrapeer', headers: { 'Listen-IP': '127.0.0.1:7777' } });
      const leaf = await harness.connect({ role: 'leaf', headers: { 'Listen-IP': '5.6.7.8:6346' } });
      assert.equal(leaf.status.line, 'GNUTELLA/0.6 503 Too many leaf connections (0 max)');
      assert.equal(leaf.status.headers.get('x-try-ultrapeers'), '127.0.0.1:7777');
      const ultrapeer = await harness.connect({ role: 'ultrapeer' });
      assert.equal(ultrapeer.status.line, 'GNUTELLA/0.6 503 Too many ultra connections (1 max)');
      assert.equal(ultrapeer.status.headers.get('x-try-ultrapeers'), '127.0.0.1:7777, 5.6.7.8:6346');
      assert.equal(harness.edge.counters.incoming.refused, 2);
    });

    it('with 409 meet a servent GUID that is linked, or is our own, and an address that is linked', async () => {
      const own = 'c0ffee00c0ffee00ffc0ffee00c0ff00';
      await start({}, { serventGuid: Buffer.from(own, 'hex') });
      const serventGuid = randomGuid();
      const { peer } = await harness.join({ serventGuid, headers: { Node: '127.0.0.1:7777' } });
      assert.equal((await harness.connect({ serventGuid })).status.code, 409);
      assert.equal((await harness.connect({ serventGuid: own })).status.code, 409);
      const again = await harness.connect({ headers: { Node: '127.0.0.1:7777' } });
      assert.equal(again.status.line, 'GNUTELLA/0.6 409 Already connected');
      await peer.close();
      await waitFor('the end of the link', () => harness.edge.links.size === 0);
      assert.ok((await harness.connect({ serventGuid })).accepted);
    });

    it('with 403 meet a node without a role and one of a closed network; with 406 one of Gnutella2 alone', async () => {
      await start({}, { hosts: ['5.6.7.8:6346'] });
      const cases: [HeaderChanges, number][] = [
        [{ 'X-Ultrapeer': null }, 403],
        [{ 'X-Auth-Challenge': 'abc' }, 403],
        [{ Accept: 'application/x-gnutella2' }, 406],
        [{ 'User-Agent': 'Foxy 1.9' }, 406],
      ];
      for (const [headers, code] of cases) {
        const { status } = await harness.connect({ headers });
        assert.equal(status.code, code);
        assert.equal(status.headers.get('x-try-ultrapeers'), undefined);
      }
      await nothingHeld();
    });

    it('with 413 meet a line too long, too many lines and too long a block', async () => {
      await start();
      const long = { 'X-A': 'x'.repeat(1100) };
      const many = Object.fromEntries(Array.from({ length: 130 }, (_, i) => [`X-${i}`, 'y']));
      const large = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`X-${i}`, 'y'.repeat(900)]));
      for (const changes of [long, many, large]) {
        assert.match(await harness.say(hello('leaf', changes)), /^GNUTELLA\/0\.6 413 (Header|Too many header lines)/);
      }
      await nothingHeld();
    });

    it('of a header of 1 MiB without an end come after 16 KiB at the most', async () => {
      await start();
      const answer = await harness.say(`GNUTELLA CONNECT/0.6\r\n${'x'.repeat(2 ** 20)}`);
      assert.match(answer, /^(GNUTELLA\/0\.6 413 |$)/);
      await nothingHeld();
    });

    it('are silent for 0.4, and for bytes behind the first block', async () => {
      await start();
      assert.equal(await harness.say('GNUTELLA CONNECT/0.4\n\n'), '');
      assert.equal(await harness.say(`${hello('leaf')}extra`), '');
      assert.equal(harness.edge.counters.incoming.failed, 2);
      await nothingHeld();
    });

    it('that come after the last block are a BYE, deflated where the link had begun so', async () => {
      await start();
      const guid = randomGuid();
      const inflates = { 'Accept-Encoding': 'deflate' };
      const [first, plain, deflated] = [
        await greeted(hello('leaf', {}, guid)),
        await greeted(hello('leaf', {}, guid)),
        await greeted(hello('leaf', inflates, guid)),
      ];
      const ok = 'GNUTELLA/0.6 200 OK\r\n\r\n';
      first.socket.write(ok);
      await waitFor('the first link', () => harness.edge.links.size === 1);
      const log = new RawFrameLog();
      const frames: RawFrame[] = [];
      plain.socket.on('data', (chunk: Buffer) => frames.push(...log.feed(chunk)));
      plain.socket.write(ok);
      const inflate = createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
      const inflatedLog = new RawFrameLog();
      inflate.on('data', (chunk: Buffer) => frames.push(...inflatedLog.feed(chunk)));
      deflated.socket.on('data', (chunk: Buffer) => inflate.write(chunk));
      deflated.socket.write(ok);
      await waitFor('both BYEs', () => frames.length === 2);
      for (const { descriptor, payload } of frames) {
        assert.equal(descriptor, RAW_DESCRIPTOR.bye);
        assert.equal(payload.readUInt16LE(0), 409);
      }
      await waitFor('the end', () => plain.socket.destroyed && deflated.socket.destroyed);
      assert.equal(harness.edge.links.size, 1);
    });

    it('of the peer, in its last block, give its slot back', async () => {
      await start({ maxLeaves: 1 });
      const { socket } = await greeted(hello('leaf'));
      assert.equal(harness.edge.links.taken('leaf'), 1);
      assert.equal((await harness.connect()).status.code, 503, 'the slot is kept for who is in its handshake');
      socket.write('GNUTELLA/0.6 503 No thanks\r\n\r\n');
      await nothingHeld();
      assert.equal(harness.edge.counters.incoming['refused-by-peer'], 1);
      assert.ok((await harness.connect()).accepted);
    });
  });

  it('makes room in a full node by ending one useless leaf, not two, and not a young one', async () => {
    let now = Date.now();
    await start({ maxLeaves: 2, wallClock: () => now });
    const { peer: first } = await harness.join();
    const { peer: second } = await harness.join();
    assert.equal((await harness.connect()).status.code, 503);
    now += 300_001;
    // Whoever is slow to close is on its way out all the same.
    first.setReading(false);
    second.setReading(false);
    const { peer: third } = await harness.join();
    assert.ok(third.accepted);
    const ended = (): number => [first, second].filter((peer) => harness.linkOf(peer)?.ended ?? true).length;
    assert.equal(ended(), 1);
    assert.ok((await harness.join()).peer.accepted);
    assert.equal(ended(), 2, 'who is on its way out makes no room twice');
    first.setReading(true);
    second.setReading(true);
    await waitFor('the BYE', () => first.bye ?? second.bye);
    assert.equal((first.bye ?? second.bye)?.code, 202);
  });

  it('makes room by ending a leaf that wants no queries, and none that does', async () => {
    let now = Date.now();
    await start({ maxLeaves: 2, wallClock: () => now });
    const { peer: useful, link } = await harness.join();
    const { peer: busy, link: busyLink } = await harness.join();
    for (const peer of [useful, busy]) peer.sendTable({ bits: 12, words: ['filbert'] });
    busy.sendHopsFlow(0);
    await waitFor('the tables', () => link.table !== undefined && busyLink.table !== undefined);
    await waitFor('the hops-flow', () => busyLink.hopsFlow === 0);
    now += 300_001;
    assert.ok((await harness.join()).peer.accepted);
    await busy.waitClosed();
    assert.equal(busy.bye?.code, 202);
    assert.equal((await harness.connect()).status.code, 503);
    assert.equal(link.ended, false);
  });

  it('makes room by ending an ultrapeer that never said anything, and none that did', async () => {
    let now = Date.now();
    await start({ maxUltrapeers: 2, wallClock: () => now });
    const ultrapeer = { role: 'ultrapeer', answerPings: false } as const;
    const { peer: useful, link } = await harness.join(ultrapeer);
    const { peer: silent } = await harness.join(ultrapeer);
    useful.sendPing();
    await waitFor('the message', () => link.counters.messagesIn === 1);
    assert.equal((await harness.connect(ultrapeer)).status.code, 503);
    now += 599_000;
    assert.equal((await harness.connect(ultrapeer)).status.code, 503, 'it has longer than a leaf');
    now += 1_001;
    assert.ok((await harness.join(ultrapeer)).peer.accepted);
    await silent.waitClosed();
    assert.equal(silent.bye?.code, 202);
    assert.equal((await harness.connect(ultrapeer)).status.code, 503);
    assert.equal(link.ended, false);
  });

  it('answers a crawler with its neighbours and closes', async () => {
    await start({ isExempt: () => false });
    await harness.join({ role: 'ultrapeer', headers: { 'Listen-IP': '127.0.0.1:7777' } });
    const { socket, text } = await greeted(hello('leaf', { Crawler: '0.1', 'X-Ultrapeer': null }));
    const block = parseBlock(text().replace(/\r\n\r\n$/, ''));
    assert.equal(block.code, 200);
    assert.equal(block.headers.get('peers'), '127.0.0.1:7777');
    assert.ok(block.headers.has('leaves'));
    socket.write('GNUTELLA/0.6 200 OK\r\n\r\n');
    await waitFor('the close', () => socket.destroyed);
    assert.equal(harness.edge.counters.incoming.crawler, 1);
    assert.equal(harness.edge.links.size, 1);
  });

  it('refuses a crawler that comes again too soon', async () => {
    await start({ isExempt: () => false });
    const crawler = { Crawler: '0.1', 'X-Ultrapeer': null };
    const { socket } = await greeted(hello('leaf', crawler));
    socket.end('GNUTELLA/0.6 200 OK\r\n\r\n');
    assert.match(await harness.say(hello('leaf', crawler)), /^GNUTELLA\/0\.6 403 Too frequent crawling\r\n/);
  });

  it('tells an address that begins too many handshakes 429 once, and then nothing', async () => {
    await start({ isExempt: () => false }, { hosts: ['5.6.7.8:6346'] });
    for (let i = 0; i < 2; i++) assert.ok((await harness.connect()).accepted);
    const told = await harness.connect();
    assert.equal(told.status.line, 'GNUTELLA/0.6 429 Banned for 300 s');
    assert.equal(told.status.headers.get('x-try-ultrapeers'), undefined);
    assert.equal(await harness.say(hello('leaf')), '');
    assert.equal(harness.edge.counters.refused.throttled, 2);
  });

  it('believes a listening address only of the host that it comes from, but in a closed network', async () => {
    await start({ isExempt: () => false });
    const foreign = await harness.join({ role: 'ultrapeer', headers: { 'Listen-IP': '5.6.7.8:6346' } });
    assert.equal(foreign.link.listenAddress, '');
    const own = await harness.join({ role: 'ultrapeer', headers: { 'Listen-IP': '127.0.0.1:7777' } });
    assert.equal(own.link.listenAddress, '127.0.0.1:7777');
    await harness.stop();
    await start();
    const translated = await harness.join({ role: 'ultrapeer', headers: { 'Listen-IP': '10.0.0.7:6346' } });
    assert.equal(translated.link.listenAddress, '10.0.0.7:6346');
  });

  it('refuses private addresses where they are not allowed, without a word', async () => {
    await start({ allowPrivate: false });
    assert.equal(await harness.say(hello('leaf')), '');
    assert.equal(harness.edge.counters.refused['private-address'], 1);
    assert.match(harness.edge.connect('127.0.0.1:7777') ?? '', /--allow-private/);
  });

  it('answers HTTP on its port, and closes on what it does not speak', async () => {
    await start();
    for (const method of ['GET', 'HEAD']) {
      const answer = await harness.say(`${method} / HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 503 Service Unavailable\r\n/);
      assert.match(answer, /\r\nConnection: close\r\n/);
      const [head = '', body = ''] = answer.split('\r\n\r\n');
      assert.equal(Number(/Content-Length: (\d+)/.exec(head)?.[1]), body.length);
    }
    const before = harness.edge.counters.refused['not-gnutella'];
    for (const text of ['\x16\x03\x01\x02\x00', 'SSH-2.0-x\r\n', '\n\n', 'CONNECT BACK\r\n', 'x']) {
      assert.equal(await harness.say(text), '', JSON.stringify(text));
    }
    assert.equal(harness.edge.counters.refused['not-gnutella'] - before, 5);
    await nothingHeld();
  });

  it('keeps places for others where one address opens connections that say nothing', async () => {
    await start({ isExempt: () => false });
    const silent = await Promise.all(Array.from({ length: 8 }, () => harness.socket()));
    await waitFor('them to be waited for', () => harness.edge.handshaking === 8);
    assert.equal(await harness.say(''), '', 'the ninth is closed at once');
    assert.equal(harness.edge.counters.refused['too-many-handshakes'], 1);
    for (const socket of silent) socket.destroy();
    await nothingHeld();
    const { link } = await harness.join({ role: 'leaf' });
    assert.equal(link.role, 'leaf');
  });

  describe('time-outs', () => {
    it('end a connection that says nothing', async () => {
      await start({ handshakeTimeoutMs: 150 });
      assert.equal(await harness.say(''), '');
      assert.equal(harness.edge.handshaking, 0);
    });

    it('end one that says its block a byte at a time, counted from its connection', async () => {
      await start({ handshakeTimeoutMs: 300 });
      const socket = await harness.socket();
      const begun = performance.now();
      socket.resume();
      const bytes = Buffer.from(hello('leaf', { 'X-Long': 'x'.repeat(900) }));
      let at = 0;
      const dribble = setInterval(() => socket.write(bytes.subarray(at, ++at)), 5);
      await waitFor('the close', () => socket.destroyed).finally(() => clearInterval(dribble));
      // Three dozen bytes are enough to be known as Gnutella half-way.
      assert.ok(at > 20);
      assert.ok(performance.now() - begun < 3_000);
      await nothingHeld();
      assert.equal(harness.edge.counters.incoming.lost, 1);
    });

    it('end one that never sends its last block, and give its slot back', async () => {
      await start({ handshakeTimeoutMs: 200, maxLeaves: 1 });
      const { socket, text } = await greeted(hello('leaf'));
      assert.match(text(), / 200 OK/);
      await waitFor('the close', () => socket.destroyed);
      await nothingHeld();
    });
  });

  it('has a bounded number of connections in their handshake, and takes more when some are gone', async () => {
    await start({ maxHandshakes: 3 });
    const waiting = [await harness.socket(), await harness.socket(), await harness.socket()];
    await waitFor('the three', () => harness.edge.handshaking === 3);
    assert.equal(await harness.say(hello('leaf')), '');
    assert.equal(harness.edge.counters.refused['too-many-handshakes'], 1);
    waiting[0]?.destroy();
    await waitFor('room', () => harness.edge.handshaking === 2);
    assert.ok((await harness.connect()).accepted);
  });

  it('keeps nothing of a storm of connections that end anywhere in their handshake', async () => {
    await start({ maxHandshakes: 1000, maxLeaves: 5, maxUltrapeers: 5 });
    const block = hello('ultrapeer', { 'Accept-Encoding': 'deflate' });
    const ends: ((socket: Socket) => void)[] = [
      (socket) => socket.destroy(),
      (socket) => socket.end('GNUTELLA CONN'),
      (socket) => socket.end(block.slice(0, 200)),
      (socket) => socket.write(block, () => socket.destroy()),
      (socket) => socket.write(block, () => socket.resetAndDestroy()),
      (socket) => socket.end(hello('leaf')),
      (socket) => socket.once('data', () => socket.resetAndDestroy()).write(hello('leaf')),
      (socket) => socket.once('data', () => socket.end('GNUTELLA/0.6 503 No\r\n\r\n')).write(block),
      (socket) => socket.end('GET /'),
    ];
    const sockets: Socket[] = [];
    for (let i = 0; i < 180; i++) {
      const socket = await harness.socket();
      sockets.push(socket);
      socket.resume();
      ends[i % ends.length]?.(socket);
    }
    await waitFor('all to be closed', () => sockets.every((socket) => socket.destroyed));
    await nothingHeld();
    assert.ok((await harness.connect()).accepted);
  });
});
