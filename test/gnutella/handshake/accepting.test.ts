import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Decision, PeerCapabilities } from '@filbert/gnutella';
import { AcceptingHandshake, GnutellaError, MAX_CRAWLER_LIST_BYTES, MAX_OWN_BLOCK_BYTES } from '@filbert/gnutella';
import * as peers from './peers.ts';
import {
  LEAF,
  PEER_IP,
  ULTRAPEER,
  acceptAll,
  accepting,
  block,
  bytes,
  connected,
  failed,
  feed,
  readBlock,
  refused,
} from './support.ts';

const HELLO = block('GNUTELLA CONNECT/0.6', 'User-Agent: Example/1.0', 'X-Ultrapeer: True', 'Accept-Encoding: deflate');
const PING = '\x00'.repeat(16) + '\x00\x01\x00\x00\x00\x00\x00';

/** The outcome after a block 1 that must not be welcomed. */
function refusalOf(hello: string): ReturnType<typeof refused> & { sent: string } {
  const { sent, outcome } = feed(accepting(), [bytes(hello)]);
  return { ...refused(outcome), sent };
}

describe('handshake: accepting', () => {
  it('answers with the whole header set of an ultrapeer, within the limits of all readers', () => {
    const options = { decide: (): Decision => ({ accept: true, ultrapeerNeeded: true }) };
    const { send } = accepting(options).receive(bytes(HELLO));
    const { startLine, headers } = readBlock(send);
    assert.equal(startLine, 'GNUTELLA/0.6 200 OK');
    assert.deepEqual(Object.fromEntries(headers.entries), {
      Node: '203.0.113.7:6346',
      'Listen-IP': '203.0.113.7:6346',
      'Remote-IP': PEER_IP,
      'User-Agent': 'Filbert/0.1',
      'Pong-Caching': '0.1',
      'Bye-Packet': '0.1',
      GGEP: '0.5',
      GUID: '0f1e2d3c4b5a6978ff8796a5b4c3d200',
      'Vendor-Message': '0.2',
      'X-Query-Routing': '0.2',
      'X-Requeries': 'False',
      'Accept-Encoding': 'deflate',
      'X-Live-Since': 'Sat, 21 Nov 2026 01:00:00 +0000',
      'X-Ultrapeer': 'True',
      'X-Dynamic-Querying': '0.1',
      'X-Ultrapeer-Query-Routing': '0.1',
      'X-Degree': '32',
      'X-Max-TTL': '4',
      'X-Ext-Probes': '0.1',
      'X-Features': 'sflag/0.1',
      'Content-Encoding': 'deflate',
      'X-Ultrapeer-Needed': 'True',
    });
    assert.ok(headers.entries.length < 30 && (send?.length ?? 0) <= MAX_OWN_BLOCK_BYTES);
  });

  it('says X-Ultrapeer-Needed as decided: True, False or not at all', () => {
    for (const [needed, value] of [[true, 'True'] as const, [false, 'False'] as const]) {
      const { send } = accepting({ decide: () => ({ accept: true, ultrapeerNeeded: needed }) }).receive(bytes(HELLO));
      assert.equal(readBlock(send).headers.get('X-Ultrapeer-Needed'), value);
    }
    assert.equal(readBlock(accepting().receive(bytes(HELLO)).send).headers.has('X-Ultrapeer-Needed'), false);
  });

  it('leaves out what it does not have: address, GUID, features, GUESS, deflate', () => {
    const { userAgent, role, degree, maxTtl } = ULTRAPEER;
    const local = { userAgent, role, degree, maxTtl, acceptDeflate: false, offerDeflate: false, features: '' };
    const { headers } = readBlock(accepting({ local }).receive(bytes(HELLO)).send);
    for (const name of ['Node', 'Listen-IP', 'GUID', 'X-Features', 'X-Guess', 'X-Live-Since', 'Accept-Encoding']) {
      assert.equal(headers.has(name), false, name);
    }
    assert.equal(headers.has('Content-Encoding'), false);
  });

  it('names GUESS, an IPv6 address and hosts to try when told', () => {
    const local = { ...ULTRAPEER, guess: '0.2', listenAddress6: '[2001:db8::7]:6346' };
    const hosts = Array.from({ length: 12 }, (_, index) => `198.51.100.${index + 1}:6346`);
    const decide = (): Decision => ({ accept: true, tryUltrapeers: hosts });
    const { headers } = readBlock(accepting({ local, decide }).receive(bytes(HELLO)).send);
    assert.equal(headers.get('X-Guess'), '0.2');
    assert.equal(headers.get('Node-IPv6'), '[2001:db8::7]:6346');
    assert.equal(headers.get('X-Try-Ultrapeers'), hosts.slice(0, 10).join(', '));
  });

  it("answers X-Query-Routing with the smaller of the peer's and ours", () => {
    for (const [theirs, answer] of [
      ['0.1', '0.1'],
      ['0.2', '0.2'],
      ['0.9', '0.2'],
    ] as const) {
      const hello = block('GNUTELLA CONNECT/0.6', 'X-Ultrapeer: False', `X-Query-Routing: ${theirs}`);
      assert.equal(readBlock(accepting().receive(bytes(hello)).send).headers.get('X-Query-Routing'), answer);
    }
  });

  for (const version of ['0.6', '0.7', '1.0', '0.10']) {
    it(`speaks 0.6 to GNUTELLA CONNECT/${version}`, () => {
      const { send } = accepting().receive(bytes(block(`GNUTELLA CONNECT/${version}`, 'X-Ultrapeer: True')));
      assert.equal(readBlock(send).startLine, 'GNUTELLA/0.6 200 OK');
    });
  }

  it('closes on 0.4 in silence', () => {
    for (const hello of ['GNUTELLA CONNECT/0.4\n\n', 'GNUTELLA CONNECT/0.5\r\nX-Ultrapeer: True\r\n\r\n']) {
      const { sent, outcome } = feed(accepting(), [bytes(hello)]);
      assert.equal(sent, '');
      assert.equal(failed(outcome).reason, 'old-protocol');
    }
  });

  it('closes in silence on what is no connect line', () => {
    for (const line of ['GNUTELLA CONNECT/', 'GNUTELLA CONNECT/abc', 'GET / HTTP/1.1', '']) {
      const { sent, outcome } = feed(accepting(), [bytes(`${line}\r\n\r\n`)]);
      assert.equal(sent, '');
      assert.equal(failed(outcome).reason, 'not-gnutella', line);
    }
  });

  it('closes on bytes after block 1', () => {
    const { sent, outcome } = feed(accepting(), [bytes(`${HELLO}x`)]);
    assert.equal(sent, '');
    assert.equal(failed(outcome).reason, 'extra-data');
  });

  it('tells 413 for a line, a number of lines or a block over the limit', () => {
    const lines = Array.from({ length: 129 }, (_, index) => `H${index}: v`);
    for (const [hello, reason] of [
      [`GNUTELLA CONNECT/0.6\r\nX: ${'a'.repeat(1022)}\r\n`, 'line-too-long'],
      [block('GNUTELLA CONNECT/0.6', ...lines), 'too-many-lines'],
      [`GNUTELLA CONNECT/0.6\r\n${`X: ${'a'.repeat(1000)}\r\n`.repeat(17)}`, 'block-too-large'],
    ] as const) {
      const { sent, outcome } = feed(accepting(), [bytes(hello)]);
      assert.equal(failed(outcome).reason, reason);
      const { startLine, headers } = readBlock(bytes(sent));
      assert.match(startLine, /^GNUTELLA\/0\.6 413 /);
      assert.equal(headers.get('User-Agent'), 'Filbert/0.1');
    }
  });

  it('has no outcome without the blank line, until the stream or the time ends', () => {
    const handshake = accepting();
    assert.deepEqual(handshake.receive(bytes(HELLO.slice(0, -2))), {});
    assert.equal(failed(handshake.end().outcome).reason, 'eof');
    assert.deepEqual(handshake.end(), {}, 'one outcome only');
    assert.deepEqual(handshake.receive(bytes('\r\n')), {});
  });

  it('refuses with the decided code, text and hosts, and calls decide once', () => {
    const seen: PeerCapabilities[] = [];
    const decide = (peer: PeerCapabilities): Decision => {
      seen.push(peer);
      return {
        accept: false,
        code: 503,
        reason: 'Too many leaf connections (300 max)',
        tryUltrapeers: ['198.51.100.1:1'],
      };
    };
    const { sent, outcome } = feed(accepting({ decide }), [bytes(HELLO), bytes('whatever comes')]);
    assert.equal(seen.length, 1);
    assert.equal(seen[0]?.userAgent, 'Example/1.0');
    assert.equal(
      sent,
      block(
        'GNUTELLA/0.6 503 Too many leaf connections (300 max)',
        'User-Agent: Filbert/0.1',
        `Remote-IP: ${PEER_IP}`,
        'X-Ultrapeer: True',
        'X-Try-Ultrapeers: 198.51.100.1:1',
      ),
    );
    const { by, code, peer } = refused(outcome);
    assert.deepEqual([by, code, peer], ['us', 503, seen[0]]);
  });

  it('refuses a second link with the same GUID when the caller knows the first', () => {
    const links = new Set<string>();
    const decide = (peer: PeerCapabilities): Decision => {
      const guid = Buffer.from(peer.guid ?? []).toString('hex');
      if (links.has(guid)) return { accept: false, code: 409, reason: 'Already connected' };
      links.add(guid);
      return { accept: true };
    };
    assert.match(feed(accepting({ decide }), [bytes(peers.GTK_UP_HELLO)]).sent, /^GNUTELLA\/0\.6 200 /);
    const second = feed(accepting({ decide }), [bytes(peers.GTK_UP_HELLO)]);
    assert.equal(refused(second.outcome).code, 409);
    assert.doesNotMatch(second.sent, /X-Ultrapeer/);
  });

  it('refuses Gnutella2 alone with 406, and neither decides nor names hosts', () => {
    const decide = (): Decision => assert.fail('decide was called');
    const hello = block('GNUTELLA CONNECT/0.6', 'Accept: application/x-gnutella2', 'X-Hub: False');
    const { sent, outcome } = feed(accepting({ decide }), [bytes(hello)]);
    assert.match(sent, /^GNUTELLA\/0\.6 406 Protocol not acceptable\r\n/);
    assert.equal(refused(outcome).code, 406);
  });

  it('names the Gnutella media type to a peer that sent Accept with both', () => {
    const accept = 'Accept: application/x-gnutella2, application/x-gnutella-packets';
    const { send } = accepting().receive(bytes(block('GNUTELLA CONNECT/0.6', accept, 'X-Ultrapeer: True')));
    assert.equal(readBlock(send).headers.get('Content-Type'), 'application/x-gnutella-packets');
  });

  it('refuses closed networks with 403 and Foxy with 406', () => {
    for (const header of ['X-Auth-Challenge: 1', 'FP-Auth-Challenge: 1']) {
      const { code, reason } = refusalOf(block('GNUTELLA CONNECT/0.6', header, 'X-Ultrapeer: True'));
      assert.deepEqual([code, reason], [403, 'Not a network member']);
    }
    assert.equal(refusalOf(block('GNUTELLA CONNECT/0.6', 'User-Agent: Foxy/1.9.2', 'X-Ultrapeer: True')).code, 406);
    assert.match(feed(accepting(), [bytes(HELLO.replace('Example', 'Foxyish'))]).sent, / 200 OK/);
  });

  it('refuses a Content-Encoding in block 1: nobody has offered to inflate', () => {
    for (const coding of ['deflate', 'gzip']) {
      const hello = HELLO.replace('\r\n\r\n', `\r\nContent-Encoding: ${coding}\r\n\r\n`);
      assert.equal(refusalOf(hello).code, 400, coding);
    }
  });

  describe('block 3', () => {
    const ends = (final: string, options: Parameters<typeof accepting>[0] = {}, hello = HELLO) =>
      feed(accepting(options), [bytes(hello), bytes(final)]).outcome;

    it('connects on any 2xx but 204, and keeps binary bytes glued to it', () => {
      const link = connected(ends(block('GNUTELLA/0.6 200 OK') + PING));
      assert.equal(Buffer.from(link.rest).toString('latin1'), PING);
      assert.deepEqual([link.inflateIn, link.deflateOut], [false, true]);
      assert.equal(connected(ends(block('GNUTELLA/0.6 299 Fine'))).rest.length, 0);
      assert.equal(refused(ends(block('GNUTELLA/0.6 204 Shielded leaf node'))).by, 'peer');
    });

    it('is a refusal by the peer when not 2xx, with the hosts it names', () => {
      const outcome = refused(ends(block('GNUTELLA/0.6 503 Busy now', 'X-Try-Ultrapeers: 198.51.100.1:1')));
      assert.deepEqual([outcome.by, outcome.code, outcome.reason], ['peer', 503, 'Busy now']);
      assert.deepEqual(outcome.tryUltrapeers, ['198.51.100.1:1']);
    });

    it('makes a leaf of an ultrapeer that takes the demotion, but no ultrapeer of a leaf', () => {
      const demoted = ends(block('GNUTELLA/0.6 200 OK', 'X-Ultrapeer: False'));
      assert.equal(connected(demoted).peer.role, 'leaf');
      assert.equal(connected(ends(block('GNUTELLA/0.6 200 OK'))).peer.role, 'ultrapeer');
      const leaf = HELLO.replace('X-Ultrapeer: True', 'X-Ultrapeer: False');
      assert.equal(connected(ends(block('GNUTELLA/0.6 200 OK', 'X-Ultrapeer: True'), {}, leaf)).peer.role, 'leaf');
    });

    it('asks again with the settled role, and may end with a BYE', () => {
      const roles: string[] = [];
      const decideFinal = (peer: PeerCapabilities): Decision => {
        roles.push(peer.role);
        return peer.role === 'leaf'
          ? { accept: true }
          : { accept: false, code: 503, reason: 'Too many ultra connections' };
      };
      connected(ends(block('GNUTELLA/0.6 200 OK', 'X-Ultrapeer: False'), { decideFinal }));
      const outcome = refused(ends(block('GNUTELLA/0.6 200 OK'), { decideFinal }));
      assert.deepEqual(roles, ['leaf', 'ultrapeer']);
      assert.deepEqual([outcome.by, outcome.code, outcome.afterBlock3], ['us', 503, { deflateOut: true }]);
    });

    it('fixes X-Query-Routing, and leaves capabilities of block 1 alone otherwise', () => {
      const hello = HELLO.replace('\r\n\r\n', '\r\nX-Query-Routing: 0.2\r\nX-Degree: 40\r\n\r\n');
      const final = block('GNUTELLA/0.6 200 OK', 'X-Query-Routing: 0.1', 'X-Degree: 3', 'User-Agent: Other/2');
      const { peer } = connected(ends(final, {}, hello));
      assert.deepEqual([peer.queryRouting, peer.degree, peer.userAgent], [0.1, 40, 'Example/1.0']);
    });

    it('inflates only when offered: deflate without our offer and any other coding fail', () => {
      const deflate = block('GNUTELLA/0.6 200 OK', 'Content-Encoding: deflate');
      const offered = connected(ends(deflate));
      assert.deepEqual([offered.inflateIn, offered.peer.sendsDeflate], [true, true]);
      const local = { ...ULTRAPEER, acceptDeflate: false };
      assert.equal(failed(ends(deflate, { local })).reason, 'unoffered-deflate');
      const gzip = block('GNUTELLA/0.6 200 OK', 'Content-Encoding: gzip');
      assert.equal(failed(ends(gzip)).reason, 'unsupported-encoding');
    });

    it('fails on a TLS upgrade that was not offered, on garbage and on too long a line', () => {
      const upgrade = block('GNUTELLA/0.6 200 OK', 'Connection: Upgrade');
      assert.equal(failed(ends(upgrade)).reason, 'unoffered-upgrade');
      assert.equal(failed(ends('HTTP/1.1 200 OK\r\n\r\n')).reason, 'not-gnutella');
      const { sent, outcome } = feed(accepting(), [bytes(HELLO), bytes('x'.repeat(1100))]);
      assert.equal(failed(outcome).reason, 'line-too-long');
      assert.doesNotMatch(sent, /413/);
    });

    it('that never comes is the end of the stream', () => {
      const handshake = accepting();
      handshake.receive(bytes(HELLO));
      assert.equal(failed(handshake.end().outcome).reason, 'eof');
    });
  });

  it('deflates only if the peer inflates, we may, and the decision does not say otherwise', () => {
    const out = (hello: string, options: Parameters<typeof accepting>[0] = {}): boolean => {
      const { sent, outcome } = feed(accepting(options), [bytes(hello), bytes(peers.FINAL_PLAIN)]);
      const { deflateOut } = connected(outcome);
      assert.equal(/Content-Encoding: deflate/.test(sent), deflateOut, 'what is said is what is done');
      return deflateOut;
    };
    assert.equal(out(HELLO), true);
    assert.equal(out(HELLO.replace('deflate', 'gzip')), false);
    assert.equal(out(HELLO, { local: { ...ULTRAPEER, offerDeflate: false } }), false);
    assert.equal(out(HELLO, { decide: () => ({ accept: true, deflate: false }) }), false);
  });

  describe('crawlers', () => {
    const CRAWLER = block('GNUTELLA CONNECT/0.6', 'User-Agent: Crawl/1.0', 'X-Ultrapeer: False', 'Crawler: 0.1');

    it('get Peers and Leaves, not the slot rules, and end after block 3', () => {
      const handshake = accepting({
        decide: () => assert.fail('decide was called'),
        decideCrawler: () => ({
          accept: true,
          peers: ['198.51.100.1:1', '198.51.100.2:2'],
          leaves: ['198.51.100.3:3'],
        }),
      });
      const { sent, outcome } = feed(handshake, [bytes(CRAWLER), bytes(peers.FINAL_PLAIN + PING)]);
      const { startLine, headers } = readBlock(bytes(sent));
      assert.equal(startLine, 'GNUTELLA/0.6 200 OK');
      assert.equal(headers.get('Peers'), '198.51.100.1:1, 198.51.100.2:2');
      assert.equal(headers.get('Leaves'), '198.51.100.3:3');
      assert.equal(headers.get('X-Live-Since'), 'Sat, 21 Nov 2026 01:00:00 +0000');
      assert.ok(outcome?.kind === 'crawler');
      assert.equal(Buffer.from(outcome.rest).toString('latin1'), PING);
    });

    it('are done too when they leave without block 3', () => {
      const handshake = accepting();
      handshake.receive(bytes(CRAWLER));
      assert.equal(handshake.end().outcome?.kind, 'crawler');
    });

    it('get no leaves from a leaf', () => {
      const decideCrawler = () => ({ accept: true as const, peers: ['198.51.100.1:1'], leaves: ['198.51.100.3:3'] });
      const { send } = accepting({ local: LEAF, decideCrawler }).receive(bytes(CRAWLER));
      assert.equal(readBlock(send).headers.has('Leaves'), false);
    });

    it('are refused when they come too often', () => {
      const decideCrawler = () => ({ accept: false as const, code: 403, reason: 'Too frequent crawling' });
      const { sent, outcome } = feed(accepting({ decideCrawler }), [bytes(CRAWLER)]);
      assert.match(sent, /^GNUTELLA\/0\.6 403 Too frequent crawling\r\n/);
      assert.equal(refused(outcome).code, 403);
    });

    it('get 8 KiB at the most, both lists filled', () => {
      const many = Array.from({ length: 5000 }, (_, index) => `198.51.${index >> 8}.${index & 255}:6346`);
      const sizes = (count: [peers: number, leaves: number]): [number, number] => {
        const lists = { peers: many.slice(0, count[0]), leaves: many.slice(0, count[1]) };
        const { send } = accepting({ decideCrawler: () => ({ accept: true, ...lists }) }).receive(bytes(CRAWLER));
        const { headers } = readBlock(send);
        return [headers.get('Peers')?.length ?? 0, headers.get('Leaves')?.length ?? 0];
      };
      const [bothPeers, bothLeaves] = sizes([5000, 5000]);
      assert.ok(bothPeers + bothLeaves <= MAX_CRAWLER_LIST_BYTES && bothPeers > 4000 && bothLeaves > 4000);
      const [fewPeers, manyLeaves] = sizes([2, 5000]);
      assert.ok(fewPeers < 40 && manyLeaves > 8000 && fewPeers + manyLeaves <= MAX_CRAWLER_LIST_BYTES);
      const [manyPeers, fewLeaves] = sizes([5000, 2]);
      assert.ok(fewLeaves > 20 && manyPeers > 8000 && manyPeers + fewLeaves <= MAX_CRAWLER_LIST_BYTES);
    });
  });

  it("throws on the caller's own mistakes only", () => {
    const badHandshake = (error: unknown) => error instanceof GnutellaError && error.code === 'bad-handshake';
    for (const wrong of [{ userAgent: 'LimeWire/5.6' }, { degree: 0 }, { maxTtl: 256 }, { guid: Buffer.alloc(15) }]) {
      const local = { ...ULTRAPEER, ...wrong };
      assert.throws(() => new AcceptingHandshake({ local, remoteIp: PEER_IP, decide: acceptAll }), badHandshake);
    }
    const inviting = accepting({ decide: () => ({ accept: false, code: 200, reason: 'OK' }) });
    assert.throws(() => inviting.receive(bytes(HELLO)), badHandshake);
    const over = accepting();
    feed(over, [bytes(HELLO), bytes(peers.FINAL_PLAIN)]);
    assert.throws(() => over.receive(bytes('x')), badHandshake, "the link's bytes would be lost");
  });

  it('never throws on what a peer sends', () => {
    const lines = HELLO.split('\r\n');
    const piece = fc.oneof(
      fc.constantFrom(...lines, HELLO, peers.FINAL_DEFLATE, '\r\n', '\n', 'Crawler: 0.1\r\n').map(bytes),
      fc.uint8Array({ maxLength: 40 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const handshake = accepting();
        for (const one of pieces) if (handshake.receive(one).outcome?.kind === 'connected') return;
        handshake.end();
      }),
      { numRuns: 300 },
    );
  });
});
