import assert from 'node:assert/strict';
import { parseContentRange, resolveRange } from '../../../services/transfers/src/http/byte-range.ts';

/** As much white space as a header line has room for. */
const SPACES = ' '.repeat(4_000);
/** What a line of white space may take at most, in ms: about a thousand times what it does, and a hundredth of the 11 s of old. */
const MOST_MS = 100;

describe('transfers: ranges', () => {
  for (const header of [
    `bytes${SPACES}x`,
    `bytes=${SPACES}x`,
    `bytes${SPACES}-${SPACES}x`,
    `bytes=0-${SPACES}x`,
    `bytes=0${SPACES}x`,
    `${SPACES}x`,
    `bytes 0-1/${SPACES}x`,
    `bytes 0-1/2${SPACES}x`,
    `bytes 0${SPACES}-${SPACES}x`,
  ]) {
    it(`says at once that ${header.replaceAll(SPACES, '<spaces>')} is malformed`, () => {
      const begun = performance.now();
      assert.deepEqual(resolveRange(header, 100), { kind: 'malformed' });
      assert.equal(parseContentRange(header), undefined);
      const tookMs = performance.now() - begun;
      assert.ok(tookMs < MOST_MS, `it took ${tookMs} ms`);
    });
  }

  for (const [header, first, last] of [
    ['bytes=0-9', 0, 9],
    ['bytes 0-9', 0, 9],
    ['Bytes = 10 - 19 ', 10, 19],
    ['bytes=90-', 90, 99],
    ['bytes =90 - , 0-1', 90, 99],
    ['bytes=-10', 90, 99],
    ['bytes - 10', 90, 99],
    ['bytes=5-6, 8-9', 5, 6],
    ['bytes=50-1000', 50, 99],
  ] as const) {
    it(`reads "${header}" of 100 bytes as ${first} to ${last}`, () => {
      assert.deepEqual(resolveRange(header, 100), { kind: 'span', span: { first, last } });
    });
  }

  for (const header of ['bytes0-9', 'bytes=', 'bytes=-', 'bytes=a-9', 'bytes=9-5', 'bytes==0-9', 'octets=0-9']) {
    it(`refuses "${header}"`, () => assert.deepEqual(resolveRange(header, 100), { kind: 'malformed' }));
  }

  it('reads what a server says of a range, the old form and an unknown total too', () => {
    const span = { first: 5, last: 9 };
    for (const header of ['bytes 5-9/100', 'bytes=5-9/100', 'bytes = 5 - 9 / 100 ']) {
      assert.deepEqual(parseContentRange(header), { span, total: 100 });
    }
    assert.deepEqual(parseContentRange('bytes 5-9/*'), { span, total: undefined });
    for (const header of ['bytes5-9/100', 'bytes 9-5/100', 'bytes 5-100/100', 'bytes */100']) {
      assert.equal(parseContentRange(header), undefined);
    }
  });
});
