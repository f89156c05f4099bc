import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MAX_NAME_BYTES, numberedName, safeFileName } from '../../../services/transfers/src/download/file-names.ts';

describe('transfers: file names', () => {
  const cases: readonly (readonly [given: string, safe: string])[] = [
    ['song.mp3', 'song.mp3'],
    ['a  b\tc.txt', 'a bc.txt'],
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\boot.ini', 'boot.ini'],
    ['..', 'download'],
    ['.', 'download'],
    ['', 'download'],
    ['/', 'download'],
    ['.bashrc', 'bashrc'],
    ['a\0b.txt', 'ab.txt'],
    ['a\nb.txt', 'ab.txt'],
    ['photo\u202egpj.exe', 'photogpj.exe'],
    ['a<b>:"c|d?*.txt', 'a_b___c_d__.txt'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['com1.tar.gz', '_com1.tar.gz'],
    ['console.txt', 'console.txt'],
    ['trailing. . ', 'trailing'],
    ['e\u0301.txt', '\u00e9.txt'],
    ['\ud800.txt', '_.txt'],
  ];
  for (const [given, safe] of cases) {
    it(`makes ${JSON.stringify(safe)} of ${JSON.stringify(given)}`, () => assert.equal(safeFileName(given), safe));
  }

  it('cuts a long name before its ending, between characters', () => {
    const name = safeFileName(`${'\u{1f600}'.repeat(100)}.mp3`);
    assert.ok(Buffer.byteLength(name) <= MAX_NAME_BYTES);
    assert.ok(name.endsWith('\u{1f600}.mp3'));
    assert.ok(name.isWellFormed());
    assert.equal(Buffer.byteLength(safeFileName(`a.${'x'.repeat(400)}`)), MAX_NAME_BYTES);
  });

  it('makes one safe component of anything, and changes it no more', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (given) => {
        const name = safeFileName(given);
        assert.match(name, /^[^/\\\0]+$/);
        assert.ok(name !== '.' && name !== '..' && !name.startsWith('.'));
        assert.ok(Buffer.byteLength(name) <= MAX_NAME_BYTES);
        assert.equal(safeFileName(name), name);
      }),
      { numRuns: 500 },
    );
  });

  it('numbers names before their ending', () => {
    assert.equal(numberedName('a.tar.gz', 2), 'a.tar (2).gz');
    assert.equal(numberedName('plain', 1), 'plain (1)');
  });
});
