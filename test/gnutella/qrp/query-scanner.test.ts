import assert from 'node:assert/strict';
import {
  canonicalText,
  hashWord,
  matches,
  MAX_SCANNED_URNS,
  MAX_SCANNED_WORDS,
  QueryDefect,
  QueryScanner,
  tableForNames,
} from '@filbert/gnutella';
import fc from 'fast-check';
import { messagePayload } from './vectors.ts';

const SHA1 = 'PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB';
const URN_HASH = hashWord(`urn:sha1:${SHA1.toLowerCase()}`);
const TIGER = 'LWPNACQDBZRYXW3VHJVCJ64QBZNGHOHHHZWCLNQ';
/** The 20 bytes of `SHA1`. */
const SHA1_HEX = '7ae533a1f034a599cba54d1e055336a1b10c3ca1';

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex');

/** A payload of flags, text and an extension area. */
function query(text: string | Buffer, area: Buffer = Buffer.alloc(0), flags = 0x8000): Buffer {
  return Buffer.concat([Buffer.from([flags >> 8, flags & 0xff]), Buffer.from(text), Buffer.of(0), area]);
}

function scan(payload: Uint8Array): { defect: number; scanner: QueryScanner } {
  const scanner = new QueryScanner();
  return { defect: scanner.scan(payload, 0, payload.length), scanner };
}

function urnsOf(area: Buffer): number[] {
  const { defect, scanner } = scan(query('some words', area));
  assert.equal(defect, QueryDefect.none);
  return [...scanner.urnHashes.subarray(0, scanner.urnCount)];
}

/** What the words of a text must hash to, by way of strings. */
function wordHashes(text: string): number[] {
  const words = canonicalText(text).split(' ');
  return words.filter((word) => Buffer.byteLength(word) >= 3).map(hashWord);
}

