import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  appendQueryGgep,
  asSha1,
  decodeQuery,
  encodeGgep,
  encodeQuery,
  GnutellaError,
  HEADER_BYTES,
  MAX_QUERY_BYTES,
  patchQueryFlags,
  QueryFlag,
  readQueryFlags,
  URN_ONLY_TEXT,
  WHATS_NEW_TEXT,
} from '@filbert/gnutella';
import type { QueryFields } from '@filbert/gnutella';
import { hexBytes, limewireVectors } from '../vectors.ts';
import { MESSAGE, reasonOf, valueOf } from './frames.ts';

const ABC = 'urn:sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5';
const SO = { id: 'SO', value: new Uint8Array(0) };
const envelope = { guid: MESSAGE, ttl: 3 };

function payload(text: string, flags = 0x8000): Uint8Array {
  return Uint8Array.from([flags >>> 8, flags & 255, ...Array.from(text, (character) => character.charCodeAt(0))]);
}

function decode(text: string, flags?: number): ReturnType<typeof decodeQuery> {
  const bytes = payload(text, flags);
  return decodeQuery(bytes, 0, bytes.length);
}

function roundTrip(fields: QueryFields): ReturnType<typeof decodeQuery> {
  const frame = encodeQuery(envelope, fields);
  return decodeQuery(frame, HEADER_BYTES, frame.length);
}

describe('query: checks', () => {
  it('names what is wrong', () => {
    for (const [text, reason] of [
      ['ab\0', 'accepted'],
      ['a', 'short'],
      ['\0', 'short'],
      ['ab', 'no-nul'],
      ['a\0', 'short'],
      ['a\0\0', 'short-text'],
      ['\0\0', 'short-text'],
      [`\0${ABC}`, 'accepted'],
      [`\\\0${ABC}\0`, 'accepted'],
      ['\xff\xfe\0', 'not-utf8'],
      ['\xef\xbb\xbf\0', 'not-utf8'],
      ['\xef\xbb\xbfab\0', 'accepted'],
      ['ab\0\0', 'accepted'],
      ['ab\0\0\0', 'overhead'],
      [`ab\0${'\x1c'.repeat(200)}`, 'overhead'],
      [`ab\0${ABC}A`, 'malformed-urn'],
      [`ab\0${ABC.slice(0, -1)}`, 'malformed-urn'],
      ['ab\0urn:xyz', 'malformed-urn'],
      ['ab\0urn:', 'accepted'],
      ['ab\0urn', 'accepted'],
      ['ab\0urn:btih:00', 'accepted'],
      ['ab\0<unterminated', 'accepted'],
      ['ab\0\xc3\x90', 'accepted'],
      [`${WHATS_NEW_TEXT.toLowerCase()}\0${ABC}`, 'whats-new-with-hash'],
      [`ab\0${ABC}\x1c\xc3\x82WH\x41\x01`, 'whats-new-with-hash'],
      [`${'a'.repeat(MAX_QUERY_BYTES - 3)}\0`, 'accepted'],
      [`${'a'.repeat(MAX_QUERY_BYTES - 2)}\0`, 'too-large'],
    ] as const) {
      // 'a\0' is three bytes of text and NUL with one flag byte less: below the least size.
      const bytes = text === 'a\0' ? payload(text).subarray(1) : payload(text);
      assert.equal(reasonOf(decodeQuery(bytes, 0, bytes.length)), reason, JSON.stringify(text));
    }
  });

  it('reads the flags with their oddities', () => {
    for (const [raw, meant] of [
      [0x8800, 0x8800],
      [0x0000, 0],
      [0x0098, 0x9800],
      [0x04bc, 0xbc04],
      [0x0090, 0x8000],
      [0x0001, 0x8000],
      [0x7fff, 0xff7f],
    ] as const) {
      const bytes = payload('ab\0', raw);
      assert.equal(readQueryFlags(bytes, 0), meant, raw.toString(16));
    }
    assert.equal(reasonOf(decode('ab\0', 0)), 'no-flags');
  });

  it('sets and clears flags in place', () => {
    const bytes = payload('ab\0', 0x8400);
    patchQueryFlags(bytes, 0, QueryFlag.FIREWALLED, QueryFlag.OUT_OF_BAND);
    assert.deepEqual(bytes, payload('ab\0', 0xc000));
  });
});

