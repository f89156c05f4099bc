import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  asGuid,
  GnutellaError,
  guidAt,
  guidEquals,
  guidFromBase32,
  guidFromHex,
  guidKey,
  guidToBase32,
  guidToHex,
  ipv4FromText,
  isNullMessageGuid,
  isRequeryGuid,
  judgeServentGuid,
  mangleOobGuid,
  oobIp,
  oobPort,
  randomMessageGuid,
  randomServentGuid,
  writeOobAddress,
} from '@filbert/gnutella';
import { hexBytes, hexOf, limewireVectors, vectorNamed, vectorsOfKind } from '../vectors.ts';

const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });

describe('guid', () => {
  it('gives servent and message GUIDs the marks, and keeps the other random bytes', () => {
    const random = (size: number): Uint8Array => new Uint8Array(size).fill(0x5a);
    assert.equal(guidToHex(randomServentGuid(random)), '5a5a5a5a5a5a5a5aff5a5a5a5a5a5a00');
    assert.equal(guidToHex(randomMessageGuid(random)), '5a5a5a5a5a5a5a5aff5a5a5a5a5a5a00');
    const requery = randomMessageGuid(random, true);
    assert.equal(guidToHex(requery), '5a5a5a5a5a5a5a5aff5a5a5a5a5a5a01');
    assert.equal(isRequeryGuid(requery), true);
    assert.equal(isRequeryGuid(randomMessageGuid(random)), false);
  });

  it('does not write into the random bytes it was given', () => {
    const pool = new Uint8Array(16).fill(1);
    randomServentGuid(() => pool);
    assert.deepEqual(pool, new Uint8Array(16).fill(1));
  });

  it('is written in base 16 and base 32 as the text vectors say', () => {
    const guid = guidFromHex(vectorNamed('guid_base16').input as string);
    assert.ok(guid);
    assert.equal(guidToHex(guid).toUpperCase(), vectorNamed('guid_base16').expected);
    assert.equal(guidToBase32(guid), vectorNamed('guid_base32').expected);
    assert.deepEqual(guidFromBase32(guidToBase32(guid).toLowerCase()), guid);
  });

  it('comes back from either text, and from nothing else', () => {
    fc.assert(
      fc.property(sixteen, (raw) => {
        assert.deepEqual(guidFromHex(guidToHex(raw)), raw);
        assert.deepEqual(guidFromBase32(guidToBase32(asGuid(raw))), raw);
      }),
    );
    for (const text of ['', 'a'.repeat(31), 'a'.repeat(33), 'g'.repeat(32)]) assert.equal(guidFromHex(text), undefined);
    for (const text of ['', 'A'.repeat(25), '1'.repeat(26)]) assert.equal(guidFromBase32(text), undefined);
  });

  it('throws for bytes of another length, a mistake of the caller', () => {
    assert.throws(() => asGuid(new Uint8Array(15)), GnutellaError);
    assert.throws(() => guidAt(new Uint8Array(20), 5), GnutellaError);
  });

  it('compares and keys GUIDs at any offset; equal keys mean equal GUIDs', () => {
    fc.assert(
      fc.property(sixteen, sixteen, (a, b) => {
        const frame = Uint8Array.of(9, 9, ...a, 7);
        assert.equal(guidEquals(frame, a, 2), true);
        assert.equal(guidKey(frame, 2), guidKey(a));
        assert.equal(guidKey(a).length, 16);
        assert.equal(guidKey(a) === guidKey(b), guidEquals(a, b));
      }),
    );
  });

  it('copies the GUID also out of a Buffer, whose slice would be a view', () => {
    const frame = Buffer.alloc(40, 5);
    const guid = guidAt(frame, 2);
    frame.fill(6);
    assert.deepEqual([...guid], new Array(16).fill(5));
    assert.equal(guid.buffer.byteLength, 16);
  });

  it('copies what it takes out of a frame', () => {
    const frame = new Uint8Array(20).fill(3);
    const guid = guidAt(frame, 2);
    frame.fill(4);
    assert.equal(guid[0], 3);
  });
});

describe('guid: out-of-band address', () => {
  it('is read and written as the guid vector says', () => {
    const [vector] = vectorsOfKind('guid');
    const expected = hexBytes(vector?.hex ?? '');
    assert.equal(oobIp(expected), ipv4FromText('203.0.113.7'));
    assert.equal(oobPort(expected), 6346);
    const guid = expected.slice();
    guid.fill(0, 0, 4);
    guid.fill(0, 13, 15);
    writeOobAddress(guid, 0, ipv4FromText('203.0.113.7') ?? 0, 6346);
    assert.equal(hexOf(guid), vector?.hex);
  });

  it('touches bytes 0-3 and 13-14 only, and mangling zeroes exactly them', () => {
    fc.assert(
      fc.property(sixteen, fc.nat(0xffffffff), fc.nat(0xffff), (raw, ip, port) => {
        const frame = Uint8Array.of(1, ...raw);
        writeOobAddress(frame, 1, ip, port);
        assert.equal(oobIp(frame, 1), ip);
        assert.equal(oobPort(frame, 1), port);
        assert.deepEqual(frame.subarray(5, 14), raw.subarray(4, 13));
        mangleOobGuid(frame, 1);
        assert.deepEqual([...frame], [1, 0, 0, 0, 0, ...raw.subarray(4, 13), 0, 0, raw[15]]);
      }),
    );
  });
});

describe('guid: refused ones', () => {
  it('judges the client GUIDs of LimeWire’s filter as it does', () => {
    const cases = limewireVectors['client_guid_filter'] as readonly { guid: string; allow: boolean }[];
    assert.equal(cases.length, 4);
    for (const { guid, allow } of cases) {
      const message = hexBytes('00112233445566778899aabbccddeeff');
      const servent = guid.startsWith('equal') ? message : hexBytes(guid);
      assert.equal(judgeServentGuid(servent, 0, message) === 'usable', allow, guid);
    }
  });

  it('names the reason, at any offset', () => {
    const at = (hex: string): string => judgeServentGuid(hexBytes(`ff${hex}ff`), 1);
    assert.equal(at('00'.repeat(16)), 'zero');
    assert.equal(at('ab'.repeat(16)), 'letters-only');
    assert.equal(at(`${'ab'.repeat(15)}a9`), 'usable');
    assert.equal(at(`${'ab'.repeat(15)}9a`), 'usable');
    for (const banned of [
      '20d262ff0e6fd6119734004005a207b1',
      '9c51e42153d4c94a858f8e8a8391173d',
      '27630b632f070ca9ffc48eb06a72c700',
      '58'.repeat(16),
    ]) {
      assert.equal(at(banned), 'banned');
    }
    const same = hexBytes('11'.repeat(15) + '12');
    assert.equal(judgeServentGuid(same, 0, same), 'equals-message-guid');
  });

  it('takes one byte sixteen times for no message GUID', () => {
    assert.equal(isNullMessageGuid(new Uint8Array(16)), true);
    assert.equal(isNullMessageGuid(new Uint8Array(16).fill(255)), true);
    assert.equal(isNullMessageGuid(Uint8Array.of(...new Uint8Array(15), 1)), false);
  });
});
