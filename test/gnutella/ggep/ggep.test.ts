import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import {
  decodePackedHosts,
  decodePackedHosts6,
  encodeGgep,
  encodeGgepLength,
  encodePackedHosts,
  encodePackedHosts6,
  encodeTlsBitmap,
  findGgep,
  findGgepValue,
  ggepValue,
  GnutellaError,
  MAX_GGEP_ENTRIES,
  MAX_PACKED_HOSTS,
  parseGgepBlock,
  parseGgepTail,
  tlsBit,
} from '@filbert/gnutella';
import type { GgepBlock } from '@filbert/gnutella';
import { hexBytes, hexOf, limewireVectors, vectorsOfKind } from '../vectors.ts';

const utf8 = new TextEncoder();

function parse(hex: string): GgepBlock {
  const parsed = parseGgepBlock(hexBytes(hex));
  assert.ok(parsed.ok, hex);
  return parsed.value;
}

function reasonOf(hex: string): string {
  const parsed = parseGgepBlock(hexBytes(hex));
  return parsed.ok ? 'accepted' : parsed.reason;
}

const id = fc.string({ unit: fc.constantFrom(...'ABCxyz019_.<'), minLength: 1, maxLength: 15 });
const field = fc.record({
  id,
  value: fc.oneof(fc.uint8Array({ maxLength: 90 }), fc.constantFrom(new Uint8Array(300), new Uint8Array(5000).fill(7))),
  deflate: fc.boolean(),
});
const fields = fc.array(field, { minLength: 1, maxLength: 8 });

describe('ggep: vectors', () => {
  it('writes every length of kind ggep-length', () => {
    for (const vector of vectorsOfKind('ggep-length')) {
      assert.equal(hexOf(encodeGgepLength(vector.input as number)), vector.hex, vector.name);
    }
    assert.throws(() => encodeGgepLength(262_144), GnutellaError);
  });

  it('writes and reads every block of kind ggep-block', () => {
    for (const vector of vectorsOfKind('ggep-block')) {
      const pairs = vector.input as readonly (readonly [string, string])[];
      const parts = pairs.map(([name, hex]) => ({ id: name, value: hexBytes(hex) }));
      // This one is of a place that allows NUL.
      const nulFree = vector.name !== 'ggep_len2';
      assert.equal(hexOf(encodeGgep(parts, { nulFree })), vector.hex, vector.name);
      const block = parse(vector.hex ?? '');
      assert.deepEqual(
        block.entries.map((entry) => [entry.id, hexOf(entry.data)]),
        pairs,
        vector.name,
      );
      assert.equal(block.end, (vector.hex ?? '').length / 2);
    }
  });

  it('inflates every block of kind ggep-block-decode', () => {
    for (const vector of vectorsOfKind('ggep-block-decode')) {
      const { entries } = parse(vector.input as string);
      const texts = entries.map((entry) => [entry.id, new TextDecoder().decode(ggepValue(entry))]);
      assert.deepEqual(texts, vector.expected, vector.name);
    }
  });

  it('refuses every block of kind ggep-block-invalid, but for the missing last bit', () => {
    for (const vector of vectorsOfKind('ggep-block-invalid')) {
      const parsed = parseGgepBlock(hexBytes(vector.input as string));
      assert.equal(parsed.ok, vector.name === 'ggep_bad_no_last_bit', vector.name);
      if (parsed.ok)
        assert.deepEqual(
          parsed.value.entries.map((entry) => [entry.id, entry.data.length]),
          [['A', 0]],
        );
    }
  });

  it('agrees with LimeWire’s values', () => {
    const list = limewireVectors['ggep'] as readonly Readonly<Record<string, unknown>>[];
    const named = (name: string): Readonly<Record<string, unknown>> =>
      list.find((entry) => entry['name'] === name) ?? {};
    const two = named('two headers');
    const block = parse(two['hex'] as string);
    assert.equal(block.end, two['end']);
    assert.deepEqual(
      Object.fromEntries(block.entries.map((entry) => [entry.id, Buffer.from(entry.data).toString()])),
      two['headers'],
    );
    const blocks = hexBytes(named('two blocks, parse at 0')['hex'] as string);
    for (const [at, key] of [
      [0, 'at0'],
      [8, 'at8'],
    ] as const) {
      const parsed = parseGgepBlock(blocks, at);
      assert.ok(parsed.ok);
      assert.deepEqual(
        parsed.value.entries.map((entry) => entry.id),
        named('two blocks, parse at 0')[key],
      );
    }
    assert.equal(reasonOf(named('reserved bit set -> bad block')['hex'] as string), 'reserved-bit');
    assert.equal(
      reasonOf(`c3${named('compressed flag without valid data -> bad block')['flag'] as string}42484f535440`),
      'bad-deflate',
    );
    assert.equal(reasonOf(`c3${named('zero-length id -> bad block')['flag'] as string}40`), 'bad-id');
    const put = named('put begin/middle(compressed)/end prefix');
    const written = hexOf(
      encodeGgep([
        { id: '1', value: utf8.encode('begin') },
        { id: '2', value: new Uint8Array(4000).fill(65), deflate: true },
        { id: '3', value: utf8.encode('end') },
      ]),
    );
    assert.ok(written.startsWith(put['hex_prefix'] as string));
    assert.ok(written.endsWith(put['hex_suffix'] as string));
    assert.equal(parse(written).entries[1]?.deflated, true);
    assert.throws(() => encodeGgep([{ id: 'sixteencharacter', value: new Uint8Array() }]), GnutellaError);
    assert.throws(() => encodeGgep([{ id: 'A', value: new Uint8Array(262_144) }]), GnutellaError);
  });
});

