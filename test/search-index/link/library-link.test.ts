import assert from 'node:assert/strict';
import { LinkKind } from '@filbert/contracts';
import {
  asGuid,
  decodeQueryHit,
  Descriptor,
  encodeFrame,
  encodeQuery,
  FUNCTION_OFFSET,
  GgepId,
  hashWord,
  HEADER_BYTES,
  HOPS_OFFSET,
  QueryFlag,
  tableForNames,
  TTL_OFFSET,
  WHATS_NEW_TEXT,
  type GgepPart,
  type HitRecord,
  type QueryFields,
} from '@filbert/gnutella';
import { NodeAddress } from '../../../services/search-index/src/hits/node-address.ts';
import { MAX_RESULTS_PER_QUERY } from '../../../services/search-index/src/link/answer.ts';
import { LibraryLink, TABLE_DEBOUNCE_MS } from '../../../services/search-index/src/link/library-link.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { someFacts } from '../../support/frame-bench.ts';
import { attribute, recordSpans } from '../../support/otlp-receiver.ts';
import { waitFor } from '../../support/wait-for.ts';
import { hashedFile, openLibrary, sha1Of, silent, StandInEdge, TempFolder, type TestLibrary } from '../support.ts';

const GUID = asGuid(Buffer.from('0102030405060708ff0a0b0c0d0e0f00', 'hex'));

