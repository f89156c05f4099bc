import assert from 'node:assert/strict';
import { bar, ProgressLine } from '../../cli/src/commands/progress-line.ts';
import { jsonLine, printable } from '../../cli/src/commands/show.ts';

describe('cli: progress line', () => {
  function lineOn(output: { readonly isTTY: boolean; readonly columns?: number }) {
    const written: string[] = [];
    const clock = { nowMs: 0 };
    const write = (text: string): number => written.push(text);
    return { written, clock, line: new ProgressLine({ output: { ...output, write }, now: () => clock.nowMs }) };
  }

  it('redraws one line on a terminal, never wider than it, and takes it away', () => {
    const { written, line } = lineOn({ isTTY: true, columns: 8 });
    line.show('one');
    line.show('longer than that');
    line.clear();
    line.clear();
    assert.deepEqual(written, ['\rone\x1b[K', '\rlonger \x1b[K', '\r\x1b[K']);
  });

  it('takes a terminal that says no width for one of 80 columns', () => {
    const { written, line } = lineOn({ isTTY: true, columns: 0 });
    line.show('x'.repeat(100));
    assert.deepEqual(written, [`\r${'x'.repeat(79)}\x1b[K`]);
  });

  it('elsewhere writes a line every few seconds, what is important at once, and nothing twice', () => {
    const { written, clock, line } = lineOn({ isTTY: false });
    line.show('a');
    line.show('b');
    line.show('c', true);
    clock.nowMs = 3_000;
    line.show('c');
    line.show('d');
    line.clear();
    assert.deepEqual(written, ['a\n', 'c\n', 'd\n']);
  });

  it('draws a bar that is full only at the end', () => {
    assert.deepEqual([bar(0, 4), bar(0.999, 4), bar(1, 4), bar(7, 4)], ['[----]', '[###-]', '[####]', '[####]']);
  });
});

describe('cli: texts from the network', () => {
  it('keeps letters of all languages and cuts between them', () => {
    assert.equal(printable('Ünïcödé 音楽 😀'), 'Ünïcödé 音楽 😀');
    assert.equal(printable('😀😀😀', 2), '😀…');
  });

  it('takes out escapes, controls, what turns the line around, and halves of characters', () => {
    assert.equal(printable('a\x1b[31mb\x07c\u202ed\u2028e\ud800f'), 'ab c d e\ufffdf');
  });

  it('writes JSON in which they are escapes and the value is the same', () => {
    const value = { name: 'a\x1b\x9b\u202e\u{e0041}\x7f é' };
    assert.equal(jsonLine(value), '{"name":"a\\u001b\\u009b\\u202e\\udb40\\udc41\\u007f é"}');
    assert.deepEqual(JSON.parse(jsonLine(value)), value);
  });
});
