import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Decision, PeerCapabilities } from '@filbert/gnutella';
import { GnutellaError, InitiatingHandshake, decideAsLeaf } from '@filbert/gnutella';
import * as peers from './peers.ts';
import {
  LEAF,
  PEER_IP,
  ULTRAPEER,
  acceptAll,
  block,
  bytes,
  connected,
  failed,
  feed,
  initiating,
  readBlock,
  refused,
} from './support.ts';

const WELCOME = block(
  'GNUTELLA/0.6 200 OK',
  'User-Agent: Example/1.0',
  'X-Ultrapeer: True',
  'Accept-Encoding: deflate',
);

const welcomeWith = (...lines: string[]): string => block(...WELCOME.trimEnd().split('\r\n'), ...lines);

const answer = (text: string, options: Parameters<typeof initiating>[0] = {}) =>
  feed(initiating(options), [bytes(text)]);

describe('handshake: initiating', () => {
  it('begins with the whole header set of its role and no decision', () => {
    for (const local of [ULTRAPEER, LEAF]) {
      const handshake = new InitiatingHandshake({ local, remoteIp: PEER_IP, decide: acceptAll });
      const { startLine, headers } = readBlock(handshake.start());
      assert.equal(startLine, 'GNUTELLA CONNECT/0.6');
      assert.equal(headers.get('X-Ultrapeer'), local.role === 'ultrapeer' ? 'True' : 'False');
      assert.equal(headers.get('Accept-Encoding'), 'deflate');
      assert.equal(headers.get('X-Requeries'), 'False');
      assert.equal(headers.get('Node'), headers.get('Listen-IP'));
      assert.equal(headers.get('Remote-IP'), PEER_IP);
      assert.equal(headers.has('X-Ext-Probes'), local.role === 'ultrapeer');
      for (const name of ['Content-Encoding', 'X-Ultrapeer-Needed', 'X-Try-Ultrapeers', 'Upgrade', 'X-Token']) {
        assert.equal(headers.has(name), false, name);
      }
    }
  });

  it('answers 200 with decisions only and is connected', () => {
    const { sent, outcome } = answer(WELCOME);
    assert.equal(sent, block('GNUTELLA/0.6 200 OK', 'Content-Encoding: deflate'));
    const link = connected(outcome);
    assert.deepEqual([link.deflateOut, link.inflateIn, link.rest.length], [true, false, 0]);
    assert.equal(link.peer.userAgent, 'Example/1.0');
  });

  it('deflates only if the peer inflates, we may, and the decision does not say otherwise', () => {
    const plain = block('GNUTELLA/0.6 200 OK');
    assert.equal(answer(WELCOME.replace('deflate', 'gzip')).sent, plain);
    assert.equal(answer(WELCOME, { local: { ...ULTRAPEER, offerDeflate: false } }).sent, plain);
    const { sent, outcome } = answer(WELCOME, { decide: () => ({ accept: true, deflate: false }) });
    assert.equal(sent, plain);
    assert.equal(connected(outcome).deflateOut, false);
  });

  it('says X-Query-Routing and Content-Type in block 3 only where the peer gave a reason', () => {
    assert.match(answer(welcomeWith('X-Query-Routing: 0.1')).sent, /\r\nX-Query-Routing: 0\.1\r\n/);
    assert.doesNotMatch(answer(welcomeWith('X-Query-Routing: 0.2')).sent, /X-Query-Routing/);
    assert.doesNotMatch(answer(WELCOME).sent, /X-Query-Routing|Content-Type/);
    const both = 'Accept: application/x-gnutella-packets, application/x-gnutella2';
    assert.match(answer(welcomeWith(both)).sent, /\r\nContent-Type: application\/x-gnutella-packets\r\n/);
  });

  it('takes no demotion: the answer to X-Ultrapeer-Needed: False is a 200 without X-Ultrapeer', () => {
    for (const needed of ['False', 'True']) {
      const { sent, outcome } = answer(welcomeWith(`X-Ultrapeer-Needed: ${needed}`));
      assert.equal(sent, block('GNUTELLA/0.6 200 OK', 'Content-Encoding: deflate'));
      assert.equal(connected(outcome).peer.ultrapeerNeeded, needed === 'True');
    }
  });

  it('is refused by 204, 503 and other codes, harvests the hosts and sends no block 3', () => {
    for (const line of [
      '204 Shielded leaf node',
      '503 Too many leaf connections',
      '303 See other',
      '593 Hi',
      '100 Wait',
    ]) {
      const { sent, outcome } = answer(
        block(`GNUTELLA/0.6 ${line}`, 'X-Try-Ultrapeers: 198.51.100.1:6346, [2001:db8::5]:6346') + 'and some text',
      );
      assert.equal(sent, '', line);
      const { by, code, tryUltrapeers } = refused(outcome);
      assert.deepEqual([by, code], ['peer', Number(line.slice(0, 3))]);
      assert.deepEqual(tryUltrapeers, ['198.51.100.1:6346', '[2001:db8::5]:6346']);
    }
  });

  it('closes on 0.4 and on what is no status line', () => {
    assert.equal(failed(answer('GNUTELLA OK\n\n').outcome).reason, 'old-protocol');
    assert.equal(failed(answer('GNUTELLA/0.4 200 OK\r\n\r\n').outcome).reason, 'old-protocol');
    for (const text of [
      'HTTP/1.1 400 Bad Request\r\n\r\n',
      '\n\n',
      'GNUTELLA CONNECT/0.6\r\n\r\n',
      'GNUTELLA/0.6 OK\n\n',
    ]) {
      assert.equal(failed(answer(text).outcome).reason, 'not-gnutella', text);
    }
    connected(answer(WELCOME.replace('0.6', '0.7')).outcome);
  });

  it('closes on binary bytes before block 3', () => {
    const { sent, outcome } = answer(`${WELCOME}\0`);
    assert.equal(sent, '');
    assert.equal(failed(outcome).reason, 'extra-data');
  });

  it('fails without block 3 on deflate that it did not offer and on other codings', () => {
    const unoffered = answer(welcomeWith('Content-Encoding: deflate'), {
      local: { ...ULTRAPEER, acceptDeflate: false },
    });
    assert.deepEqual([unoffered.sent, failed(unoffered.outcome).reason], ['', 'unoffered-deflate']);
    const gzip = answer(welcomeWith('Content-Encoding: gzip'));
    assert.deepEqual([gzip.sent, failed(gzip.outcome).reason], ['', 'unsupported-encoding']);
    assert.equal(connected(answer(welcomeWith('Content-Encoding: deflate')).outcome).inflateIn, true);
  });

  it('fails in silence on a block over the limits', () => {
    const { sent, outcome } = answer(`GNUTELLA/0.6 200 OK\r\nX: ${'a'.repeat(1100)}`);
    assert.deepEqual([sent, failed(outcome).reason], ['', 'line-too-long']);
  });

  it('refuses in block 3 with the status line alone', () => {
    const decide = (): Decision => ({ accept: false, code: 503, reason: 'Not\r\nneeded' });
    const { sent, outcome } = answer(welcomeWith('X-Try-Ultrapeers: 198.51.100.1:1'), { decide });
    assert.equal(sent, 'GNUTELLA/0.6 503 Not needed\r\n\r\n');
    const { by, code, tryUltrapeers, peer } = refused(outcome);
    assert.deepEqual([by, code, tryUltrapeers, peer?.role], ['us', 503, ['198.51.100.1:1'], 'ultrapeer']);
  });

  it('refuses closed networks, Gnutella2 and upgrades to a TLS it did not offer, undecided', () => {
    const decide = (): Decision => assert.fail('decide was called');
    for (const [lines, status] of [
      [['X-Auth-Challenge: 1'], '403 Not a network member'],
      [['Content-Type: application/x-gnutella2'], '406 Protocol not acceptable'],
      [['Connection: Upgrade'], '400 Upgrade Header Missing'],
      [['Connection: Upgrade', 'Upgrade: TLS/1.0'], '409 Conflict'],
    ] as const) {
      const { sent, outcome } = answer(welcomeWith(...lines), { decide });
      assert.equal(sent, `GNUTELLA/0.6 ${status}\r\n\r\n`);
      assert.equal(refused(outcome).by, 'us');
    }
  });

  it('as a leaf takes ultrapeers with dynamic queries and degree 16, and refuses all else', () => {
    const as = (text: string): string =>
      answer(text, { local: LEAF, decide: decideAsLeaf }).sent.split('\r\n')[0] ?? '';
    const up = (degree: number): string => welcomeWith(`X-Degree: ${degree}`, 'X-Dynamic-Querying: 0.1');
    assert.equal(as(up(16)), 'GNUTELLA/0.6 200 OK');
    assert.match(as(up(15)), / 403 High Outdegree and Dynamic Querying Required$/);
    assert.match(as(welcomeWith('X-Degree: 32')), / 403 /);
    assert.match(as(WELCOME.replace('X-Ultrapeer: True', 'X-Ultrapeer: False')), / 204 Shielded leaf node$/);
  });

  it('lets the caller choose whether to keep a leaf that answers', () => {
    const decide = (peer: PeerCapabilities): Decision =>
      peer.role === 'leaf' ? { accept: true } : { accept: false, code: 503, reason: 'No ultrapeer slots' };
    const leaf = WELCOME.replace('X-Ultrapeer: True', 'X-Ultrapeer: False');
    assert.equal(connected(answer(leaf, { decide }).outcome).peer.role, 'leaf');
    assert.equal(refused(answer(WELCOME, { decide }).outcome).code, 503);
  });

  it('ends with the stream, once', () => {
    const handshake = initiating();
    handshake.receive(bytes('GNUTELLA/0.6 200 OK\r\n'));
    assert.equal(failed(handshake.end().outcome).reason, 'eof');
    assert.deepEqual(handshake.end(), {});
    assert.deepEqual(handshake.receive(bytes('\r\n')), {});
  });

  it("throws on the caller's own mistakes only", () => {
    const badHandshake = (error: unknown) => error instanceof GnutellaError && error.code === 'bad-handshake';
    const options = { local: ULTRAPEER, remoteIp: PEER_IP, decide: acceptAll };
    const early = new InitiatingHandshake(options);
    assert.throws(() => early.receive(bytes('x')), badHandshake);
    early.start();
    assert.throws(() => early.start(), badHandshake);
    const local = { ...ULTRAPEER, userAgent: 'gtk-gnutella/1.2' };
    assert.throws(() => new InitiatingHandshake({ ...options, local }), badHandshake);
    const impossible = initiating({ decide: () => ({ accept: false, code: 200, reason: 'OK' }) });
    assert.throws(() => impossible.receive(bytes(WELCOME)), badHandshake);
    const over = initiating();
    over.receive(bytes(WELCOME));
    assert.throws(() => over.receive(bytes('x')), badHandshake);
  });

  it('never throws on what a peer sends', () => {
    const piece = fc.oneof(
      fc.constantFrom(...WELCOME.split('\r\n'), WELCOME, peers.GTK_UP_WELCOME, '\r\n', '\n').map(bytes),
      fc.uint8Array({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const handshake = initiating();
        for (const one of pieces) if (handshake.receive(one).outcome?.kind === 'connected') return;
        handshake.end();
      }),
      { numRuns: 300 },
    );
  });
});
