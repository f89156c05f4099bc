import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  asSha1,
  asTth,
  base32Encode,
  formatBitprintUrn,
  formatSha1Urn,
  GnutellaError,
  parseFileUrn,
  parseSha1Urn,
  sha1FromN2rTarget,
} from '@filbert/gnutella';
import { hexBytes, limewireVectors, vectorsOfKind } from '../vectors.ts';

const ABC = 'VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5';
const limewire = limewireVectors['urn'] as Readonly<Record<'valid' | 'invalid' | 'valid_n2r', readonly string[]>>;

describe('urn', () => {
  it('writes every vector of kind sha1-urn, and reads it back', () => {
    for (const vector of vectorsOfKind('sha1-urn')) {
      const input = vector.input as string;
      const data = input === '1024A' ? new Uint8Array(1024).fill(65) : hexBytes(input);
      const sha1 = asSha1(new Uint8Array(createHash('sha1').update(data).digest()));
      assert.equal(formatSha1Urn(sha1), vector.expected, vector.name);
      assert.deepEqual(parseSha1Urn(formatSha1Urn(sha1).toLowerCase()), sha1);
    }
  });

  it('takes LimeWire’s valid forms and refuses its invalid ones', () => {
    assert.deepEqual([limewire.valid.length, limewire.invalid.length, limewire.valid_n2r.length], [11, 13, 10]);
    for (const text of limewire.valid) assert.ok(parseSha1Urn(text), text);
    for (const text of limewire.invalid) assert.equal(parseSha1Urn(text), undefined, text);
    for (const line of limewire.valid_n2r) {
      assert.ok(sha1FromN2rTarget(line.replace(/ HTTP\/1\.\d$/i, '')), line);
    }
    for (const target of ['/uri-res/N2X?urn:sha1:x', '/', '', `/uri-res/N2R?urn:sha1:${ABC}&x`]) {
      assert.equal(sha1FromN2rTarget(target), undefined, target);
    }
  });

  it('brings SHA-1 and bitprint back, in either case', () => {
    const sha1s = fc.uint8Array({ minLength: 20, maxLength: 20 });
    const tths = fc.uint8Array({ minLength: 24, maxLength: 24 });
    fc.assert(
      fc.property(sha1s, tths, (sha1, tth) => {
        assert.deepEqual(parseSha1Urn(formatSha1Urn(asSha1(sha1))), sha1);
        const bitprint = formatBitprintUrn(asSha1(sha1), asTth(tth));
        assert.deepEqual(parseFileUrn(bitprint.toLowerCase()), { kind: 'bitprint', sha1, tth });
        assert.deepEqual(parseFileUrn(`urn:tree:tiger:${base32Encode(tth)}`), { kind: 'tth', tth });
      }),
    );
    assert.throws(() => asSha1(new Uint8Array(19)), GnutellaError);
    assert.throws(() => asTth(new Uint8Array(25)), GnutellaError);
  });

  it('tells the kinds apart', () => {
    for (const [text, kind] of [
      ['urn:', 'any'],
      ['URN:sha1:', 'any'],
      ['urn:sha1', 'any'],
      [`urn:sha1:${ABC}`, 'sha1'],
      [`urn:sha1:${ABC}A`, 'malformed'],
      [`urn:sha1:${ABC.slice(1)}`, 'malformed'],
      [`urn:sha1:${ABC.replace('V', '8')}`, 'malformed'],
      [`urn:bitprint:${ABC}`, 'malformed'],
      [`urn:bitprint:${ABC}.${'A'.repeat(38)}`, 'malformed'],
      [`urn:bitprint:${ABC}.${'A'.repeat(39)}`, 'bitprint'],
      ['urn:btih:whatever', 'other'],
      ['urn:ed2khash:00', 'other'],
      ['urn:tree:tiger/:AAA', 'other'],
      ['urn:foo', 'malformed'],
      ['urn::sha1:x', 'malformed'],
      ['urn: sha1:x', 'malformed'],
      ['urnsha1', 'malformed'],
    ] as const) {
      assert.equal(parseFileUrn(text).kind, kind, text);
    }
  });

  it('never throws', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string().map((rest) => `urn:${rest}`),
      fc.string().map((rest) => `urn:sha1:${rest}`),
    );
    fc.assert(
      fc.property(text, (input) => {
        parseFileUrn(input);
        sha1FromN2rTarget(input);
      }),
    );
  });
});
