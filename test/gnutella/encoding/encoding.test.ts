import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  base32Decode,
  base32Encode,
  cobsDecode,
  cobsEncode,
  GnutellaError,
  hexDecode,
  hexEncode,
  vlintDecode,
  vlintEncode,
} from '@filbert/gnutella';
import { hexBytes, hexOf, limewireVectors, vectorsOfKind } from '../vectors.ts';

const bytes = (maxLength = 600): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });

describe('base32', () => {
  it('encodes and decodes every vector of kind base32, ours and LimeWire’s', () => {
    const limewire = limewireVectors['base32'] as readonly { hex?: string; b32?: string }[];
    const pairs = [
      ...vectorsOfKind('base32').map((vector) => [vector.input as string, vector.expected as string] as const),
      ...limewire.flatMap(({ hex, b32 }) => (hex === undefined || b32 === undefined ? [] : [[hex, b32] as const])),
    ];
    assert.equal(pairs.length, 2);
    for (const [hex, text] of pairs) {
      assert.equal(base32Encode(hexBytes(hex)), text);
      assert.equal(hexOf(base32Decode(text.toLowerCase()) ?? new Uint8Array()), hex);
    }
    assert.equal(base32Encode(new Uint8Array(16)).length, 26);
  });

  it('brings any bytes back', () => {
    fc.assert(fc.property(bytes(80), (raw) => assert.deepEqual(base32Decode(base32Encode(raw)), raw)));
  });

  it('refuses foreign characters and lengths that no bytes encode to, and never throws', () => {
    for (const text of ['0A', 'A1', '8A', '9A', 'A', 'AAA', 'AAAAAA', 'A=', 'AA==', 'Ä2', 'A A', '\u0141A']) {
      assert.equal(base32Decode(text), undefined, text);
    }
    fc.assert(fc.property(fc.string({ maxLength: 60 }), (text) => void base32Decode(text)));
  });
});

describe('hexadecimal', () => {
  it('reads both cases, and refuses odd lengths and foreign characters', () => {
    assert.deepEqual(hexDecode('0aFf'), Uint8Array.of(10, 255));
    assert.equal(hexEncode(Uint8Array.of(10, 255)), '0aff');
    for (const text of ['a', '0g', ' 00', '0x00']) assert.equal(hexDecode(text), undefined, text);
  });
});

describe('COBS', () => {
  it('encodes and decodes every vector of kind cobs', () => {
    for (const vector of vectorsOfKind('cobs')) {
      const raw = hexBytes(vector.input as string);
      assert.equal(hexOf(cobsEncode(raw)), vector.hex, vector.name);
      assert.deepEqual(cobsDecode(hexBytes(vector.hex ?? '')), raw, vector.name);
    }
  });

  it('brings any bytes back without a NUL in between, also at the 254-byte borders', () => {
    const sizes = fc.constantFrom(0, 1, 253, 254, 255, 507, 508, 509, 762);
    const filled = fc
      .tuple(sizes, fc.array(fc.nat(800), { maxLength: 4 }))
      .map(([size, nuls]) => Uint8Array.from({ length: size }, (_, i) => (nuls.includes(i) ? 0 : 7)));
    fc.assert(
      fc.property(fc.oneof(bytes(), filled), (raw) => {
        const encoded = cobsEncode(raw);
        assert.equal(encoded.includes(0), false);
        assert.deepEqual(cobsDecode(encoded), raw);
      }),
    );
  });

  it('accepts a superfluous 01 behind a full last block', () => {
    const raw = new Uint8Array(254).fill(9);
    assert.deepEqual(cobsDecode(Uint8Array.of(...cobsEncode(raw), 1)), raw);
  });

  it('refuses nothing, a NUL anywhere, and a block that runs past the end', () => {
    for (const hex of ['', '00', '0500', '0311', '031100', '0211ff']) {
      assert.equal(cobsDecode(hexBytes(hex)), undefined, hex);
    }
    fc.assert(fc.property(bytes(40), (raw) => void cobsDecode(raw)));
  });
});

describe('vlint', () => {
  it('writes the values of LimeWire’s tests', () => {
    assert.equal(hexOf(vlintEncode(527)), '0f02');
    assert.equal(hexOf(vlintEncode(0xabcd)), 'cdab');
    assert.equal(hexOf(vlintEncode(0xabcdef12)), '12efcdab');
    assert.equal(vlintEncode(0).length, 0);
  });

  it('brings any safe integer back, also with zero bytes behind it', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const encoded = vlintEncode(value);
        assert.notEqual(encoded.at(-1), 0);
        assert.equal(vlintDecode(encoded), value);
        if (encoded.length < 8) assert.equal(vlintDecode(Uint8Array.of(...encoded, 0)), value);
      }),
    );
  });

  it('reads no more than 8 bytes and 2^53 - 1', () => {
    assert.equal(vlintDecode(new Uint8Array(9)), undefined);
    assert.equal(vlintDecode(new Uint8Array(8).fill(255)), undefined);
  });

  it('throws for a number of the caller that it cannot write', () => {
    for (const value of [-1, 1.5, Number.NaN, 2 ** 53]) assert.throws(() => vlintEncode(value), GnutellaError);
  });
});
