import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { HeaderBlockResult } from '@filbert/gnutella';
import {
  HandshakeHeaders,
  HeaderBlockReader,
  MAX_BLOCK_BYTES,
  MAX_HEADER_LINES,
  MAX_LINE_BYTES,
} from '@filbert/gnutella';
import { block, bytes } from './support.ts';

function read(text: string, ...cuts: number[]): HeaderBlockResult | undefined {
  const reader = new HeaderBlockReader();
  const data = bytes(text);
  let result: HeaderBlockResult | undefined;
  let from = 0;
  for (const to of [...cuts, data.length]) {
    result ??= reader.push(data.subarray(from, to));
    from = to;
  }
  return result;
}

function entries(result: HeaderBlockResult | undefined): readonly (readonly [string, string])[] {
  assert.ok(result?.ok, JSON.stringify(result));
  return result.headers.entries;
}

function reasonOf(result: HeaderBlockResult | undefined): string {
  assert.ok(result && !result.ok, 'the block was taken');
  return result.reason;
}

/** A line of exactly that many bytes. */
const lineOf = (length: number): string => `X-Fill: ${'a'.repeat(length - 'X-Fill: '.length)}`;

describe('handshake: header block reader', () => {
  const SAMPLE = 'GNUTELLA CONNECT/0.6\r\nA: 1\r\nb:2\n  more\r\n\tand more\r\nA: 3\r\nno colon\r\n\r\nrest';

  it('reads start line, headers in order, continuation and repeated lines, and leaves the rest', () => {
    const result = read(SAMPLE);
    assert.ok(result?.ok);
    assert.equal(result.startLine, 'GNUTELLA CONNECT/0.6');
    assert.deepEqual(result.headers.entries, [
      ['A', '1'],
      ['b', '2 more and more'],
      ['A', '3'],
    ]);
    assert.equal(result.headers.get('a'), '1, 3');
    assert.equal(SAMPLE.slice(result.consumed), 'rest');
  });

  it('gives the same block at every split point', () => {
    const whole = entries(read(SAMPLE));
    for (let cut = 0; cut <= SAMPLE.length; cut++) assert.deepEqual(entries(read(SAMPLE, cut)), whole, `cut at ${cut}`);
  });

  it('gives the same block byte by byte, and says in which chunk it ended', () => {
    const reader = new HeaderBlockReader();
    const end = SAMPLE.length - 'rest'.length;
    for (const [index, byte] of bytes(SAMPLE).entries()) {
      const result = reader.push(Uint8Array.of(byte));
      if (index < end - 1) {
        assert.equal(result, undefined, `byte ${index}`);
      } else {
        assert.ok(result?.ok);
        assert.equal(result.consumed, index === end - 1 ? 1 : 0, 'bytes after the block are not its own');
        assert.equal(result.headers.get('B'), '2 more and more');
      }
    }
  });

  it('takes bare LF for a line end', () => {
    assert.deepEqual(entries(read('GNUTELLA/0.6 200 OK\nX-Ultrapeer: True\n\n')), [['X-Ultrapeer', 'True']]);
  });

  it('lets the first of repeated single-valued headers win and joins the others', () => {
    const headers = new HandshakeHeaders([
      ['X-Ultrapeer', 'True'],
      ['X-Features', 'a/1.0'],
      ['x-ultrapeer', 'False'],
      ['x-features', 'b/1.0'],
    ]);
    assert.equal(headers.get('X-ULTRAPEER'), 'True');
    assert.equal(headers.get('X-Features'), 'a/1.0, b/1.0');
    assert.equal(headers.has('X-Degree'), false);
    assert.equal(headers.get('X-Degree'), undefined);
  });

  it('ignores lines without a colon or with an impossible name, and what continues them', () => {
    const text = block(
      'S',
      ' stray continuation',
      'nothing',
      ' goes on',
      ': nameless',
      'two words: x',
      'N\0: x',
      'Y: z',
    );
    assert.deepEqual(entries(read(text)), [['Y', 'z']]);
  });

  it('strips NUL and other control bytes out of values and the start line, and keeps 8-bit bytes', () => {
    const result = read(block('GNUTELLA/0.6 200 O\x07K', 'User-Agent: Ev\0il\x1b[31m\r/1 \xe9'));
    assert.ok(result?.ok);
    assert.equal(result.startLine, 'GNUTELLA/0.6 200 OK');
    assert.equal(result.headers.get('User-Agent'), 'Evil[31m/1 \xe9');
  });

  it(`takes a line of ${MAX_LINE_BYTES} bytes, with LF or CRLF, and refuses one of ${MAX_LINE_BYTES + 1}`, () => {
    const longest = lineOf(MAX_LINE_BYTES);
    assert.equal(entries(read(`S\r\n${longest}\r\n\r\n`)).length, 1);
    assert.equal(entries(read(`S\n${longest}\n\n`)).length, 1);
    assert.equal(reasonOf(read(`S\r\n${longest}a\r\n\r\n`)), 'line-too-long');
    assert.equal(reasonOf(read(`S\n${longest}a\n\n`)), 'line-too-long');
  });

  it('refuses a line too long before it ends, at every split', () => {
    const text = `S\r\n${lineOf(MAX_LINE_BYTES + 1)}`;
    for (let cut = 1; cut < text.length; cut += 97) assert.equal(reasonOf(read(text, cut)), 'line-too-long');
    assert.equal(reasonOf(read('x'.repeat(MAX_LINE_BYTES + 1))), 'line-too-long', 'a start line is a line');
    assert.equal(reasonOf(read('x'.repeat(MAX_LINE_BYTES) + '\rx')), 'line-too-long', 'a CR inside the line');
  });

  it(`takes ${MAX_HEADER_LINES} header lines and refuses ${MAX_HEADER_LINES + 1}, continuation lines counted`, () => {
    const lines = (count: number): string[] => Array.from({ length: count }, (_, index) => `H${index}: v`);
    assert.equal(entries(read(block('S', ...lines(MAX_HEADER_LINES)))).length, MAX_HEADER_LINES);
    assert.equal(reasonOf(read(block('S', ...lines(MAX_HEADER_LINES + 1)))), 'too-many-lines');
    assert.equal(reasonOf(read(block('S', ...lines(MAX_HEADER_LINES), ' on'))), 'too-many-lines');
  });

  it(`takes a block of ${MAX_BLOCK_BYTES} bytes and refuses one byte more, ended or not`, () => {
    const fill = Array.from({ length: 16 }, () => lineOf(1000));
    const used = block('S', ...fill).length;
    const exact = block('S', ...fill, lineOf(MAX_BLOCK_BYTES - used - 2));
    assert.equal(exact.length, MAX_BLOCK_BYTES);
    assert.equal(entries(read(exact)).length, 17);
    assert.equal(reasonOf(read(block('S', ...fill, lineOf(MAX_BLOCK_BYTES - used - 1)))), 'block-too-large');
    const lines = Array.from({ length: 17 }, () => `${lineOf(1000)}\r\n`).join('');
    assert.equal(reasonOf(read(`S\r\n${lines}`)), 'block-too-large');
  });

  it('reports the end of the stream before the blank line, with the headers so far', () => {
    const reader = new HeaderBlockReader();
    reader.push(bytes('GNUTELLA/0.6 200 OK\r\nA: 1\r\nB: 2'));
    const result = reader.end();
    assert.ok(!result.ok);
    assert.equal(result.reason, 'eof');
    assert.equal(result.startLine, 'GNUTELLA/0.6 200 OK');
    assert.deepEqual(result.headers.entries, [['A', '1']]);
    assert.deepEqual(reader.push(bytes('\r\n\r\n')), result, 'a fault is final');
  });

  it('takes any bytes in any chunks without throwing, and to the same end', () => {
    const chunk = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom('\r', '\n', ':', ' ', 'A: b\r\n').map(bytes),
    );
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 30 }), (chunks) => {
        const reader = new HeaderBlockReader();
        let split: HeaderBlockResult | undefined;
        for (const one of chunks) split ??= reader.push(one);
        const whole = new HeaderBlockReader().push(Buffer.concat(chunks));
        assert.equal(split?.ok, whole?.ok);
        if (split && whole) assert.deepEqual(split.headers.entries, whole.headers.entries);
      }),
      { numRuns: 200 },
    );
  });
});
