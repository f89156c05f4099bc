import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  areaGgep,
  areaHashes,
  encodeGgep,
  MAX_AREA_HASHES,
  MAX_EXTENSIONS,
  parseSha1Urn,
  splitExtensions,
} from '@filbert/gnutella';
import type { ExtensionArea } from '@filbert/gnutella';

const ABC = 'urn:sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5';
const EMPTY = 'urn:sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ';
const XML = '<?xml version="1.0"?><audios/>';
const FS = '\x1c';

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function split(text: string): ExtensionArea {
  const bytes = bytesOf(text);
  return splitExtensions(bytes, 0, bytes.length);
}

function shape(text: string): string[] {
  return split(text).extensions.map(({ kind, start, end }) => `${kind} ${start}-${end}`);
}

function ggep(...ids: string[]): string {
  return String.fromCharCode(...encodeGgep(ids.map((id) => ({ id, value: Uint8Array.of(65) }))));
}

describe('extension area', () => {
  it('splits strings, XML and GGEP, with and without separators', () => {
    assert.deepEqual(shape(''), []);
    assert.deepEqual(shape(ABC), ['urn 0-41']);
    assert.deepEqual(shape(`${ABC}${FS}${XML}${FS}${ggep('A')}`), ['urn 0-41', 'xml 42-72', 'ggep 73-78']);
    assert.deepEqual(shape(`${ggep('A')}${ggep('B')}${ABC}`), ['ggep 0-5', 'ggep 5-10', 'urn 10-51']);
    assert.deepEqual(shape(`${ggep('A')}\0${XML}`), ['ggep 0-5', 'xml 6-36']);
    assert.deepEqual(shape(`uRN:\0`), ['urn 0-4']);
  });

  it('merges the entries of all blocks, also with a URN between them', () => {
    const area = split(`${ggep('A')}${FS}${ABC}${FS}${ggep('B', 'C')}`);
    assert.deepEqual(
      areaGgep(area).map((entry) => entry.id),
      ['A', 'B', 'C'],
    );
    assert.deepEqual(areaHashes(area).sha1s, [parseSha1Urn(ABC)]);
  });

  it('takes unknown text up to where it recognises something again', () => {
    assert.deepEqual(shape(`junk${ABC}`), ['unknown 0-4', 'urn 4-45']);
    assert.deepEqual(shape(`junk${ggep('A')}`), ['unknown 0-4', 'ggep 4-9']);
    assert.deepEqual(shape(`junk<a>`), ['unknown 0-4', 'xml 4-7']);
    assert.deepEqual(shape(`a<1<?${FS}b`), ['unknown 0-5', 'unknown 6-7']);
    assert.deepEqual(shape('urn'), ['unknown 0-3']);
    assert.deepEqual(shape('\xc3\x90A@'), ['unknown 0-4']);
    assert.deepEqual(shape(`\xc3\xc3${ggep('A')}`), ['unknown 0-1', 'unknown 1-2', 'ggep 2-7']);
  });

  it('sees a run of separators, but not one alone', () => {
    assert.equal(split(`${ABC}${FS}${XML}\0`).overhead, false);
    assert.equal(split('\0').overhead, false);
    assert.equal(split(`${ABC}${FS}${FS}${XML}`).overhead, true);
    assert.equal(split(`${ABC}\0\0`).overhead, true);
    assert.equal(split(FS.repeat(200)).overhead, true);
  });

  it('reads 32 extensions, GGEP entries counted, and says that there are more', () => {
    const strings = Array.from({ length: 40 }, (_, i) => `x${i}`);
    const area = split(strings.join(FS));
    assert.equal(area.extensions.length, MAX_EXTENSIONS);
    assert.equal(area.truncated, true);
    assert.equal(split(strings.slice(0, 32).join(FS)).truncated, false);
    assert.equal(split(ggep(...Array.from({ length: 33 }, () => 'A'))).truncated, true);
    assert.equal(areaGgep(split(ggep(...Array.from({ length: 1000 }, () => 'A')))).length, 32);
  });

  it('keeps the whole area as it came, and covers all but the separators, whatever the bytes', () => {
    const piece = fc.oneof(
      fc.constantFrom(ABC, XML, FS, '\0', 'urn:', 'URN:x', '<a', ggep('A'), ggep('B', 'C'), '\xc3', '\xc3\x81', 'Ã'),
      fc.string({ unit: 'binary-ascii', maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), fc.nat(5), (pieces, before) => {
        const inner = bytesOf(pieces.join(''));
        const bytes = Uint8Array.of(...new Uint8Array(before).fill(1), ...inner, 0x75, 0x72);
        const area = splitExtensions(bytes, before, before + inner.length);
        assert.deepEqual(area.raw, inner);
        let at = before;
        for (const { start, end } of area.extensions) {
          assert.ok(start >= at && end > start && end <= before + inner.length);
          for (let gap = at; gap < start; gap += 1) assert.ok(bytes[gap] === 0 || bytes[gap] === 0x1c);
          at = end;
        }
        if (!area.truncated)
          for (const rest of bytes.subarray(at, before + inner.length)) assert.ok(rest === 0 || rest === 0x1c);
        areaHashes(area);
      }),
      { numRuns: 150 },
    );
  });
});

describe('extension area: hashes', () => {
  function hashesOf(id: string, value: Uint8Array): ReturnType<typeof areaHashes> {
    const bytes = encodeGgep([{ id, value }]);
    return areaHashes(splitExtensions(bytes, 0, bytes.length));
  }

  it('reads GGEP H of SHA-1 and bitprint, TT and u', () => {
    const sha1 = new Uint8Array(20).fill(7);
    const tth = new Uint8Array(24).fill(8);
    assert.deepEqual(hashesOf('H', Uint8Array.of(1, ...sha1)).sha1s, [sha1]);
    const bitprint = hashesOf('H', Uint8Array.of(2, ...sha1, ...tth));
    assert.deepEqual([bitprint.sha1s, bitprint.tth, bitprint.malformed], [[sha1], tth, false]);
    assert.deepEqual(hashesOf('TT', tth).tth, tth);
    assert.deepEqual(hashesOf('u', bytesOf(ABC.slice(4))).sha1s, [parseSha1Urn(ABC)]);
  });

  it('passes over digests of other kinds, and marks those of the wrong size', () => {
    assert.equal(hashesOf('H', Uint8Array.of(9, 1)).malformed, false);
    assert.equal(hashesOf('H', new Uint8Array(0)).malformed, false);
    for (const [id, size] of [
      ['H', 20],
      ['H', 22],
      ['TT', 23],
    ] as const) {
      assert.equal(hashesOf(id, new Uint8Array(size).fill(1)).malformed, true, `${id} ${size}`);
    }
    assert.equal(hashesOf('H', new Uint8Array(44).fill(2)).malformed, true);
    assert.equal(areaHashes(split(`${ABC}${FS}urn:sha1:short`)).malformed, true);
  });

  it('counts a hash once, and takes 10 at most', () => {
    assert.equal(areaHashes(split([ABC, ABC.toLowerCase(), EMPTY].join(FS))).sha1s.length, 2);
    const many = Array.from({ length: 20 }, (_, i) => `urn:sha1:${String.fromCharCode(65 + i).repeat(32)}`);
    assert.equal(areaHashes(split(many.join(FS))).sha1s.length, MAX_AREA_HASHES);
  });
});
