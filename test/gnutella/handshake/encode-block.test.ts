import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GnutellaError, HeaderBlockReader, MAX_LINE_BYTES, MAX_OWN_HEADERS, encodeBlock } from '@filbert/gnutella';
import { readBlock } from './support.ts';

const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

describe('handshake: encoding of our blocks', () => {
  it('ends every line with CRLF and the block with an empty line', () => {
    const data = encodeBlock('GNUTELLA/0.6 200 OK', [['X-Ultrapeer', 'True']]);
    assert.equal(text(data), 'GNUTELLA/0.6 200 OK\r\nX-Ultrapeer: True\r\n\r\n');
  });

  it('lets no value or start line begin a line of its own', () => {
    const data = encodeBlock('GNUTELLA/0.6 503 no\r\nX-Evil: 1', [['User-Agent', 'a\r\nX-Evil: 2\n\nb\0c']]);
    assert.equal(text(data), 'GNUTELLA/0.6 503 no X-Evil: 1\r\nUser-Agent: a X-Evil: 2 b c\r\n\r\n');
  });

  it('replaces characters whose low byte would be a line end', () => {
    assert.equal(text(encodeBlock('S', [['A', 'x\u010a\u0d0d\u{1f600}y']])), 'S\r\nA: x???y\r\n\r\n');
  });

  it('folds a long list at its commas so that no line is over the limit, and it reads back whole', () => {
    const list = Array.from({ length: 200 }, (_, index) => `198.51.100.${index}:6346`).join(', ');
    const data = encodeBlock('S', [['Peers', list]], 16_384);
    for (const line of text(data).split('\r\n')) assert.ok(line.length <= MAX_LINE_BYTES, `${line.length} bytes`);
    assert.equal(readBlock(data).headers.get('Peers'), list);
  });

  it('cuts a value that is too long and has no commas', () => {
    const [, line] = text(encodeBlock('S', [['A', 'x'.repeat(2000)]])).split('\r\n');
    assert.equal(line?.length, MAX_LINE_BYTES);
  });

  it('refuses names that are no header names, too many headers, and a block over the limit', () => {
    const coded = (code: string) => (error: unknown) => error instanceof GnutellaError && error.code === code;
    for (const name of ['', 'A:B', 'A\r\nB', 'A B', 'é']) {
      assert.throws(() => encodeBlock('S', [[name, 'v']]), coded('bad-handshake'));
    }
    const many = Array.from({ length: MAX_OWN_HEADERS + 1 }, (_, index): [string, string] => [`H${index}`, 'v']);
    assert.throws(() => encodeBlock('S', many), coded('too-large'));
    assert.doesNotThrow(() => encodeBlock('S', many.slice(1)));
    const big = Array.from({ length: 5 }, (_, index): [string, string] => [`H${index}`, 'v'.repeat(900)]);
    assert.throws(() => encodeBlock('S', big), coded('too-large'));
  });

  it('writes blocks that the reader takes as one block with the same number of headers, whatever the values', () => {
    const headers = fc.array(fc.tuple(fc.constantFrom('A', 'B', 'User-Agent'), fc.string({ unit: 'binary' })), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), headers, (start, list) => {
        const data = encodeBlock(`S ${start}`, list, 65_536);
        const result = new HeaderBlockReader().push(data);
        assert.ok(result?.ok);
        assert.equal(result.consumed, data.length);
        assert.deepEqual(
          result.headers.entries.map(([name]) => name),
          list.map(([name]) => name),
        );
      }),
      { numRuns: 200 },
    );
  });
});
