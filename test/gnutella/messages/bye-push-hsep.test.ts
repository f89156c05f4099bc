import assert from 'node:assert/strict';
import {
  byeFault,
  ByeCode,
  decodeBye,
  decodeHsep,
  decodePush,
  encodeBye,
  encodeFrame,
  encodeHsep,
  encodePush,
  GnutellaError,
  HEADER_BYTES,
  ipv6FromText,
  isEvilFileName,
  MAX_BYE_BYTES,
  NO_IPV4,
  pushAddress,
  rewritePushAddress,
} from '@filbert/gnutella';
import { hexBytes, vectorNamed } from '../vectors.ts';
import { MESSAGE, reasonOf, SERVENT, valueOf } from './frames.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('bye', () => {
  const decode = (payload: Uint8Array, hops = 0, ttl = 1): ReturnType<typeof decodeBye> =>
    decodeBye(payload, 0, payload.length, hops, ttl);

  it('tolerates a missing NUL, no text, bytes that are not UTF-8 and bare line feeds', () => {
    assert.equal(valueOf(decode(Uint8Array.of(0xc8, 0, ...text('bye')))).message, 'bye');
    assert.deepEqual(valueOf(decode(Uint8Array.of(0xc8, 0))), { code: 200, message: '', headers: new Map() });
    assert.equal(valueOf(decode(Uint8Array.of(0xc8, 0, 0xff))).message, '\ufffd');
    const headers = valueOf(
      decode(Uint8Array.of(0xc8, 0, ...text('m\nServer: a:b\nserver: c\nrubbish\n: x\n'))),
    ).headers;
    assert.deepEqual(headers, new Map([['server', 'a:b']]));
  });

  it('refuses 0 and 1 bytes, over 4096, TTL over 1 and hops', () => {
    assert.equal(reasonOf(decode(new Uint8Array(0))), 'short');
    assert.equal(reasonOf(decode(new Uint8Array(1))), 'short');
    assert.equal(reasonOf(decode(new Uint8Array(MAX_BYE_BYTES))), 'accepted');
    assert.equal(reasonOf(decode(new Uint8Array(MAX_BYE_BYTES + 1))), 'too-large');
    assert.equal(reasonOf(decode(new Uint8Array(2), 0, 7)), 'bad-hops-or-ttl');
    assert.equal(reasonOf(decode(new Uint8Array(2), 1, 1)), 'bad-hops-or-ttl');
    assert.equal(reasonOf(decode(new Uint8Array(2), 0, 0)), 'accepted');
  });

  it('reads 16 headers at most', () => {
    const lines = Array.from({ length: 200 }, (_, i) => `H${i}: v`).join('\r\n');
    assert.equal(valueOf(decode(Uint8Array.of(0, 0, ...text(`m\r\n${lines}`)))).headers.size, 16);
  });

  it('throws for lines of the caller that would forge others, and for what does not fit', () => {
    assert.throws(() => encodeBye(MESSAGE, 200, 'a\r\nServer: x'), GnutellaError);
    assert.throws(() => encodeBye(MESSAGE, 200, 'a', { Server: 'x\0' }), GnutellaError);
    assert.throws(() => encodeBye(MESSAGE, 200, 'x'.repeat(MAX_BYE_BYTES)), GnutellaError);
  });

  it('says whose fault a code is', () => {
    assert.equal(byeFault(ByeCode.SHUTTING_DOWN), 'nobody');
    assert.equal(byeFault(ByeCode.LEAF_RELAYED), 'receiver');
    assert.equal(byeFault(ByeCode.SEND_QUEUE_FULL), 'sender');
    for (const code of [0, 199, 300, 600, 65_535]) assert.equal(byeFault(code), 'unknown');
    assert.equal(new Set(Object.values(ByeCode)).size, Object.keys(ByeCode).length);
  });
});

