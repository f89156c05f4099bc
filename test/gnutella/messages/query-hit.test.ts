import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import {
  asSha1,
  decodeQueryHit,
  encodeHitRecord,
  encodeHitTrailer,
  encodeQueryHit,
  GnutellaError,
  HEADER_BYTES,
  HIT_RECORDS_OFFSET,
  hitAddress,
  hitPushProxies,
  hitXmlText,
  ipv6FromText,
  MAX_HIT_XML_INFLATED_BYTES,
  newQueryHitSummary,
  NO_IPV4,
  plausibleVendor,
  summarizeQueryHit,
} from '@filbert/gnutella';
import type { HitRecordFields, HitTrailerFields, QueryHitFields } from '@filbert/gnutella';
import { MESSAGE, reasonOf, SERVENT, valueOf } from './frames.ts';

const envelope = { guid: MESSAGE, ttl: 3 };
const record: HitRecordFields = { index: 1, sizeBytes: 2, name: 'a.txt' };
const trailer: HitTrailerFields = { vendor: 'FLBT', needsPush: false, isBusy: false };

function hit(fields: Partial<QueryHitFields> = {}): Uint8Array {
  return encodeQueryHit(envelope, {
    port: 6346,
    ip: 0x08080808,
    speed: 128,
    records: [record],
    trailer,
    serventGuid: SERVENT,
    ...fields,
  }).subarray(HEADER_BYTES);
}

function decode(bytes: Uint8Array): ReturnType<typeof decodeQueryHit> {
  return decodeQueryHit(bytes, 0, bytes.length);
}

function verdict(bytes: Uint8Array): string {
  return summarizeQueryHit(bytes, 0, bytes.length, newQueryHitSummary());
}

/** A hit with these bytes between the fixed part and the servent GUID. */
function raw(count: number, ...middle: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.from([count, ...new Array<number>(10).fill(1), ...middle.flat(), ...SERVENT]);
}

const bare = [1, 0, 0, 0, 2, 0, 0, 0, 0x61, 0, 0];