describe('search-index: library link', () => {
  let folder: TempFolder;
  let opened: TestLibrary;
  let edge: StandInEdge;
  let clock: FakeClock;
  let address: NodeAddress;
  let link: LibraryLink;

  beforeEach(() => {
    folder = new TempFolder();
    opened = openLibrary(folder.path);
    edge = new StandInEdge();
    clock = new FakeClock();
    address = new NodeAddress({ monotonic: () => clock.monotonic() });
    address.setFacts(someFacts({ learnedAddress: '127.0.0.1:6346' }));
    const { library } = opened;
    link = new LibraryLink({ edge, library, address, logger: silent, clock, timers: clock });
  });
  afterEach(() => {
    link.stop();
    opened.close();
    folder.remove();
  });

  /** Asks, and returns the records of the hits that came back. */
  function ask(query: Partial<QueryFields>, hops = 2): HitRecord[] {
    const frame = encodeQuery({ guid: GUID, ttl: 3, hops }, { flags: QueryFlag.IS_FLAGS, text: '', ...query });
    const before = edge.last.sent.length;
    edge.last.receive(frame);
    return edge.last.sent.slice(before).flatMap((hit) => {
      assert.equal(hit[FUNCTION_OFFSET], Descriptor.QUERY_HIT);
      assert.deepEqual(Buffer.from(hit.subarray(0, 16)), Buffer.from(GUID));
      assert.deepEqual([hit[TTL_OFFSET], hit[HOPS_OFFSET]], [hops + 5, 0]);
      const decoded = decodeQueryHit(hit, HEADER_BYTES, hit.length);
      assert.ok(decoded.ok);
      return [...decoded.value.records];
    });
  }
  const names = (records: readonly HitRecord[]): string[] => records.map(({ name }) => name).sort();

  it('publishes every word with its prefixes and every hash, as other leaves do', async () => {
    const paths = ['/m/Gnutella Protocol.PDF', '/m/sub/Café Müller.ogg', '/m/東京 01.mp3'];
    opened.add(...paths);
    link.start();
    assert.equal(edge.last.kind, LinkKind.LINK_KIND_LIBRARY);
    const table = await waitFor('the table', () => edge.last.tables[0]);
    const urns = paths.map((path) => `urn:sha1:${base32(sha1Of(path))}`);
    const expected = tableForNames(['Gnutella Protocol.PDF', 'Café Müller.ogg', '東京 01.mp3'], urns);
    assert.equal(table.equals(expected), true);
    for (const word of ['gnut', 'protocol', 'cafe', 'muller', '東京', 'ogg'])
      assert.ok(table.hasWordHash(hashWord(word)), word);
    assert.equal(table.hasWordHash(hashWord('sub')), false);
    assert.equal(link.tableSlotsSet, table.count);
  });

  it('publishes a changed table once the changes pause', async () => {
    link.start();
    await waitFor('the empty table', () => edge.last.tables.length === 1);
    assert.equal(edge.last.tables[0]?.count, 0);
    opened.add('/one');
    opened.add('/two');
    clock.advance(TABLE_DEBOUNCE_MS - 1);
    assert.equal(clock.pending, 1);
    await clock.advanceAndSettle(1);
    const table = await waitFor('the second table', () => edge.last.tables[1]);
    assert.ok(table.hasWordHash(hashWord('one')) && table.hasWordHash(hashWord('two')));
    assert.equal(clock.pending, 0);
  });

  it('answers words with hits under the query’s own GUID', () => {
    opened.add('/m/Blue Song.mp3', '/m/Red Song.mp3', '/m/Song.txt');
    link.start();
    assert.deepEqual(names(ask({ text: 'song mp3' })), ['Blue Song.mp3', 'Red Song.mp3']);
    assert.deepEqual(names(ask({ text: 'green song' })), []);
    assert.deepEqual([link.counters.queries.answered, link.counters.queries['nothing-found']], [1, 1]);
    assert.equal(link.counters.records, 2);
  });

  it('answers a traced query as a span of its trace, with which the hits go on, and others without', async () => {
    opened.add('/m/Blue Song.mp3', '/m/Red Song.mp3');
    link.start();
    const [traceId, parent] = ['ab'.repeat(16), 'cd'.repeat(8)];
    const recording = await recordSpans(0);
    try {
      const frame = encodeQuery({ guid: GUID, ttl: 3 }, { flags: QueryFlag.IS_FLAGS, text: 'song' });
      edge.last.receive(frame);
      edge.last.receive(frame, `00-${traceId}-${parent}-01`);
    } finally {
      await recording.end();
    }
    const [span, ...others] = await recording.end();
    assert.deepEqual(others, []);
    assert.deepEqual([span?.name, span?.traceId, span?.parentSpanId], ['match', traceId, parent]);
    assert.deepEqual(
      ['result', 'files', 'hits'].map((key) => attribute(span, key)),
      ['answered', 2, 1],
    );
    assert.deepEqual(edge.last.traces, [undefined, `00-${traceId}-${span?.spanId}-01`]);
    assert.equal(link.counters.queries.answered, 2);
  });

  it('answers a hash, whatever words stand beside it, and no other file then', () => {
    opened.add('/m/a.mp3', '/m/b.mp3');
    link.start();
    assert.deepEqual(names(ask({ text: '\\', sha1s: [sha1Of('/m/a.mp3')] })), ['a.mp3']);
    assert.deepEqual(names(ask({ text: 'b mp3', sha1s: [sha1Of('/m/a.mp3'), sha1Of('x')] })), ['a.mp3']);
    assert.deepEqual(names(ask({ text: 'b mp3', sha1s: [sha1Of('x')] })), []);
  });

  it('answers what is new with the newest three', () => {
    opened.add('/1', '/2', '/3', '/4');
    link.start();
    assert.deepEqual(names(ask({ text: WHATS_NEW_TEXT })), ['2', '3', '4']);
    const ggep = [{ id: GgepId.WHATS_NEW, value: Uint8Array.of(1) }];
    assert.deepEqual(names(ask({ text: 'anything', ggep })), ['2', '3', '4']);
  });

  it('matches the extended text of GGEP XQ instead of the text', () => {
    opened.add('/m/one.mp3', '/m/two.mp3');
    link.start();
    const ggep = [{ id: GgepId.EXTENDED_QUERY, value: Buffer.from('two') }];
    assert.deepEqual(names(ask({ text: 'one', ggep })), ['two.mp3']);
  });

  it('names only files of the kinds of media that are asked for', () => {
    opened.add('/m/song.MP3', '/m/song.avi', '/m/song', '/m/song.xyz');
    link.start();
    const media = (...mask: number[]): GgepPart[] => [{ id: GgepId.MEDIA, value: Uint8Array.from(mask) }];
    assert.deepEqual(names(ask({ text: 'song', ggep: media(0x04) })), ['song.MP3']);
    assert.deepEqual(names(ask({ text: 'song', ggep: media(0x0c) })), ['song.MP3', 'song.avi']);
    assert.deepEqual(names(ask({ text: WHATS_NEW_TEXT, ggep: media(0x08) })), ['song.avi']);
    assert.equal(ask({ text: 'song', ggep: media(0x00, 0x40) }).length, 4);
  });

  it('names fifty files at most', () => {
    opened.library.add(Array.from({ length: 120 }, (_, at) => hashedFile(`/song ${at}`)));
    link.start();
    assert.equal(ask({ text: 'song' }).length, MAX_RESULTS_PER_QUERY);
  });

  it('does not search for short text that came from far away', () => {
    opened.add('/m/abc.mp3');
    link.start();
    assert.equal(ask({ text: 'abc' }, 2).length, 1);
    assert.equal(ask({ text: 'abc' }, 3).length, 0);
    assert.equal(ask({ text: 'abc mp3' }, 3).length, 1);
  });

  it('counts what is malformed or no query, and goes on', () => {
    opened.add('/m/song.mp3');
    link.start();
    edge.last.receive(encodeFrame({ guid: GUID, ttl: 1 }, Descriptor.QUERY, Uint8Array.of(0, 0, 0, 0, 0)));
    edge.last.receive(encodeFrame({ guid: GUID, ttl: 1 }, Descriptor.PING, new Uint8Array(0)));
    assert.deepEqual([link.counters.queries.malformed, link.counters.queries['not-a-query']], [1, 1]);
    assert.equal(ask({ text: 'song' }).length, 1);
  });

  it('stays silent while nobody could reach the node, and after it stopped', () => {
    opened.add('/m/song.mp3');
    address.setFacts(someFacts({ serventGuid: new Uint8Array(0) }));
    link.start();
    assert.equal(ask({ text: 'song' }).length, 0);
    assert.equal(link.counters.queries['no-address'], 1);
    link.stop();
    assert.equal(edge.last.closed, true);
    opened.add('/m/other.mp3');
    assert.equal(clock.pending, 0);
  });
});

function base32(bytes: Uint8Array): string {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  const digits = bits.match(/.{5}/g) ?? [];
  return digits.map((digit) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(digit, 2)]).join('');
}
