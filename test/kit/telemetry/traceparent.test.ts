import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatTraceparent, parseTraceparent } from '@filbert/kit';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('kit traceparent', () => {
  it('reads ids and the sampled flag, among other flags', () => {
    assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, spanId: SPAN, sampled: true });
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-fe`)?.sampled, false);
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-ff`)?.sampled, true);
  });

  it('reads the known part of a later version, and refuses additions to version 00', () => {
    assert.equal(parseTraceparent(`01-${TRACE}-${SPAN}-01-more`)?.traceId, TRACE);
    assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-01-more`), undefined);
  });

  it('refuses what is no traceparent', () => {
    const zeros = '0'.repeat(32);
    for (const text of [
      '',
      `ff-${TRACE}-${SPAN}-01`,
      `00-${zeros}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `00-${TRACE.toUpperCase()}-${SPAN}-01`,
      `00-${TRACE}-${SPAN}-1`,
      `01-${TRACE}-${SPAN}-01-${'x'.repeat(1000)}`,
    ])
      assert.equal(parseTraceparent(text), undefined, text);
  });

  it('writes what it reads', () => {
    const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length - 1}}[1-9a-f]$`));
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
        assert.deepEqual(parseTraceparent(formatTraceparent({ traceId, spanId, sampled })), {
          traceId,
          spanId,
          sampled,
        });
      }),
    );
  });
});