describe('query: LimeWire’s values', () => {
  const limewire = limewireVectors['query'] as Readonly<Record<string, unknown>>;

  it('share texts and limits', () => {
    assert.equal(limewire['urn_only_text'], URN_ONLY_TEXT);
    assert.equal(limewire['what_is_new_text'], WHATS_NEW_TEXT);
    assert.equal(limewire['max_query_length'], MAX_QUERY_BYTES);
  });

  it('are refused where it refuses them, with differences that are meant', () => {
    // Deliberate differences: illegal characters of its search field are words' delimiters here (05), its TTL limits
    // belong to routing, and XML of up to 500 bytes is over the 256 bytes of a payload here (02 §4).
    assert.deepEqual(limewire['reject'], [
      'empty text and no URN',
      'GUID of 15 bytes',
      'text longer than max',
      'illegal characters',
    ]);
    assert.equal(reasonOf(decode('\0\0')), 'short-text');
    // XML alone is enough for LimeWire (conformance 163).
    assert.equal(reasonOf(decode('\0<audios><audio title="x"/></audios>\0')), 'short-text');
    // WH asks for a feature, known or not, and needs no text.
    assert.equal(reasonOf(decode('\0\u00c3\u0082WH\u0041\u0002')), 'accepted');
    assert.throws(() => encodeQuery({ guid: MESSAGE.subarray(1), ttl: 1 }, { flags: 0, text: 'ab' }), GnutellaError);
    assert.equal(reasonOf(decode(`${'a'.repeat(257)}\0`)), 'too-large');
    assert.equal(reasonOf(decode('a#b\0')), 'accepted');
  });

  it('have the flags of its computed queries', () => {
    assert.match(limewire['flags_note'] as string, /e0 00 or c4 00/);
    const flags = valueOf(decode('ab\0', 0xe000)).flags;
    assert.equal(flags, QueryFlag.IS_FLAGS | QueryFlag.FIREWALLED | QueryFlag.WANTS_XML);
    assert.equal(valueOf(decode('ab\0', 0xc400)).flags & QueryFlag.OUT_OF_BAND, QueryFlag.OUT_OF_BAND);
  });
});

describe('query: content', () => {
  it('takes hashes from GGEP, and the extended text for matching', () => {
    const sha1 = asSha1(new Uint8Array(20).fill(7));
    const query = valueOf(
      roundTrip({
        flags: 0,
        text: '',
        ggep: [
          { id: 'H', value: Uint8Array.of(1, ...sha1) },
          { id: 'XQ', value: new TextEncoder().encode('längerer Text '.repeat(10)), deflate: true },
        ],
      }),
    );
    assert.deepEqual(query.sha1s, [sha1]);
    assert.equal(query.text, '');
    assert.equal(query.searchText, 'längerer Text '.repeat(10));
  });

  it('keeps the text where the extended one is unreadable or too long', () => {
    const searchText = (value: Uint8Array, deflate = false): string => {
      const frame = encodeQuery(envelope, { flags: 0, text: 'plain', ggep: [{ id: 'XQ', value, deflate }] });
      return valueOf(decodeQuery(frame, HEADER_BYTES, frame.length, 2000)).searchText;
    };
    assert.equal(searchText(Uint8Array.of(0xff)), 'plain');
    assert.equal(searchText(new Uint8Array(256).fill(65)), 'plain');
    assert.equal(searchText(new Uint8Array(4000).fill(65), true), 'plain');
    assert.equal(searchText(new Uint8Array(0)), 'plain');
    assert.equal(searchText(new Uint8Array(255).fill(65)), 'A'.repeat(255));
  });

  it('brings what it writes back', () => {
    const text = fc.string({ unit: fc.constantFrom(...'abc äß漢1 '), minLength: 2, maxLength: 20 });
    const sha1 = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(asSha1);
    fc.assert(
      fc.property(
        text,
        fc.option(sha1),
        fc.nat(0x7fff),
        fc.boolean(),
        fc.boolean(),
        (words, hash, flags, so, finalNul) => {
          const query = valueOf(
            roundTrip({ flags, text: words, sha1s: hash === null ? [] : [hash], ggep: so ? [SO] : [], finalNul }),
          );
          assert.equal(query.text, words);
          assert.equal(query.flags, flags | QueryFlag.IS_FLAGS);
          assert.deepEqual(query.sha1s, hash === null ? [] : [hash]);
          assert.equal(query.ggep.length, so ? 1 : 0);
        },
      ),
    );
  });

  it('throws for text of the caller that would end early', () => {
    assert.throws(() => encodeQuery(envelope, { flags: 0, text: 'a\0b' }), GnutellaError);
    assert.throws(() => encodeQuery(envelope, { flags: 0, text: 'ab', xml: '<a>\x1c' }), GnutellaError);
  });
});