describe('query hit: structure', () => {
  it('is refused by name of what is broken, by the summary and in full', () => {
    for (const [bytes, reason] of [
      [raw(1, bare), 'ok'],
      [raw(1, bare).subarray(1, 16), 'short'],
      [new Uint8Array(15), 'short'],
      [raw(0), 'no-records'],
      [raw(2, bare), 'record-out-of-bounds'],
      [raw(255, bare), 'record-out-of-bounds'],
      [raw(1, bare.slice(0, 8)), 'record-out-of-bounds'],
      [raw(1, bare.slice(0, 9)), 'record-out-of-bounds'],
      [raw(1, bare.slice(0, 10)), 'record-out-of-bounds'],
      [
        raw(
          1,
          bare.map((byte) => (byte === 0 ? 0x41 : byte)),
        ),
        'record-out-of-bounds',
      ],
      [raw(1, [0, ...bare.slice(1)]), 'index-zero'],
      [raw(1, bare, [0x47]), 'bad-trailer'],
      [raw(1, bare, [0x47, 0x54, 0x4b, 0x47]), 'bad-trailer'],
      [raw(1, bare, [0x47, 0x54, 0x4b, 0x47, 0]), 'ok'],
      [raw(1, bare, [0x47, 0x54, 0x4b, 0x47, 1]), 'bad-trailer'],
      [raw(1, bare, [0x47, 0x54, 0x4b, 0x47, 255, 1, 1]), 'bad-trailer'],
    ] as const) {
      assert.equal(verdict(bytes), reason);
      assert.equal(reasonOf(decode(bytes)), reason === 'ok' ? 'accepted' : reason);
    }
  });

  it('takes index 0 for a file that has a hash, and for no other', () => {
    const sha1 = asSha1(new Uint8Array(20).fill(7));
    assert.equal(reasonOf(decode(hit({ records: [{ ...record, index: 0, sha1 }] }))), 'accepted');
    const unhashed = hit({ records: [{ ...record, index: 0, ggep: [{ id: 'CT', value: Uint8Array.of(1) }] }] });
    assert.equal(verdict(unhashed), 'ok');
    assert.equal(reasonOf(decode(unhashed)), 'index-zero');
  });

  it('is summarised into the object given, the same for every hit', () => {
    const summary = newQueryHitSummary();
    const frame = Uint8Array.of(...new Uint8Array(HEADER_BYTES), ...hit({ records: [record, record, record] }));
    assert.equal(summarizeQueryHit(frame, HEADER_BYTES, frame.length, summary), 'ok');
    assert.deepEqual(summary, {
      recordCount: 3,
      port: 6346,
      ip: 0x08080808,
      trailerStart: HEADER_BYTES + HIT_RECORDS_OFFSET + 3 * encodeHitRecord(record).length,
      serventGuidStart: frame.length - 16,
      needsPush: false,
      isBusy: false,
    });
    const firewalled = hit({ trailer: { vendor: 'FLBT', needsPush: true, isBusy: true } });
    assert.equal(summarizeQueryHit(firewalled, 0, firewalled.length, summary), 'ok');
    assert.deepEqual([summary.recordCount, summary.needsPush, summary.isBusy], [1, true, true]);
    const fields = { port: 1, ip: 1, speed: 1, records: [record], serventGuid: SERVENT };
    const plain = encodeQueryHit(envelope, fields).subarray(HEADER_BYTES);
    assert.equal(summarizeQueryHit(plain, 0, plain.length, summary), 'ok');
    assert.deepEqual(
      [summary.needsPush, summary.isBusy, summary.trailerStart],
      [false, false, summary.serventGuidStart],
    );
    assert.equal(valueOf(decode(plain)).trailer, undefined);
  });

  it('agrees between summary and full decoding on any bytes, at any truncation', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'ä', ' ', '.'), maxLength: 6 });
    const records = fc.array(fc.record({ index: fc.integer({ min: 1, max: 9 }), sizeBytes: fc.maxSafeNat(), name }), {
      minLength: 1,
      maxLength: 4,
    });
    const valid = records.map((list) =>
      hit({ records: list, trailer: { ...trailer, ggep: [{ id: 'BH', value: new Uint8Array(0) }] } }),
    );
    const random = fc.uint8Array({ maxLength: 90 }).map((bytes) => bytes.map((byte) => (byte % 3 === 0 ? 0 : byte)));
    const summary = newQueryHitSummary();
    fc.assert(
      fc.property(fc.oneof(valid, random), (bytes) => {
        for (let end = 0; end <= bytes.length; end += 1) {
          const quick = summarizeQueryHit(bytes, 0, end, summary);
          const full = decodeQueryHit(bytes, 0, end);
          if (full.ok) {
            assert.equal(quick, 'ok');
            assert.equal(full.value.records.length, summary.recordCount);
            assert.deepEqual(full.value.serventGuid, bytes.subarray(end - 16, end));
            assert.equal(full.value.trailer?.needsPush === true, summary.needsPush);
          } else if (full.reason !== 'index-zero') {
            assert.equal(quick, full.reason);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('survives 255 records of one character, and 255 claimed with one', () => {
    const many = raw(255, ...Array.from({ length: 255 }, () => bare));
    assert.equal(valueOf(decode(many)).records.length, 255);
    const claimed = raw(255, bare, [1, 1]);
    assert.deepEqual([claimed.length, verdict(claimed)], [40, 'record-out-of-bounds']);
  });
});

describe('query hit: records', () => {
  it('come back as written, large files and binary extensions too', () => {
    const sha1 = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(asSha1);
    const name = fc.string({ unit: fc.constantFrom(...'aÃ漢 .\xc3'), maxLength: 20 });
    fc.assert(
      fc.property(
        sha1,
        fc.boolean(),
        name,
        fc.maxSafeNat(),
        fc.uint8Array({ maxLength: 40 }),
        (hash, huge, text, size, value) => {
          const ggep = [{ id: 'ZZ', value }, ...(huge ? [] : [{ id: 'H', value: Uint8Array.of(1, ...hash) }])];
          const bytes = hit({
            records: [{ index: 9, sizeBytes: size, name: text, ...(huge ? { sha1: hash } : {}), ggep }, record],
          });
          const [first, second] = valueOf(decode(bytes)).records;
          assert.ok(first && second);
          assert.deepEqual([first.index, first.sizeBytes, first.name, first.sha1], [9, size, text, hash]);
          assert.deepEqual(first.ggep[0]?.data, value);
          assert.deepEqual([second.name, second.sizeBytes, second.sha1], ['a.txt', 2, undefined]);
          // Nothing of a record is lost, what we do not know included.
          assert.deepEqual(bytes.subarray(HIT_RECORDS_OFFSET, HIT_RECORDS_OFFSET + first.raw.length), first.raw);
        },
      ),
    );
  });

  it('say when a name is not UTF-8, and drop hashes where one is malformed', () => {
    const bytes = raw(1, [1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0, 0]);
    const [broken] = valueOf(decode(bytes)).records;
    assert.deepEqual([broken?.name, broken?.nameIsUtf8], ['\ufffd', false]);
    const urn = Array.from('urn:sha1:short', (character) => character.charCodeAt(0));
    const [unhashed] = valueOf(decode(raw(1, [...bare.slice(0, 10), ...urn, 0]))).records;
    assert.equal(unhashed?.sha1, undefined);
  });

  it('ignore an LF of 0, with a zero last byte, or of rubbish', () => {
    for (const value of [[], [5, 0], [9, 9, 9, 9, 9, 9, 9, 9, 9]]) {
      const bytes = hit({ records: [{ ...record, ggep: [{ id: 'LF', value: Uint8Array.from(value) }] }] });
      assert.equal(valueOf(decode(bytes)).records[0]?.sizeBytes, 2, String(value));
    }
  });

  it('throw for values of the caller that cannot be written', () => {
    assert.throws(() => hit({ records: [] }), GnutellaError);
    assert.throws(() => hit({ records: new Array<HitRecordFields>(256).fill(record) }), GnutellaError);
    assert.throws(() => hit({ records: [{ ...record, name: 'a\0' }] }), GnutellaError);
    assert.throws(() => hit({ records: [{ ...record, sizeBytes: -1 }] }), GnutellaError);
    assert.throws(() => hit({ serventGuid: new Uint8Array(15) }), GnutellaError);
    assert.throws(() => hit({ trailer: { vendor: 'TOOLONG' } }), GnutellaError);
    assert.throws(() => encodeHitTrailer({ vendor: 'FLBT', xml: 'x'.repeat(40_000) }), GnutellaError);
  });
});

describe('query hit: trailer', () => {
  it('brings every combination of flags back, those not said as undefined', () => {
    const tri = fc.constantFrom(true, false, undefined);
    fc.assert(
      fc.property(tri, tri, tri, tri, (needsPush, isBusy, hasUploaded, speedIsMeasured) => {
        const flags = { needsPush, isBusy, hasUploaded, speedIsMeasured };
        const read = valueOf(decode(hit({ trailer: { vendor: 'FLBT', ...flags } }))).trailer;
        assert.ok(read);
        assert.deepEqual(
          {
            needsPush: read.needsPush,
            isBusy: read.isBusy,
            hasUploaded: read.hasUploaded,
            speedIsMeasured: read.speedIsMeasured,
          },
          flags,
        );
      }),
    );
  });

  it('says nothing of a feature whose bit is in one byte only, the value’s', () => {
    const summary = newQueryHitSummary();
    for (const [a, b] of [
      [0x01, 0x3c],
      [0x01, 0x00],
      [0x00, 0x04],
    ] as const) {
      const bytes = raw(1, bare, [0x46, 0x4c, 0x42, 0x54, 2, a, b]);
      assert.equal(summarizeQueryHit(bytes, 0, bytes.length, summary), 'ok');
      const read = valueOf(decode(bytes)).trailer;
      assert.deepEqual([summary.needsPush, summary.isBusy], [false, false]);
      assert.deepEqual([read?.needsPush, read?.isBusy], [undefined, undefined]);
    }
  });

  it('brings GGEP and XML back, and finds GGEP behind a chat byte', () => {
    const ggep = [{ id: 'BH', value: new Uint8Array(0) }];
    const both = valueOf(decode(hit({ trailer: { ...trailer, ggep, xml: '<audios/>' } }))).trailer;
    assert.equal(both?.ggep[0]?.id, 'BH');
    assert.equal(both.xml && hitXmlText(both.xml), '<audios/>');
    const chat = [0x46, 0x4c, 0x42, 0x54, 2, 0x20, 0x20, 1, 0xc3, 0x82, 0x42, 0x48, 0x40];
    assert.equal(valueOf(decode(raw(1, bare, chat))).trailer?.ggep[0]?.id, 'BH');
    const broken = [0x46, 0x4c, 0x42, 0x54, 2, 0x20, 0x20, 0xc3, 0x90];
    const read = valueOf(decode(raw(1, bare, broken))).trailer;
    assert.deepEqual([read?.ggep, read?.privateArea], [[], Uint8Array.of(0xc3, 0x90)]);
  });

  it('takes XML whose length does not fit for none', () => {
    for (const length of [0, 1, 4, 0xffff]) {
      const open = [0x46, 0x4c, 0x42, 0x54, 4, 0, 0, length & 255, length >>> 8, 0x3c, 0x61, 0];
      assert.equal(valueOf(decode(raw(1, bare, open))).trailer?.xml, undefined, String(length));
    }
  });

  it('inflates XML up to its cap', () => {
    const deflated = (size: number): Uint8Array =>
      Uint8Array.of(...new TextEncoder().encode('{deflate}'), ...deflateSync(new Uint8Array(size).fill(97)));
    assert.equal(hitXmlText(deflated(1000)), 'a'.repeat(1000));
    assert.equal(hitXmlText(deflated(MAX_HIT_XML_INFLATED_BYTES + 1)), undefined);
    assert.equal(hitXmlText(new TextEncoder().encode('{deflate}rubbish')), undefined);
    assert.equal(hitXmlText(new TextEncoder().encode('<?xml?>')), '<?xml?>');
    assert.equal(hitXmlText(new Uint8Array(40_000)), undefined);
  });

  it('gives IPv6 addresses, push proxies and plausible vendors', () => {
    const ipv6 = { id: '6', value: ipv6FromText('2001:db8::5') ?? new Uint8Array(16) };
    const lonely = valueOf(decode(hit({ ip: NO_IPV4, trailer: { ...trailer, ggep: [ipv6] } })));
    assert.deepEqual(hitAddress(lonely), { host: '2001:db8::5', port: 6346 });
    assert.equal(hitAddress(valueOf(decode(hit({ port: 0 })))), undefined);
    const proxies = (size: number): number =>
      hitPushProxies(
        valueOf(decode(hit({ trailer: { ...trailer, ggep: [{ id: 'PUSH', value: new Uint8Array(size).fill(8) }] } }))),
      ).length;
    assert.deepEqual([proxies(6), proxies(7), proxies(0), proxies(6 * 20)], [1, 0, 0, 10]);
    const vendorOf = (vendor: string): string | undefined => {
      const read = valueOf(decode(hit({ trailer: { vendor } }))).trailer;
      return read && plausibleVendor(read);
    };
    assert.deepEqual([vendorOf('limE'), vendorOf('GT G'), vendorOf('<a>!')], ['LIME', undefined, undefined]);
  });
});