describe('ggep: blocks', () => {
  it('brings any fields back, free of NUL where asked', () => {
    fc.assert(
      fc.property(fields, fc.boolean(), (parts, nulFree) => {
        const bytes = encodeGgep(parts, { nulFree });
        if (nulFree) assert.equal(bytes.includes(0), false);
        const parsed = parseGgepBlock(bytes);
        assert.ok(parsed.ok);
        assert.equal(parsed.value.end, bytes.length);
        assert.deepEqual(
          parsed.value.entries.map((entry) => [entry.id, new Uint8Array(ggepValue(entry) ?? [])]),
          parts.map((part) => [part.id, part.value]),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('re-emits the entries of others byte for byte', () => {
    fc.assert(
      fc.property(fields, (parts) => {
        const bytes = encodeGgep(parts);
        const parsed = parseGgepBlock(bytes);
        assert.ok(parsed.ok);
        assert.deepEqual(encodeGgep(parsed.value.entries), bytes);
        const withOurs = encodeGgep([...parsed.value.entries, { id: 'SO', value: new Uint8Array(0) }]);
        const again = parseGgepBlock(withOurs);
        assert.ok(again.ok);
        assert.equal(again.value.entries.at(-1)?.id, 'SO');
        for (const [i, entry] of parsed.value.entries.entries()) {
          assert.deepEqual(again.value.entries[i]?.raw.subarray(1), entry.raw.subarray(1));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('re-emits an entry that holds a NUL in COBS where the place forbids NUL', () => {
    const parsed = parseGgepBlock(encodeGgep([{ id: 'A', value: Uint8Array.of(1, 0, 2) }]));
    assert.ok(parsed.ok);
    const again = parseGgepBlock(encodeGgep(parsed.value.entries, { nulFree: true }));
    assert.ok(again.ok);
    assert.deepEqual(again.value.entries[0]?.data, Uint8Array.of(1, 0, 2));
    assert.equal(again.value.entries[0].raw.includes(0), false);
  });

  it('accepts lengths that are not minimal, and gives the end of a block in front of other bytes', () => {
    assert.deepEqual(parse('c38141804141').entries[0]?.data, Uint8Array.of(0x41));
    assert.equal(parse('c381414041414141').end, 4);
  });

  it('refuses a block by name of the broken rule', () => {
    for (const [hex, reason] of [
      ['', 'no-magic'],
      ['41', 'no-magic'],
      ['c3', 'empty'],
      ['c381', 'truncated'],
      ['c38141', 'truncated'],
      ['c3814181', 'truncated'],
      ['c38280414140', 'bad-id'],
      ['c3811f40', 'bad-id'],
      ['c3817f40', 'bad-id'],
      ['c3a14147789c03000000', 'truncated'],
      ['c3a14146789d0300000000', 'bad-deflate'],
      ['c3a14145789c030000', 'bad-deflate'],
      ['c3c14140', 'bad-cobs'],
    ] as const) {
      assert.equal(reasonOf(hex), reason, hex);
    }
  });

  it('finds the first of duplicates', () => {
    const { entries } = parse('c30141413181414132');
    assert.equal(hexOf(findGgepValue(entries, 'A') ?? new Uint8Array()), '31');
    assert.equal(findGgep(entries, 'a'), undefined);
  });

  it('keeps 32 entries of a block, and counts the others', () => {
    const parts = Array.from({ length: 1000 }, () => ({ id: 'A', value: new Uint8Array(0) }));
    const bytes = encodeGgep(parts);
    const parsed = parseGgepBlock(bytes);
    assert.ok(parsed.ok);
    assert.equal(parsed.value.entries.length, MAX_GGEP_ENTRIES);
    assert.equal(parsed.value.count, 1000);
    assert.equal(parsed.value.end, bytes.length);
  });

  it('gives up a deflated bomb at its cap, and reads up to it', () => {
    const bomb = deflateSync(new Uint8Array(10 * 1024 * 1024));
    const entry = parse(hexOf(encodeGgepRaw('A', bomb))).entries[0];
    assert.ok(entry);
    assert.equal(ggepValue(entry), undefined);
    const fair = parse(hexOf(encodeGgepRaw('A', deflateSync(new Uint8Array(16 * 1024))))).entries[0];
    assert.ok(fair);
    assert.equal(ggepValue(fair)?.length, 16 * 1024);
    assert.equal(ggepValue(fair, 1000), undefined);
  });

  it('reads a block whose deflated value is rubbish, but not the value', () => {
    const entry = parse('c3a14147789cffffffffff').entries[0];
    assert.ok(entry);
    assert.equal(ggepValue(entry), undefined);
  });

  it('never throws, and never reads behind the end, at any truncation of any bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fields.map((parts) => encodeGgep(parts)),
          fc.uint8Array({ maxLength: 60 }),
        ),
        (tail) => {
          const bytes = tail[0] === 0xc3 ? tail : Uint8Array.of(0xc3, ...tail);
          const step = Math.max(1, Math.floor(bytes.length / 100));
          for (let end = 0; end <= bytes.length; end += step) {
            const parsed = parseGgepBlock(bytes, 0, end);
            if (!parsed.ok) continue;
            assert.ok(parsed.value.end <= end);
            for (const entry of parsed.value.entries) ggepValue(entry);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('ggep: tails of PING, PONG and PUSH', () => {
  it('merges adjacent blocks, and is empty for no bytes', () => {
    const parsed = parseGgepTail(hexBytes('c3814140c3814240'), 0, 8);
    assert.ok(parsed.ok);
    assert.deepEqual(
      parsed.value.map((entry) => entry.id),
      ['A', 'B'],
    );
    assert.equal(parseGgepTail(new Uint8Array(4), 3, 3).ok, true);
  });

  it('refuses anything but GGEP, 32 entries, and more than 1536 bytes', () => {
    const reason = (bytes: Uint8Array): string => {
      const parsed = parseGgepTail(bytes, 0, bytes.length);
      return parsed.ok ? 'accepted' : parsed.reason;
    };
    assert.equal(reason(hexBytes('c381414041')), 'no-magic');
    const entries = (count: number): Uint8Array =>
      encodeGgep(Array.from({ length: count }, () => ({ id: 'A', value: new Uint8Array(0) })));
    assert.equal(reason(entries(31)), 'accepted');
    assert.equal(reason(entries(32)), 'too-many-extensions');
    assert.equal(reason(entries(400)), 'too-many-extensions');
    assert.equal(reason(encodeGgep([{ id: 'A', value: new Uint8Array(1540) }])), 'too-large');
  });
});

describe('ggep: packed hosts', () => {
  const limewire = limewireVectors['pong'] as readonly { name: string; value_hex?: string; list?: string[] }[];

  it('reads LimeWire’s list, and empties one with a bad entry or length', () => {
    const vector = limewire.find(({ name }) => name === 'IPP');
    const hosts = decodePackedHosts(hexBytes(vector?.value_hex ?? ''));
    assert.deepEqual(
      hosts?.map(({ host, port }) => `${host}:${port}`),
      vector?.list,
    );
    assert.equal(decodePackedHosts(new Uint8Array(7).fill(1)), undefined);
    assert.equal(decodePackedHosts(hexBytes('010101010100 000000000100')), undefined);
    assert.equal(decodePackedHosts(hexBytes('010101010100 010101010000')), undefined);
    assert.equal(decodePackedHosts6(new Uint8Array(17).fill(1)), undefined);
    assert.equal(decodePackedHosts6(new Uint8Array(18)), undefined);
  });

  it('brings hosts of both families back, 50 at most', () => {
    const ipv4 = Array.from({ length: 60 }, (_, i) => ({ host: `8.8.4.${i}`, port: 6346 + i }));
    assert.deepEqual(decodePackedHosts(encodePackedHosts(ipv4)), ipv4.slice(0, MAX_PACKED_HOSTS));
    const mixed = [
      { host: '2001:db8::5', port: 6346 },
      { host: '8.8.8.8', port: 1 },
    ];
    assert.deepEqual(decodePackedHosts6(encodePackedHosts6(mixed)), mixed);
    assert.throws(() => encodePackedHosts(mixed), GnutellaError);
    assert.throws(() => encodePackedHosts6([{ host: 'x', port: 1 }]), GnutellaError);
  });

  it('brings TLS bits back, with bit 7 of byte 0 for the first host and no zero bytes behind', () => {
    assert.deepEqual(encodeTlsBitmap([true, false]), Uint8Array.of(0x80));
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 40 }), (bits) => {
        const bitmap = encodeTlsBitmap(bits);
        assert.notEqual(bitmap.at(-1), 0);
        assert.deepEqual(
          bits.map((_, i) => tlsBit(bitmap, i)),
          bits,
        );
      }),
    );
  });
});

/** One last entry whose data is already deflated. */
function encodeGgepRaw(name: string, deflated: Uint8Array): Uint8Array {
  const entry = [0xa0 | name.length, ...utf8.encode(name), ...encodeGgepLength(deflated.length), ...deflated];
  return Uint8Array.from([0xc3, ...entry]);
}
