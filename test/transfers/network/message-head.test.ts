import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HEAD_LIMITS, HeadReader, type HeadProgress } from '../../../services/transfers/src/network/message-head.ts';

function read(text: string): HeadProgress {
  return new HeadReader().push(Buffer.from(text, 'latin1'));
}

describe('transfers: heads of HTTP messages', () => {
  const text = 'GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a:2 \r\nX-Long: one\r\n  two\r\n\tthree\r\n\r\n';

  it('reads the start line and headers, folded and repeated ones too', () => {
    const progress = read(`${text}rest`);
    assert.ok(progress.kind === 'head');
    assert.equal(progress.head.startLine, 'GET /x HTTP/1.1');
    assert.deepEqual(Object.fromEntries(progress.head.headers), {
      host: 'a',
      'x-a': '1, 2',
      'x-long': 'one two three',
    });
    assert.equal(progress.used, text.length);
  });

  it('reads the same whatever the pieces', () => {
    const bytes = Buffer.from(text, 'latin1');
    for (let split = 0; split <= bytes.length; split++) {
      const reader = new HeadReader();
      const first = reader.push(bytes.subarray(0, split));
      const last = first.kind === 'need-more' ? reader.push(bytes.subarray(split)) : first;
      assert.ok(last.kind === 'head', `split at ${split}`);
      assert.equal(last.head.headers.get('x-long'), 'one two three');
    }
  });

  it('takes lines that end in LF alone, and skips a few empty lines before the first', () => {
    assert.equal(read('\r\n\nGET / HTTP/1.0\nA: b\n\n').kind, 'head');
    assert.equal(read('\n\n\n\n\n\n\nGET / HTTP/1.0\n\n').kind, 'refused');
  });

  const refusals: readonly (readonly [string, string, string])[] = [
    ['a start line above the limit', 'too-large', `GET /${'x'.repeat(HEAD_LIMITS.maxStartLineBytes)}`],
    ['a header line above the limit', 'too-large', `GET / HTTP/1.1\r\nx: ${'y'.repeat(HEAD_LIMITS.maxLineBytes)}`],
    ['too many headers', 'too-large', `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(HEAD_LIMITS.maxLines)}`],
    ['too many bytes', 'too-large', `GET / HTTP/1.1\r\n${`x: ${'y'.repeat(3_000)}\r\n`.repeat(6)}`],
    ['a folded line without end', 'too-large', `GET / HTTP/1.1\r\nx: y\r\n${` ${'z'.repeat(3_000)}\r\n`.repeat(6)}`],
    ['no colon', 'malformed', 'GET / HTTP/1.1\r\nHost\r\n\r\n'],
    ['an empty name', 'malformed', 'GET / HTTP/1.1\r\n: x\r\n\r\n'],
    ['a name with a space in it', 'malformed', 'GET / HTTP/1.1\r\na b: x\r\n\r\n'],
    ['a folded line first', 'malformed', 'GET / HTTP/1.1\r\n x\r\n\r\n'],
    ['a NUL', 'malformed', 'GET / HTTP/1.1\r\nx: \0\r\n\r\n'],
    ['a control character', 'malformed', 'GET /\x07 HTTP/1.1\r\n\r\n'],
    ['a stray CR', 'malformed', 'GET / HTTP/1.1\r\nx: a\rb\r\n\r\n'],
  ];
  for (const [what, reason, bytes] of refusals) {
    it(`refuses ${what} as ${reason}`, () => assert.deepEqual(read(bytes), { kind: 'refused', reason }));
  }

  it('is total and stays within its bounds', () => {
    const pieces = fc.array(fc.constantFrom('a', ':', ' ', '\r', '\n', '\r\n', 'HTTP', '\0', 'x: y\r\n'), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(pieces, (parts) => {
        const progress = read(parts.join(''));
        if (progress.kind === 'head') assert.ok(progress.used > 0);
      }),
      { numRuns: 500 },
    );
  });
});