describe('QueryScanner', () => {
  it('reads the published queries', () => {
    const { defect, scanner } = scan(messagePayload('query_huge_ggep'));
    assert.equal(defect, QueryDefect.none);
    assert.equal(scanner.flags, 0xbc00);
    assert.deepEqual([scanner.textStart, scanner.textEnd], [2, 19]);
    assert.deepEqual([...scanner.wordHashes.subarray(0, scanner.wordCount)], wordHashes('gnutella protocol'));
    assert.deepEqual([...scanner.urnHashes.subarray(0, scanner.urnCount)], [URN_HASH]);
    assert.equal(scanner.outOfBand, true);
    assert.equal(scanner.whatsNew, false);
    assert.equal(scan(messagePayload('query_plain')).scanner.outOfBand, false);
  });

  it('reads a payload in the middle of other bytes', () => {
    const payload = query('gnutella', latin(`urn:sha1:${SHA1}`));
    const bytes = Buffer.concat([Buffer.alloc(23, 0xc3), payload, latin('\u00c3tail')]);
    const scanner = new QueryScanner();
    assert.equal(scanner.scan(bytes, 23, 23 + payload.length), QueryDefect.none);
    assert.deepEqual([scanner.textStart, scanner.textEnd], [25, 33]);
    assert.equal(scanner.urnCount, 1);
  });

  it('finds the table of a file that the query names', () => {
    const table = tableForNames(['Café Müller - Gnutella.mp3'], []);
    for (const [text, expected] of [
      ['GNUTELL cafe', true],
      ['müller, gnutella', true],
      ['café x', true],
      ['café missing', false],
      ['a b', false],
    ] as const) {
      const { defect, scanner } = scan(query(text));
      assert.equal(defect, QueryDefect.none);
      assert.equal(matches(table, scanner), expected, text);
    }
  });

  it('takes for ASCII what the canonical form takes', () => {
    const text = fc.string({ unit: fc.integer({ min: 1, max: 127 }).map((code) => String.fromCharCode(code)) });
    const lettery = fc.string({ unit: fc.constantFrom('a', 'B', 'z', '9', ' ', '-', '\n', '\t', '\u007f') });
    const fast = new QueryScanner();
    const slow = new QueryScanner();
    fc.assert(
      fc.property(fc.oneof(text, lettery), (sample) => {
        const ascii = query(`xx${sample}`);
        // The soft hyphen is a separator and forces the slow way.
        const other = query(`xx${sample}\u00ad`);
        assert.equal(fast.scan(ascii, 0, ascii.length), QueryDefect.none);
        assert.equal(slow.scan(other, 0, other.length), QueryDefect.none);
        const hashes = [...fast.wordHashes.subarray(0, fast.wordCount)];
        assert.deepEqual(hashes, wordHashes(`xx${sample}`));
        assert.deepEqual(hashes, [...slow.wordHashes.subarray(0, slow.wordCount)]);
        assert.equal(fast.textHash, slow.textHash);
      }),
      { numRuns: 400 },
    );
  });

  it('hashes the words of any text as the canonical form does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        const payload = query(`ab${text.replaceAll('\0', '')}`);
        const { defect, scanner } = scan(payload);
        assert.equal(defect, QueryDefect.none);
        const expected = wordHashes(`ab${text.replaceAll('\0', '')}`);
        assert.deepEqual([...scanner.wordHashes.subarray(0, scanner.wordCount)], expected);
      }),
    );
  });

  it('gives equal text hashes to spellings of one text, and others to others', () => {
    const hash = (text: string): number => scan(query(text)).scanner.textHash;
    assert.equal(hash('The Café-Müller'), hash('the  CAFE muller!'));
    assert.notEqual(hash('the cafe'), hash('thecafe'));
    assert.notEqual(hash('cafe the'), hash('the cafe'));
  });

  it('looks up words of three bytes and more, 128 at most', () => {
    const { scanner } = scan(query('ab abc 日 a1 é'));
    assert.deepEqual([...scanner.wordHashes.subarray(0, scanner.wordCount)], [hashWord('abc'), hashWord('日')]);
    const many = scan(query('abc '.repeat(200))).scanner;
    assert.equal(many.wordCount, MAX_SCANNED_WORDS);
    const wide = scan(query('日 '.repeat(200))).scanner;
    assert.equal(wide.wordCount, MAX_SCANNED_WORDS);
  });

  it('normalises the flags', () => {
    for (const [raw, flags, outOfBand, firewalled] of [
      [0xc400, 0xc400, true, true],
      [0x8000, 0x8000, false, false],
      [0x0098, 0x9800, false, false],
      [0x00dc, 0xdc00, true, true],
      [0x4400, 0x8000, false, false],
      [0x0001, 0x8000, false, false],
    ] as const) {
      const { scanner } = scan(query('words', undefined, raw));
      assert.deepEqual([scanner.flags, scanner.outOfBand, scanner.firewalled], [flags, outOfBand, firewalled]);
    }
    assert.equal(scan(query('words', undefined, 0)).defect, QueryDefect.noFlags);
  });

  it('refuses what is too short, too long or has no NUL', () => {
    assert.equal(scan(hex('800000')).defect, QueryDefect.tooShort);
    assert.equal(scan(query('a'.repeat(1022))).defect, QueryDefect.tooLong);
    assert.equal(scan(query('a'.repeat(1021))).defect, QueryDefect.none);
    assert.equal(scan(latin('\u0080\u0000abcdef')).defect, QueryDefect.noTerminator);
  });

  it('refuses text that is no UTF-8, or a byte order mark alone', () => {
    for (const bytes of ['c3', 'c0af', 'e080af', 'eda080', 'f4908080', 'f08080af', 'ff', '80', 'e282', 'efbbbf']) {
      assert.equal(scan(query(hex(`${bytes === 'efbbbf' ? '' : '6161'}${bytes}`))).defect, QueryDefect.badUtf8, bytes);
    }
    const { defect, scanner } = scan(query(hex('efbbbf 616263')));
    assert.equal(defect, QueryDefect.none);
    assert.deepEqual([scanner.textStart, scanner.wordHashes[0]], [5, hashWord('abc')]);
    for (const good of ['\u{10ffff}abc', '\ud7ffabc', '\ue000abc', '߿abc', 'ࠀabc', '\u{10000}abc']) {
      assert.equal(scan(query(good)).defect, QueryDefect.none);
    }
  });

  it('wants two bytes of text or a SHA-1', () => {
    const urn = latin(`urn:sha1:${SHA1}`);
    assert.equal(scan(query('')).defect, QueryDefect.tooShort);
    assert.equal(scan(query('', latin('\0'))).defect, QueryDefect.tooLittle);
    assert.equal(scan(query('a')).defect, QueryDefect.tooLittle);
    assert.equal(scan(query('ab')).defect, QueryDefect.none);
    for (const text of ['', '\\']) {
      const { defect, scanner } = scan(query(text, urn));
      assert.deepEqual([defect, scanner.urnCount, scanner.wordCount], [QueryDefect.none, 1, 0]);
    }
    assert.equal(scan(query('', latin('urn:sha1:'))).defect, QueryDefect.tooLittle);
    assert.equal(scan(query('', latin(`urn:ttroot:${TIGER}`))).defect, QueryDefect.tooLittle);
  });

  it("knows What's New by its text and by GGEP, and refuses it with a SHA-1", () => {
    const wh = hex('c3 82 5748 41 01');
    assert.equal(scan(query('WhatIsNewXOXO')).scanner.whatsNew, true);
    assert.equal(scan(query('whatisnewxoxo')).scanner.whatsNew, true);
    assert.equal(scan(query('WhatIsNewXOXOX')).scanner.whatsNew, false);
    assert.equal(scan(query('words', wh)).scanner.whatsNew, true);
    assert.equal(scan(query('words', hex('c3 82 5748 40'))).scanner.whatsNew, true);
    const both = Buffer.concat([wh, latin(`\u001curn:sha1:${SHA1}`)]);
    assert.equal(scan(query('words', both)).defect, QueryDefect.whatsNewWithUrn);
  });

  it('takes an unknown selector for a question of that kind, which needs no text (conformance 200)', () => {
    const unknown = hex('c3 82 5748 41 02');
    for (const text of ['', 'words']) {
      const { defect, scanner } = scan(query(text, unknown));
      assert.deepEqual([defect, scanner.whatsNew], [QueryDefect.none, true], text);
    }
    assert.equal(scan(query('', hex('c3 82 5748 41 01'))).defect, QueryDefect.none);
    assert.equal(scan(query('', hex('c3 82 5858 41 01'))).defect, QueryDefect.tooLittle);
    const both = Buffer.concat([unknown, latin(`\u001curn:sha1:${SHA1}`)]);
    assert.equal(scan(query('words', both)).defect, QueryDefect.none);
  });

  it('forgets one query at the next', () => {
    const scanner = new QueryScanner();
    const first = query('WhatIsNewXOXO', undefined, 0xc400);
    const second = query('other words', latin(`urn:sha1:${SHA1}`));
    const third = query('plain');
    assert.equal(scanner.scan(first, 0, first.length), QueryDefect.none);
    assert.equal(scanner.scan(second, 0, second.length), QueryDefect.none);
    assert.deepEqual([scanner.whatsNew, scanner.outOfBand, scanner.firewalled], [false, false, false]);
    assert.equal(scanner.scan(third, 0, third.length), QueryDefect.none);
    assert.deepEqual([scanner.urnCount, scanner.wordCount], [0, 1]);
  });
});