describe('query: unknown extensions', () => {
  const unknown = fc.oneof(
    fc.constantFrom(ABC, 'urn:btih:1', '<xml a="1"/>', 'NEW1x', '\xc3\x90bad'),
    fc
      .tuple(fc.constantFrom('ZZ', 'NP', 'a'), fc.uint8Array({ maxLength: 20 }))
      .map(([id, value]) => String.fromCharCode(...encodeGgep([{ id, value }]))),
  );

  it('survive decoding in the raw area, and appending a block, byte for byte', () => {
    fc.assert(
      fc.property(fc.array(unknown, { maxLength: 4 }), fc.constantFrom('', '\0', '\x1c'), (parts, tail) => {
        const area = parts.join('\x1c') + (parts.length === 0 ? '' : tail);
        const bytes = payload(`words\0${area}`);
        const query = valueOf(decodeQuery(bytes, 0, bytes.length, 2000));
        assert.equal(String.fromCharCode(...query.area.raw), area);

        const appended = appendQueryGgep(bytes, 0, envelope, [SO]);
        assert.ok(appended);
        assert.deepEqual(appended.subarray(HEADER_BYTES, HEADER_BYTES + bytes.length), bytes);
        const again = valueOf(decodeQuery(appended, HEADER_BYTES, appended.length, 2000));
        assert.equal(again.ggep.at(-1)?.id, 'SO');
        assert.deepEqual(
          again.area.extensions
            .slice(0, query.area.extensions.length)
            .map(({ kind, start, end }) => [kind, end - start]),
          query.area.extensions.map(({ kind, start, end }) => [kind, end - start]),
        );
      }),
    );
  });

  it('are not appended to where nothing can follow', () => {
    assert.equal(appendQueryGgep(payload('words'), 0, envelope, [SO]), undefined);
    const open = payload('words\0\xc3\x01A\x40');
    assert.equal(appendQueryGgep(open, 0, envelope, [SO]), undefined);
    assert.equal(valueOf(decodeQuery(open, 0, open.length)).ggep[0]?.id, 'A');
    const full = payload(`words\0${'x'.repeat(65_520)}`);
    assert.throws(() => appendQueryGgep(full, 0, envelope, [{ id: 'A', value: new Uint8Array(30) }]), GnutellaError);
  });

  it('of a frame with a header are appended to at the payload', () => {
    const frame = encodeQuery(envelope, { flags: 0, text: 'words' });
    const appended = appendQueryGgep(frame, HEADER_BYTES, { guid: hexBytes('11'.repeat(16)), ttl: 2, hops: 1 }, [SO]);
    assert.deepEqual(
      appended,
      encodeQuery({ guid: hexBytes('11'.repeat(16)), ttl: 2, hops: 1 }, { flags: 0, text: 'words', ggep: [SO] }),
    );
  });
});
