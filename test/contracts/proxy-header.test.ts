import assert from 'node:assert/strict';
import fc from 'fast-check';
import { encodeProxyHeader, MAX_PROXY_BLOCK_BYTES, parseProxyHeader } from '@filbert/contracts';

const V4 = { source: { host: '203.0.114.7', port: 4711 }, destination: { host: '10.1.2.3', port: 6346 } };
const V6 = { source: { host: '2001:4860::5', port: 1 }, destination: { host: 'fd00::1', port: 65_535 } };

describe('contracts: PROXY protocol header', () => {
  it('writes the form that the protocol gives for TCP over IPv4', () => {
    const expected = '0d0a0d0a000d0a515549540a' + '21' + '11' + '000c' + 'cb007207' + '0a010203' + '1267' + '18ca';
    assert.equal(Buffer.from(encodeProxyHeader(V4)).toString('hex'), expected);
  });

  for (const [name, connection] of [['IPv4', V4] as const, ['IPv6', V6] as const]) {
    it(`reads what it writes for ${name}, and asks for more at every split before the end`, () => {
      const bytes = encodeProxyHeader(connection);
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(parseProxyHeader(bytes.subarray(0, length)).kind, 'need-more', `after ${length} bytes`);
      }
      const parsed = parseProxyHeader(Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1')]));
      assert.deepEqual(parsed, { kind: 'proxied', connection, headerBytes: bytes.length });
    });
  }

  it('writes both addresses as IPv6 where one is, and reads a mapped one as IPv4', () => {
    const mixed = { source: V4.source, destination: V6.destination };
    const parsed = parseProxyHeader(encodeProxyHeader(mixed));
    assert.ok(parsed.kind === 'proxied');
    assert.deepEqual(parsed.connection, mixed);
  });

  it('passes over extensions behind the addresses', () => {
    const bytes = Buffer.concat([encodeProxyHeader(V4), Buffer.from('0400020102', 'hex')]);
    bytes.writeUInt16BE(17, 14);
    assert.deepEqual(parseProxyHeader(bytes), { kind: 'proxied', connection: V4, headerBytes: 33 });
  });

  it('knows a health check by its command', () => {
    const bytes = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
    assert.deepEqual(parseProxyHeader(bytes), { kind: 'local', headerBytes: 16 });
  });

  const broken = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(encodeProxyHeader(V4));
    change(bytes);
    return bytes;
  };
  const refusals: readonly (readonly [string, Buffer])[] = [
    ['no-header', Buffer.from('GET /')],
    ['no-header', broken((bytes) => bytes.writeUInt8(0, 11))],
    ['bad-version', broken((bytes) => bytes.writeUInt8(0x11, 12))],
    ['bad-version', broken((bytes) => bytes.writeUInt8(0x2f, 12))],
    ['bad-family', broken((bytes) => bytes.writeUInt8(0x12, 13))],
    ['too-short', broken((bytes) => bytes.writeUInt16BE(11, 14))],
    ['too-short', broken((bytes) => bytes.writeUInt8(0x21, 13))],
    ['too-long', broken((bytes) => bytes.writeUInt16BE(MAX_PROXY_BLOCK_BYTES + 1, 14))],
  ];
  for (const [reason, bytes] of refusals) {
    it(`refuses ${bytes.toString('hex', 0, 16)} as ${reason}`, () => {
      assert.deepEqual(parseProxyHeader(bytes), { kind: 'refused', reason });
    });
  }

  it('is total, and never waits for more than a header may hold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, signed) => {
        const whole = signed ? Buffer.concat([encodeProxyHeader(V4).subarray(0, 12), bytes]) : Buffer.from(bytes);
        const parsed = parseProxyHeader(whole);
        if (parsed.kind === 'need-more') assert.ok(whole.length < 16 + MAX_PROXY_BLOCK_BYTES);
      }),
      { numRuns: 300 },
    );
  });
});