describe('QueryScanner on extensions', () => {
  it('reads SHA-1 and bitprint URNs of any case', () => {
    for (const text of [`urn:sha1:${SHA1}`, `URN:SHA1:${SHA1.toLowerCase()}`, `urn:bitprint:${SHA1}.${TIGER}`]) {
      assert.deepEqual(urnsOf(latin(text)), [URN_HASH], text);
      assert.deepEqual(urnsOf(latin(`${text}\0`)), [URN_HASH], text);
      assert.deepEqual(urnsOf(latin(`\u001c${text}\u001c<xml?>\u001c`)), [URN_HASH], text);
    }
  });

  it('ignores labels and other namespaces', () => {
    for (const text of ['urn:', 'urn:sha1:', 'urn:sha1', 'urn:bitprint:', `urn:ttroot:${TIGER}`, 'urn:tree:tiger/:x']) {
      assert.deepEqual(urnsOf(latin(`${text}\u001curn:sha1:${SHA1}`)), [URN_HASH], text);
    }
    assert.deepEqual(urnsOf(latin('urn')), []);
  });

  it('drops the query for a malformed URN', () => {
    for (const text of [
      `urn:sha1:${SHA1.slice(1)}`,
      `urn:sha1:${SHA1}A`,
      `urn:sha1:${SHA1.slice(1)}1`,
      `urn:bitprint:${SHA1}.${TIGER.slice(1)}`,
      `urn:bitprint:${SHA1}-${TIGER}`,
      'urn::x',
      'urn:?:x',
    ]) {
      assert.equal(scan(query('words', latin(text))).defect, QueryDefect.badUrn, text);
    }
  });

  it('reads the GGEP forms of a SHA-1', () => {
    const tiger = '00'.repeat(24);
    assert.deepEqual(urnsOf(hex(`c3 81 48 55 01 ${SHA1_HEX}`)), [URN_HASH], 'H, SHA-1');
    assert.deepEqual(urnsOf(hex(`c3 81 48 6d 02 ${SHA1_HEX} ${tiger}`)), [URN_HASH], 'H, bitprint');
    assert.deepEqual(urnsOf(hex(`c3 c1 48 56 16 01 ${SHA1_HEX}`)), [URN_HASH], 'H, COBS');
    const u = latin(`sha1:${SHA1}`);
    assert.deepEqual(urnsOf(Buffer.concat([hex('c3 81 75 65'), u])), [URN_HASH], 'u');
    assert.deepEqual(urnsOf(hex('c3 81 48 55 09 0123456789012345678901234567890123456789')), [], 'unknown type');
    assert.equal(scan(query('words', hex(`c3 81 48 54 01 ${SHA1_HEX.slice(2)}`))).defect, QueryDefect.badUrn);
  });

  it('decodes zero bytes out of COBS', () => {
    const digest = Buffer.from('00'.repeat(20), 'hex');
    const cobs = Buffer.concat([hex('02 01'), Buffer.alloc(19, 1), hex('01')]);
    const plain = urnsOf(Buffer.concat([hex('c3 81 48 55 01'), digest]));
    assert.deepEqual(urnsOf(Buffer.concat([hex('c3 c1 48 56'), cobs])), plain);
    assert.deepEqual(plain, [hashWord(`urn:sha1:${'a'.repeat(32)}`)]);
  });

  it('does not take the inside of a GGEP block for text, a separator or a URN', () => {
    const inside = latin(`\0\0urn:sha1:bad\u001c\u001c`);
    const block = Buffer.concat([hex('c3 82 5858'), Buffer.of(0x40 | inside.length), inside]);
    assert.deepEqual(urnsOf(Buffer.concat([block, latin(`urn:sha1:${SHA1}`)])), [URN_HASH]);
  });

  it('takes the first of repeated keys, and entries behind others', () => {
    const h = `48 55 01 ${SHA1_HEX}`;
    assert.deepEqual(urnsOf(hex(`c3 02 5858 42 ffff 01 ${h} 01 48 55 01 ${'11'.repeat(20)} 82 5748 41 02`)), [
      URN_HASH,
    ]);
    assert.deepEqual(urnsOf(hex(`c3 02 5858 8042 ffff 81 ${h}`)), [URN_HASH], 'a length that is not minimal');
    assert.deepEqual(urnsOf(hex(`c3 01 ${h}`)), [URN_HASH], 'no last bit at the end of the area');
  });

  it('takes an invalid GGEP block for unknown text as a whole', () => {
    const h = `81 48 55 01 ${SHA1_HEX}`;
    for (const [what, digits] of [
      ['reserved bit', `c3 11 58 40 ${h}`],
      ['no id', `c3 00 40 ${h}`],
      ['NUL in the id', `c3 02 5800 40 ${h}`],
      ['length with both marks', `c3 01 58 c0 ${h}`],
      ['length without marks', `c3 01 58 00 ${h}`],
      ['four length bytes', `c3 01 58 80808040 ${h}`],
      ['data beyond the area', `c3 01 58 7f ${h}`],
      ['bad COBS', `c3 41 58 42 0500 ${h}`],
      ['no zlib header', `c3 21 58 46 ffffffffffff ${h}`],
      ['too short for zlib', `c3 21 58 42 789c ${h}`],
      ['an end inside', 'c3 81'],
      ['nothing', 'c3'],
    ] as const) {
      assert.deepEqual(urnsOf(hex(digits)), [], what);
    }
    assert.deepEqual(
      urnsOf(Buffer.concat([hex('c3 11 58 40'), latin(`urn:sha1:${SHA1}`)])),
      [URN_HASH],
      'goes on at urn:',
    );
    assert.deepEqual(urnsOf(hex(`c3 11 58 40 1c c3 ${h}`)), [URN_HASH], 'goes on at the next block');
  });

  it('skips unknown text and XML', () => {
    const urn = `urn:sha1:${SHA1}`;
    assert.deepEqual(urnsOf(latin(`garbage${urn}`)), [URN_HASH]);
    assert.deepEqual(urnsOf(latin(`<?xml ${urn} ?>\u001c${urn}`)), [URN_HASH]);
    assert.deepEqual(urnsOf(latin(`1 < 2<x>${urn}`)), []);
  });

  it('allows one separator and refuses runs of them', () => {
    for (const good of ['\0', '\u001c', `\u001curn:\u001c<x>\0`]) {
      assert.equal(scan(query('words', latin(good))).defect, QueryDefect.none);
    }
    for (const bad of ['\0\0', '\u001c\u001c', `urn:\u001c\0`, '\u001c'.repeat(200)]) {
      assert.equal(scan(query('words', latin(bad))).defect, QueryDefect.badExtensions);
    }
  });

  it('honours ten URNs and looks at 32 extensions', () => {
    const urn = latin(`urn:sha1:${SHA1}\u001c`);
    const many = Buffer.concat(Array.from({ length: 12 }, () => urn));
    assert.equal(urnsOf(many).length, MAX_SCANNED_URNS);
    const labels = (count: number): Buffer => latin('urn:\u001c'.repeat(count));
    assert.equal(urnsOf(Buffer.concat([labels(31), urn])).length, 1);
    assert.equal(urnsOf(Buffer.concat([labels(32), urn])).length, 0);
    const entries = hex('c3' + '015840'.repeat(300));
    assert.deepEqual(urnsOf(entries), []);
  });

  it('never throws and keeps its bounds, whatever the bytes', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 24 }),
      fc
        .constantFrom('c3', 'c38148', 'c3c14856', `c3814855 01${SHA1_HEX}`, '75726e3a', '3c78', '1c', '00', 'c3825748')
        .map(hex),
    );
    const scanner = new QueryScanner();
    const known = new Set<number>(Object.values(QueryDefect));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const bytes = Buffer.concat([Buffer.from([0x80, 0x00]), ...pieces]);
        const defect = scanner.scan(bytes, 0, bytes.length);
        assert.ok(known.has(defect));
        assert.ok(scanner.wordCount <= MAX_SCANNED_WORDS && scanner.urnCount <= MAX_SCANNED_URNS);
      }),
      { numRuns: 500 },
    );
  });
});
