import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  canonicalHost,
  classifyHost,
  formatAddressList,
  formatPeerAddress,
  GnutellaError,
  hostFromIpv6Bytes,
  ipv4FromText,
  ipv4ToText,
  ipv6FromText,
  ipv6ToText,
  isUsableIpv4,
  isUsablePeerAddress,
  MAX_LISTED_ADDRESSES,
  parseAddressList,
  parsePeerAddress,
  parseTryUltrapeers,
  peerAddress,
} from '@filbert/gnutella';
import { vectorNamed } from '../vectors.ts';

describe('address: text', () => {
  it('brings any IPv4 number and any IPv6 bytes back', () => {
    fc.assert(fc.property(fc.nat(0xffffffff), (ip) => assert.equal(ipv4FromText(ipv4ToText(ip)), ip)));
    const groups = fc.array(fc.constantFrom(0, 0, 1, 0xdb8, 0xffff), { minLength: 8, maxLength: 8 });
    const addresses = fc.oneof(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      groups.map((list) => Uint8Array.from(list.flatMap((group) => [group >>> 8, group & 255]))),
    );
    fc.assert(fc.property(addresses, (bytes) => assert.deepEqual(ipv6FromText(ipv6ToText(bytes)), bytes)));
  });

  it('writes IPv6 in the canonical form, and IPv4-mapped as IPv4', () => {
    for (const [text, canonical] of [
      ['2001:DB8:0:0:0:0:0:5', '2001:db8::5'],
      ['[2001:db8::5]', '2001:db8::5'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['::', '::'],
      ['1::', '1::'],
      ['::ffff:192.0.2.1', '192.0.2.1'],
      ['::ffff:c000:201', '192.0.2.1'],
      ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ] as const) {
      assert.equal(canonicalHost(text), canonical, text);
    }
    assert.equal(hostFromIpv6Bytes(ipv6FromText('::1') ?? new Uint8Array(16)), '::1');
  });

  it('refuses what is no numeric address', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '256.1.1.1',
      '1.2.3.-4',
      '0x1.2.3.4',
      '1e1.2.3.4',
      'example.com',
      '[1.2.3.4]',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      '12345::',
      'fe80::1%eth0',
      '::1.2.3',
      '1.2.3.4::',
      ':1:2:3:4:5:6:7',
    ]) {
      assert.equal(canonicalHost(text), undefined, text);
    }
  });

  it('reads and writes addresses with their ports', () => {
    for (const text of ['203.0.113.7:6346', '[2001:db8::5]:6346', '1.2.3.4:65535']) {
      const address = parsePeerAddress(` ${text} `);
      assert.ok(address);
      assert.equal(formatPeerAddress(address), text);
      assert.deepEqual(peerAddress(address.host, address.port), address);
    }
    for (const text of ['1.2.3.4', '1.2.3.4:0', '1.2.3.4:65536', '1.2.3.4:', '2001:db8::5:6346', ':1', '1.2.3.4:1:2']) {
      assert.equal(parsePeerAddress(text), undefined, text);
    }
    assert.deepEqual(parsePeerAddress('1.2.3.4', 6346), { host: '1.2.3.4', port: 6346 });
    assert.throws(() => peerAddress('example.com', 1), GnutellaError);
    assert.throws(() => peerAddress('1.2.3.4', 0), GnutellaError);
  });

  it('never throws on text of a peer', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 80 }),
      fc.string({ unit: fc.constantFrom(...'0123456789abcf:.[]%, '), maxLength: 60 }),
    );
    fc.assert(
      fc.property(text, (input) => {
        const address = parsePeerAddress(input);
        if (address !== undefined) assert.deepEqual(parsePeerAddress(formatPeerAddress(address)), address);
        parseAddressList(input);
        classifyHost(input);
      }),
    );
  });
});