describe('push', () => {
  const push = { serventGuid: SERVENT, fileIndex: 7, ip: 0x08080808, port: 6346 };
  const envelope = { guid: MESSAGE, ttl: 4 };

  it('refuses 25 bytes, a tail of 27 that is no GGEP, and port 0', () => {
    const frame = encodePush(envelope, push);
    assert.equal(reasonOf(decodePush(frame, HEADER_BYTES, frame.length - 1)), 'short');
    const longer = Uint8Array.of(...frame, 0);
    assert.equal(reasonOf(decodePush(longer, HEADER_BYTES, longer.length)), 'no-magic');
    const portless = encodePush(envelope, { ...push, port: 0 });
    assert.equal(reasonOf(decodePush(portless, HEADER_BYTES, portless.length)), 'port-zero');
  });

  it('gives the IPv6 address of a requester without IPv4', () => {
    const ggep = [{ id: '6', value: ipv6FromText('2001:db8::5') ?? new Uint8Array(16) }];
    const frame = encodePush(envelope, { ...push, ip: NO_IPV4, ggep });
    const decoded = valueOf(decodePush(frame, HEADER_BYTES, frame.length));
    assert.deepEqual(pushAddress(decoded), { host: '2001:db8::5', port: 6346 });
  });

  it('has its address rewritten in place, and nothing else', () => {
    const frame = encodePush(envelope, push);
    rewritePushAddress(frame, HEADER_BYTES, 0x09090909, 1);
    assert.deepEqual(frame, encodePush(envelope, { ...push, ip: 0x09090909, port: 1 }));
  });
});

describe('hsep', () => {
  const decode = (hex: string): string => {
    const bytes = hexBytes(hex);
    return reasonOf(decodeHsep(bytes, 0, bytes.length));
  };
  const triple = (nodes: number, files = 5, kib = 6): string =>
    [nodes, files, kib].map((value) => `${value.toString(16).padStart(2, '0')}${'00'.repeat(7)}`).join('');

  it('reads seven triples of longer payloads, with counts over 32 bits', () => {
    const triples = Array.from({ length: 7 }, (_, i) => ({ nodes: 1 + i, files: 2 ** 40, kib: 2 ** 53 - 1 }));
    const frame = encodeHsep(MESSAGE, triples);
    assert.deepEqual(valueOf(decodeHsep(frame, HEADER_BYTES, frame.length)), triples);
    const longer = Uint8Array.of(...frame.subarray(HEADER_BYTES), ...frame.subarray(HEADER_BYTES));
    assert.deepEqual(valueOf(decodeHsep(longer, 0, longer.length)), triples);
  });

  it('refuses other sizes, a first triple that is not one node, shrinking and unreadable numbers', () => {
    assert.equal(decode(triple(1) + triple(2)), 'accepted');
    assert.equal(decode(''), 'bad-size');
    assert.equal(decode(`${triple(1)}00`), 'bad-size');
    assert.equal(decode(triple(2)), 'first-not-one-node');
    assert.equal(decode(triple(1, 5) + triple(2, 4)), 'decreasing');
    assert.equal(decode(`01${'00'.repeat(7)}${'ff'.repeat(16)}`), 'too-large-number');
    assert.throws(() => encodeHsep(MESSAGE, []), GnutellaError);
    assert.throws(() => encodeHsep(MESSAGE, [{ nodes: -1, files: 0, kib: 0 }]), GnutellaError);
  });
});

describe('frames', () => {
  it('throw for a GUID or payload of the caller that does not fit', () => {
    assert.throws(() => encodeFrame({ guid: new Uint8Array(15), ttl: 1 }, 0, new Uint8Array(0)), GnutellaError);
    assert.throws(() => encodeFrame({ guid: MESSAGE, ttl: 1 }, 0, new Uint8Array(65_536)), GnutellaError);
    assert.equal(encodeFrame({ guid: MESSAGE, ttl: 1 }, 0, new Uint8Array(65_535)).length, HEADER_BYTES + 65_535);
  });
});

describe('file names', () => {
  it('are evil where the table evil_filename says so', () => {
    const table = vectorNamed('evil_filename').expected as Record<string, boolean>;
    for (const [name, evil] of Object.entries(table)) assert.equal(isEvilFileName(name), evil, JSON.stringify(name));
    for (const name of ['/etc/passwd', '..\\a', 'a\\..\\b', 'a\0b', 'x'.repeat(5000)])
      assert.equal(isEvilFileName(name), true);
  });
});
