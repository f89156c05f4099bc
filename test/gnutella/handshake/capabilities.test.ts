import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { PeerCapabilities } from '@filbert/gnutella';
import {
  DEFAULT_DEGREE,
  DEFAULT_MAX_TTL,
  HandshakeHeaders,
  MAX_LISTED_ADDRESSES,
  isGoodLeaf,
  isGoodUltrapeer,
  parseConnectLine,
  parseStatusLine,
  readCapabilities,
} from '@filbert/gnutella';
import { GTK_LEAF_HELLO, GTK_UP_HELLO, LIMEWIRE_LEAF_HELLO, LIMEWIRE_UP_HELLO } from './peers.ts';
import { LEAF, ULTRAPEER, accepting, bytes, readBlock } from './support.ts';

const caps = (...lines: string[]): PeerCapabilities =>
  readCapabilities(
    new HandshakeHeaders(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
    ),
  );

const ofBlock = (text: string): PeerCapabilities => readCapabilities(readBlock(bytes(text)).headers);

describe('handshake: capabilities', () => {
  it('gives every absent header its default', () => {
    const { features, ...rest } = caps();
    assert.equal(features.size, 0);
    assert.deepEqual(rest, {
      role: 'none',
      userAgent: undefined,
      listenAddress: undefined,
      listenAddress6: undefined,
      remoteIp: undefined,
      ultrapeerNeeded: undefined,
      acceptsDeflate: false,
      sendsDeflate: false,
      contentEncoding: 'none',
      pongCaching: false,
      bye: false,
      ggep: false,
      vendorMessage: false,
      queryRouting: 0,
      ultrapeerQueryRouting: false,
      dynamicQuerying: false,
      degree: DEFAULT_DEGREE,
      maxTtl: DEFAULT_MAX_TTL,
      extProbes: false,
      guess: false,
      requeries: true,
      sflag: false,
      tls: false,
      hsep: false,
      browse: false,
      liveSince: undefined,
      uptimeSeconds: undefined,
      guid: undefined,
      crawler: false,
      upgradeTls: false,
      connectionUpgrade: false,
      tryUltrapeers: [],
      accept: undefined,
      speaksGnutella: true,
      authChallenge: undefined,
    });
    assert.equal(DEFAULT_DEGREE, 8);
    assert.equal(DEFAULT_MAX_TTL, 7);
  });

  it("reads all of gtk-gnutella's block", () => {
    const peer = ofBlock(GTK_UP_HELLO);
    assert.equal(peer.role, 'ultrapeer');
    assert.equal(peer.userAgent, 'gtk-gnutella/1.2.3 (2024-03-03; Topless; Linux x86_64)');
    assert.equal(peer.listenAddress, '198.51.100.20:27853');
    assert.equal(peer.remoteIp, '203.0.113.7');
    assert.ok(peer.acceptsDeflate && peer.pongCaching && peer.bye && peer.ggep && peer.vendorMessage && peer.guess);
    assert.ok(peer.ultrapeerQueryRouting && peer.dynamicQuerying && peer.extProbes && peer.sflag && peer.tls);
    assert.ok(peer.hsep && peer.upgradeTls && !peer.browse && !peer.connectionUpgrade && !peer.requeries);
    assert.equal(peer.queryRouting, 0.2);
    assert.equal(peer.degree, 71);
    assert.equal(peer.maxTtl, 4);
    assert.equal(peer.features.get('hsep'), '0.2');
    assert.equal(peer.liveSince?.toISOString(), '2026-11-21T01:00:00.000Z');
    assert.equal(Buffer.from(peer.guid ?? []).toString('hex'), 'a1b2c3d4e5f60718ff2a3b4c5d6e7f00');
    assert.equal(ofBlock(GTK_LEAF_HELLO).role, 'leaf');
    assert.equal(ofBlock(GTK_LEAF_HELLO).extProbes, false);
  });

  it("reads LimeWire's block: Listen-IP, no Bye-Packet, lower-case false", () => {
    const peer = ofBlock(LIMEWIRE_LEAF_HELLO);
    assert.equal(peer.listenAddress, '198.51.100.20:31337');
    assert.equal(peer.bye, false);
    assert.equal(peer.requeries, false);
    assert.equal(peer.maxTtl, 3);
  });

  it('tells roles: True, False, neither, and BearShare without X-Ultrapeer', () => {
    assert.equal(caps('X-UltraPeer: true').role, 'ultrapeer');
    assert.equal(caps('X-Ultrapeer: FALSE').role, 'leaf');
    assert.equal(caps('X-Ultrapeer: perhaps').role, 'none');
    const bearshare = caps('User-Agent: BearShare 5.2', 'X-Ultrapeer-Needed: True');
    assert.equal(bearshare.role, 'ultrapeer');
    assert.equal(bearshare.ultrapeerNeeded, true);
    assert.equal(caps('X-Ultrapeer: False', 'X-Ultrapeer-Needed: False').role, 'leaf');
    assert.equal(caps('X-Ultrapeer: True', 'X-Ultrapeer: False').role, 'ultrapeer', 'the first wins');
  });

  it('uses the default for an X-Degree outside 1…1000 or no number', () => {
    assert.equal(caps('X-Degree: 1').degree, 1);
    assert.equal(caps('X-Degree: 1000').degree, 1000);
    for (const value of ['0', '5000', '1001', '-3', 'abc', '', '32 leaves', '9'.repeat(400)]) {
      assert.equal(caps(`X-Degree: ${value}`).degree, DEFAULT_DEGREE, value);
    }
  });

  it('uses the default for an X-Max-TTL outside 1…255 or no number', () => {
    assert.equal(caps('X-Max-TTL: 1').maxTtl, 1);
    assert.equal(caps('X-Max-TTL: 255').maxTtl, 255);
    for (const value of ['0', '256', 'abc', '4.5']) assert.equal(caps(`X-Max-TTL: ${value}`).maxTtl, 7, value);
  });

  it('counts only the exact token deflate', () => {
    for (const value of ['deflate', 'gzip, deflate', 'DEFLATE', ' deflate ,gzip']) {
      assert.equal(caps(`Accept-Encoding: ${value}`).acceptsDeflate, true, value);
    }
    for (const value of ['deflated', 'x-deflate', 'gzip', 'deflate;q=0', 'de flate', '']) {
      assert.equal(caps(`Accept-Encoding: ${value}`).acceptsDeflate, false, value);
    }
    assert.equal(caps('Accept-Encoding: gzip', 'Accept-Encoding: deflate').acceptsDeflate, true, 'joined');
    assert.equal(caps('Content-Encoding: deflate').sendsDeflate, true);
    assert.equal(caps('Content-Encoding: identity').contentEncoding, 'none');
    for (const value of ['gzip', 'deflate, gzip', 'deflate2']) {
      assert.equal(caps(`Content-Encoding: ${value}`).contentEncoding, 'unsupported', value);
      assert.equal(caps(`Content-Encoding: ${value}`).sendsDeflate, false, value);
    }
  });

  it('compares versions: 0.0 is no probe support, 0.1 and later are, garbage is not', () => {
    assert.equal(caps('X-Ext-Probes: 0.0').extProbes, false);
    for (const value of ['0.1', '0.10', '1.0', '2'])
      assert.equal(caps(`X-Ext-Probes: ${value}`).extProbes, true, value);
    for (const value of ['', 'yes', '0.1beta', '.1', '-1']) {
      assert.equal(caps(`X-Ext-Probes: ${value}`).extProbes, false, value);
    }
    assert.equal(caps('GGEP: 0.4').ggep, false);
    assert.equal(caps('GGEP: 0.5').ggep, true);
  });

  it('never takes X-Query-Routing beyond 0.2', () => {
    const read = (value: string): number => caps(`X-Query-Routing: ${value}`).queryRouting;
    assert.deepEqual(['0.0', '0.1', '0.2', '0.3', '1.0', 'x'].map(read), [0, 0.1, 0.2, 0.2, 0.2, 0]);
  });

  it('parses addresses leniently, IPv4 first, and passes over what is none', () => {
    assert.equal(caps('Node: 198.51.100.1:6346, [2001:db8::5]:6347').listenAddress, '198.51.100.1:6346');
    assert.equal(caps('Node: 198.51.100.1:6346, [2001:DB8::5]:6347').listenAddress6, '[2001:db8::5]:6347');
    assert.equal(caps('Node-IPv6: [2001:db8::5]:1').listenAddress, '[2001:db8::5]:1');
    assert.equal(caps('X-My-Address:   198.51.100.1:0006346').listenAddress, undefined);
    assert.equal(caps('X-My-Address: 198.51.100.1:06346 ').listenAddress, '198.51.100.1:6346');
    assert.equal(caps('Node: junk', 'Listen-IP: 198.51.100.2:6346').listenAddress, '198.51.100.2:6346');
    assert.equal(caps('Node: [::ffff:198.51.100.3]:80').listenAddress, '198.51.100.3:80');
    const none = ['0.0.0.0:0', '1.2.3:6346', '1.2.3.256:6346', '1.2.3.4', '1.2.3.4:65536', '[1::2::3]:1', '[:::]:1'];
    for (const value of [...none, '[1:2:3:4:5:6:7]:1', '[1:2:3:4:5:6:7:8:9]:1', '[12345::]:1', 'host.example:1', '']) {
      assert.equal(caps(`Node: ${value}`).listenAddress, undefined, value);
    }
    assert.equal(caps('Node: [1:2:3:4:5:6:1.2.3.4]:1').listenAddress, '[1:2:3:4:5:6:102:304]:1');
    assert.equal(caps('Remote-IP: 2001:db8::9').remoteIp, '2001:db8::9');
    assert.equal(caps('Remote-IP: ::ffff:203.0.113.7').remoteIp, '203.0.113.7');
    assert.equal(caps('Remote-IP: me').remoteIp, undefined);
  });

  it(`takes at most ${MAX_LISTED_ADDRESSES} distinct hosts to try, out of a list of 10,000 too`, () => {
    const list = Array.from({ length: 10_000 }, (_, index) => `198.51.${index >> 8}.${index & 255}:6346`);
    assert.deepEqual(caps(`X-Try-Ultrapeers: ${list.join(',')}`).tryUltrapeers, list.slice(0, MAX_LISTED_ADDRESSES));
    assert.deepEqual(caps('X-Try-Ultrapeers: x, 198.51.100.1:1,198.51.100.1:1 ,[2001:db8::5]:2').tryUltrapeers, [
      '198.51.100.1:1',
      '[2001:db8::5]:2',
    ]);
    assert.deepEqual(caps('X-Try: 198.51.100.1:1', 'X-Try-Hubs: 198.51.100.2:1').tryUltrapeers, []);
  });

  it('matches features by whole name, in any case', () => {
    const peer = caps('X-Features: SFlag/0.1, tlsx/1.0, browse, IP/6.4, /1.0, sflag/9.9');
    assert.equal(peer.features.get('sflag'), '0.1');
    assert.ok(peer.sflag && peer.browse && !peer.tls);
    assert.equal(peer.features.get('ip'), '6.4');
    assert.deepEqual([...peer.features.keys()], ['sflag', 'tlsx', 'browse', 'ip']);
  });

  it('takes a GUID of 32 hex digits only, and not zero', () => {
    assert.equal(caps('GUID: A1B2C3D4E5F60718FF2A3B4C5D6E7F00').guid?.length, 16);
    for (const value of ['a1b2', 'g'.repeat(32), '0'.repeat(32), 'a'.repeat(33)]) {
      assert.equal(caps(`GUID: ${value}`).guid, undefined, value);
    }
  });

  it('reads start times and the older Uptime', () => {
    assert.equal(caps('X-Live-Since: yesterday').liveSince, undefined);
    assert.equal(caps('Uptime: 3D 04H 12M').uptimeSeconds, 3 * 86_400 + 4 * 3600 + 12 * 60);
    assert.equal(caps('Uptime: long').uptimeSeconds, undefined);
  });

  it('tells who speaks Gnutella: both media types do, Gnutella2 alone does not', () => {
    assert.equal(caps('Accept: application/x-gnutella2').speaksGnutella, false);
    const both = caps('Accept: application/x-gnutella2, application/x-gnutella-packets;v=1');
    assert.equal(both.speaksGnutella, true);
    assert.deepEqual(both.accept, ['application/x-gnutella2', 'application/x-gnutella-packets']);
    assert.equal(caps('Content-Type: application/x-gnutella2').speaksGnutella, false);
    assert.equal(caps('Accept: ').speaksGnutella, true);
  });

  it('sees closed networks and TLS upgrades', () => {
    assert.equal(caps('X-Auth-Challenge: 42').authChallenge, '42');
    assert.equal(caps('FP-Auth-Challenge: ').authChallenge, '');
    assert.equal(caps('Upgrade: TLS/1.0').upgradeTls, true);
    assert.equal(caps('Upgrade: websocket').upgradeTls, false);
    assert.equal(caps('Connection: keep-alive, Upgrade').connectionUpgrade, true);
  });

  it('reads any headers without throwing', () => {
    const names = [
      'X-Ultrapeer',
      'Node',
      'X-Try-Ultrapeers',
      'X-Degree',
      'GUID',
      'X-Live-Since',
      'X-Features',
      'Accept',
    ];
    const header = fc.tuple(fc.constantFrom(...names, 'Accept-Encoding', 'Uptime', 'Remote-IP'), fc.string());
    fc.assert(
      fc.property(fc.array(header, { maxLength: 20 }), (list) => {
        const peer = readCapabilities(new HandshakeHeaders(list));
        return (
          peer.degree >= 1 &&
          peer.degree <= 1000 &&
          peer.maxTtl >= 1 &&
          peer.tryUltrapeers.length <= MAX_LISTED_ADDRESSES
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe("handshake: LimeWire's bar for good peers", () => {
  it('is met by what we say as ultrapeer and as leaf', () => {
    for (const local of [ULTRAPEER, LEAF]) {
      const { send } = accepting({ local }).receive(bytes(LIMEWIRE_UP_HELLO));
      const ours = readCapabilities(readBlock(send).headers);
      assert.ok(isGoodUltrapeer(ours) && isGoodLeaf(ours));
    }
  });

  it('asks for degree, ultrapeer query routing, TTL and dynamic queries', () => {
    const good = ['X-Degree: 15', 'X-Ultrapeer-Query-Routing: 0.1', 'X-Max-TTL: 4', 'X-Dynamic-Querying: 0.1'];
    assert.ok(isGoodUltrapeer(caps(...good)));
    for (const without of good) assert.ok(!isGoodUltrapeer(caps(...good.filter((line) => line !== without))), without);
    assert.ok(!isGoodUltrapeer(caps('X-Degree: 14', ...good)), 'the first X-Degree counts');
    assert.ok(!isGoodUltrapeer(caps('X-Max-TTL: 5', ...good)), 'the first X-Max-TTL counts');
    assert.ok(!isGoodLeaf(caps(...good)), 'a stranger that may requery');
    assert.ok(isGoodLeaf(caps(...good, 'X-Requeries: False')));
    assert.ok(isGoodLeaf(caps(...good, 'User-Agent: WireShare/6.0')));
  });
});

describe('handshake: start lines', () => {
  it('splits status lines into code and message', () => {
    const codeAndReason = (line: string): unknown => {
      const status = parseStatusLine(line);
      return status && [status.code, status.reason];
    };
    assert.deepEqual(codeAndReason('GNUTELLA/0.6 200 OK'), [200, 'OK']);
    assert.deepEqual(codeAndReason('GNUTELLA/0.6 503 Service Unavailable'), [503, 'Service Unavailable']);
    assert.deepEqual(codeAndReason('GNUTELLA/0.6 593 Hi'), [593, 'Hi']);
    assert.deepEqual(codeAndReason('GNUTELLA/0.6 403 I do: not like you!'), [403, 'I do: not like you!']);
    assert.deepEqual(codeAndReason('GNUTELLA/0.6 200'), [200, '']);
    for (const line of [
      'GNUTELLA OK',
      'HTTP/1.1 200 OK',
      'GNUTELLA/0.6',
      'GNUTELLA/0.6 20 OK',
      'GNUTELLA/0.6 2000',
      '',
    ]) {
      assert.equal(codeAndReason(line), undefined, line);
    }
  });

  it('takes connect lines of any version and nothing else', () => {
    assert.deepEqual(parseConnectLine('GNUTELLA CONNECT/0.6'), { major: 0, minor: 6 });
    assert.deepEqual(parseConnectLine('GNUTELLA CONNECT/1.12'), { major: 1, minor: 12 });
    for (const line of ['GNUTELLA CONNECT', 'GNUTELLA CONNECT/x', 'GNUTELLA CONNECT/0.6 now', 'gnutella connect/0.6']) {
      assert.equal(parseConnectLine(line), undefined, line);
    }
  });
});