describe('address: classes', () => {
  it('rejects what the table addr_bogon rejects, and nothing else', () => {
    const table = vectorNamed('addr_bogon').expected as Record<string, boolean>;
    for (const [host, rejected] of Object.entries(table)) {
      assert.equal(classifyHost(host) !== 'public', rejected, host);
      assert.equal(isUsableIpv4(ipv4FromText(host) ?? 0, 6346), !rejected, host);
      assert.equal(isUsablePeerAddress({ host, port: 6346 }), !rejected, host);
    }
  });

  it('ends each range where the page ends it', () => {
    for (const [inside, outside] of [
      ['0.255.255.255', '1.0.0.0'],
      ['100.127.255.255', '100.128.0.0'],
      ['127.255.255.255', '128.0.0.0'],
      ['169.254.255.255', '169.255.0.0'],
      ['192.0.2.255', '192.0.3.0'],
      ['192.168.255.255', '192.169.0.0'],
      ['198.51.100.255', '198.51.101.0'],
      ['203.0.113.255', '203.0.114.0'],
      ['240.0.0.0', '223.255.255.255'],
    ] as const) {
      assert.notEqual(classifyHost(inside), 'public', inside);
      assert.equal(classifyHost(outside), 'public', outside);
    }
  });

  it('classifies IPv6 as the page says', () => {
    for (const [host, kind] of [
      ['::', 'bogon'],
      ['::1', 'loopback'],
      ['::2', 'bogon'],
      ['::8.8.8.8', 'bogon'],
      ['::ffff:8.8.8.8', 'public'],
      ['::ffff:10.0.0.1', 'private'],
      ['::ffff:127.0.0.1', 'loopback'],
      ['fe80::1', 'private'],
      ['febf::1', 'private'],
      ['fec0::1', 'public'],
      ['fc00::1', 'private'],
      ['fdff::1', 'private'],
      ['ff02::1', 'bogon'],
      ['2001:db8::1', 'bogon'],
      ['2001:0:1::1', 'bogon'],
      ['2001:1::1', 'public'],
      ['2002:808:808::1', 'public'],
      ['2002:a00:1::1', 'bogon'],
      ['2a00:1450::1', 'public'],
    ] as const) {
      assert.equal(classifyHost(host), kind, host);
    }
  });

  it('takes private and loopback addresses where allowed, but never bogons or "no IPv4"', () => {
    const allow = { allowPrivate: true };
    for (const host of ['10.0.0.1', '127.0.0.1', '169.254.1.1', '100.64.0.1', '::1', 'fd00::1', '8.8.8.8']) {
      assert.equal(isUsablePeerAddress({ host, port: 6346 }, allow), true, host);
    }
    for (const host of ['127.0.0.0', '0.0.0.0', '224.0.0.1', '255.255.255.255', '203.0.113.1', '::', 'ff02::1', 'x']) {
      assert.equal(isUsablePeerAddress({ host, port: 6346 }, allow), false, host);
    }
  });

  it('refuses port 0 and ports of well-known services', () => {
    for (const port of [0, 25, 53, 6667, 65536, -1]) {
      assert.equal(isUsablePeerAddress({ host: '8.8.8.8', port }), false, String(port));
    }
    for (const port of [80, 443, 6346, 65535]) assert.equal(isUsablePeerAddress({ host: '8.8.8.8', port }), true);
  });
});

describe('address: lists', () => {
  it('parses x_alt_parse; what is left to refuse is the caller’s policy', () => {
    const vector = vectorNamed('x_alt_parse');
    const all = parseAddressList(vector.input as string, { defaultPort: 6346 });
    // The vector accepts the documentation ranges, which the policy refuses.
    const kept = all.filter(({ host }) => classifyHost(host) !== 'private');
    assert.deepEqual(
      kept.map(({ host, port }) => [host, port]),
      vector.expected,
    );
  });

  it('stops at the bound, and passes over rubbish and repetitions', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `8.8.${i >>> 8}.${i & 255}:6346`).join(',');
    assert.equal(parseTryUltrapeers(many).length, MAX_LISTED_ADDRESSES);
    assert.deepEqual(parseTryUltrapeers(`x,,${'y'.repeat(5000)},1.2.3.4:5,1.2.3.4:5, [::1]:7`), [
      { host: '1.2.3.4', port: 5 },
      { host: '::1', port: 7 },
    ]);
    assert.deepEqual(parseTryUltrapeers(`${','.repeat(10_000)}1.2.3.4:5`), []);
  });

  it('brings its own text back', () => {
    const list = [
      { host: '1.2.3.4', port: 5 },
      { host: '2001:db8::5', port: 6346 },
    ];
    assert.equal(formatAddressList(list), '1.2.3.4:5,[2001:db8::5]:6346');
    assert.deepEqual(parseTryUltrapeers(formatAddressList(list)), list);
  });
});
