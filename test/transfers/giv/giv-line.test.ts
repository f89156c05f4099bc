import assert from 'node:assert/strict';
import fc from 'fast-check';
import { asGuid, guidFromHex, guidToHex } from '@filbert/gnutella';
import { encodeGivLine, MAX_GIV_BYTES, parseGivLine } from '../../../services/transfers/src/giv/giv-line.ts';
import { vectorNamed } from '../vectors.ts';

describe('transfers: GIV line', () => {
  it('writes the form of the vector', () => {
    const { input, expected } = vectorNamed('giv_line');
    const { index, guid, name } = input as { index: number; guid: string; name: string };
    const serventGuid = guidFromHex(guid);
    assert.ok(serventGuid !== undefined);
    assert.equal(Buffer.from(encodeGivLine({ index, serventGuid, fileName: name })).toString(), expected);
  });

  const hex = 'a1b2c3d4e5f60718ff2a3b4c5d6e7f00';
  for (const text of [
    `GIV 7:${hex}/abc.txt\n\n`,
    `GIV 7:${hex.toUpperCase()}/abc.txt\r\n\r\n`,
    `giv 7:${hex}/abc.txt\r\n\n`,
  ]) {
    it(`reads ${JSON.stringify(text)} at every split, and leaves what follows`, () => {
      const bytes = Buffer.from(text);
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(parseGivLine(bytes.subarray(0, length)).kind, 'need-more', `after ${length} bytes`);
      }
      const parsed = parseGivLine(Buffer.from(`${text}GET /`));
      assert.ok(parsed.kind === 'giv');
      assert.equal(parsed.usedBytes, bytes.length);
      assert.equal(parsed.line.index, 7);
      assert.equal(parsed.line.fileName, 'abc.txt');
      assert.equal(guidToHex(parsed.line.serventGuid), hex);
    });
  }

  for (const text of [
    `GIV 4294967296:${hex}/x\n\n`,
    `GIV -1:${hex}/x\n\n`,
    `GIV 1:${hex.slice(1)}/x\n\n`,
    `GIV 1:${hex}\n\n`,
    `GIV 1:${hex}/x\ny\n`,
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.deepEqual(parseGivLine(Buffer.from(text)), { kind: 'refused', reason: 'malformed' });
    });
  }

  it('refuses a line without end', () => {
    const parsed = parseGivLine(Buffer.alloc(MAX_GIV_BYTES + 1, 'x'));
    assert.deepEqual(parsed, { kind: 'refused', reason: 'too-long' });
  });

  it('writes any name so that it can be read back as one line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(0xffffffff), (fileName, index) => {
        const serventGuid = asGuid(new Uint8Array(16).fill(5));
        const parsed = parseGivLine(Buffer.from(encodeGivLine({ index, serventGuid, fileName })));
        assert.ok(parsed.kind === 'giv' && parsed.line.index === index);
      }),
      { numRuns: 200 },
    );
  });
});
