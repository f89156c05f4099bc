import assert from 'node:assert/strict';
import { LinkKind } from '@filbert/contracts';
import {
  asGuid,
  decodeQuery,
  encodeQueryHit,
  formatSha1Urn,
  GgepId,
  guidToHex,
  HEADER_BYTES,
  HOPS_OFFSET,
  ipv4FromText,
  QueryFlag,
  TTL_OFFSET,
  URN_ONLY_TEXT,
  vlintEncode,
  type HitRecordFields,
  type QueryHitFields,
} from '@filbert/gnutella';
import { RpcError } from '@filbert/kit';
import { byFrequency, type Found } from '../../../services/search-index/src/search/found-files.ts';
import type { HitVerdict } from '../../../services/search-index/src/search/judge-hit.ts';
import {
  DEFAULT_TIMEOUT_MS,
  MAX_SEARCHES,
  MAX_WAITING,
  NetworkSearches,
  type SearchEndReason,
} from '../../../services/search-index/src/search/network-searches.ts';
import { MAX_RECENT_SOURCES, RECENT_MS, REPEATED_MS } from '../../../services/search-index/src/search/recent-finds.ts';
import { searchQuery } from '../../../services/search-index/src/search/search-query.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { attribute, recordSpans } from '../../support/otlp-receiver.ts';
import { waitFor } from '../../support/wait-for.ts';
import { sha1Of, StandInEdge } from '../support.ts';

const OWN = asGuid(Buffer.from('00112233445566778899aabbccddee01', 'hex'));
const SONG: HitRecordFields = { index: 5, sizeBytes: 1000, name: 'song.mp3', sha1: sha1Of('song') };

function servent(number: number): Uint8Array {
  return Buffer.from(`${number.toString(16).padStart(4, '0')}c3d4e5f60718ff293a4b5c6d7e00`, 'hex');
}

type HitChanges = Partial<Omit<QueryHitFields, 'ip'>> & { readonly ip?: string; readonly hops?: number };

function hitFrame(guid: Uint8Array, { ip = '8.8.8.8', hops = 2, ...changes }: HitChanges = {}): Uint8Array {
  return encodeQueryHit(
    { guid, ttl: 3, hops },
    {
      port: 6346,
      ip: ipv4FromText(ip) ?? 0,
      speed: 100,
      records: [SONG],
      trailer: { vendor: 'LIME', needsPush: false, isBusy: false },
      serventGuid: servent(1),
      ...changes,
    },
  );
}

describe('search-index: a person’s search', () => {
  let edge: StandInEdge;
  let clock: FakeClock;
  let searches: NetworkSearches;

  beforeEach(() => {
    edge = new StandInEdge();
    clock = new FakeClock();
    let seed = 0;
    searches = new NetworkSearches({
      edge,
      clock,
      timers: clock,
      random: (size) => new Uint8Array(size).fill(++seed),
      allowPrivate: false,
      ownServent: () => OWN,
    });
  });

  interface Running {
    readonly found: Found[];
    readonly end: Promise<SearchEndReason>;
    readonly guid: Uint8Array;
    readonly abort: AbortController;
    hit(changes?: HitChanges): void;
  }

  /** Starts a search and takes what it yields. */
  async function start(query: string, { enough = 0, timeoutMs = 0 } = {}): Promise<Running> {
    const found: Found[] = [];
    const abort = new AbortController();
    const generator = searches.search({ query, enough, timeoutMs, signal: abort.signal });
    const opened = edge.links.length;
    const end = (async () => {
      for (;;) {
        const next = await generator.next();
        if (next.done === true) return next.value;
        found.push(next.value);
      }
    })();
    end.catch(() => undefined);
    await waitFor('the query', () => edge.links.length > opened);
    const link = edge.last;
    const guid = link.sent[0]?.slice(0, 16) ?? new Uint8Array(16);
    return { found, end, guid, abort, hit: (changes) => link.receive(hitFrame(guid, changes)) };
  }

  it('sends one query over a link of its own, and closes that when it ends', async () => {
    const { end, guid } = await start('blue song');
    const link = edge.last;
    assert.equal(link.kind, LinkKind.LINK_KIND_USER);
    const [frame] = link.sent;
    assert.ok(frame);
    const decoded = decodeQuery(frame, HEADER_BYTES, frame.length);
    assert.ok(decoded.ok);
    assert.deepEqual(
      [decoded.value.text, decoded.value.flags],
      ['blue song', QueryFlag.IS_FLAGS | QueryFlag.GGEP_HASH],
    );
    assert.deepEqual([frame[TTL_OFFSET], frame[HOPS_OFFSET]], [4, 0]);
    assert.deepEqual([guid[8], guid[15]], [0xff, 0]);
    assert.equal(searches.active, 1);
    clock.advance(DEFAULT_TIMEOUT_MS);
    assert.equal(await end, 'timeout');
    assert.deepEqual([link.closed, searches.active, clock.pending], [true, 0, 0]);
  });

  it('is one span until it ends, with which its query goes on and that hits of its trace stand below', async () => {
    const recording = await recordSpans(1);
    try {
      const search = await start('song', { enough: 1 });
      const [trace] = edge.last.traces;
      edge.last.receive(hitFrame(search.guid), trace);
      assert.equal(await search.end, 'enough');
      const [taken, whole, ...others] = await recording.end();
      assert.deepEqual(others, []);
      assert.deepEqual([taken?.name, taken?.parentSpanId], ['take hit', whole?.spanId]);
      assert.equal(trace, `00-${whole?.traceId}-${whole?.spanId}-01`);
      assert.deepEqual(
        [whole?.name, ...['result', 'files', 'sources'].map((key) => attribute(whole, key))],
        ['search', 'enough', 1, 1],
      );
    } finally {
      await recording.end();
    }
  });

  it('groups sources by hash: names and sizes by how many tell them', async () => {
    const search = await start('song');
    const other = { ...SONG, name: 'other name.mp3', sizeBytes: 5 };
    search.hit({ serventGuid: servent(1), records: [other] });
    search.hit({ serventGuid: servent(2), ip: '9.9.9.9', hops: 4 });
    search.hit({ serventGuid: servent(3), ip: '9.9.9.8' });
    search.hit({ serventGuid: servent(4), records: [{ ...SONG, sha1: sha1Of('another') }] });
    await waitFor('four sources', () => search.found.length === 4);
    const [first, second, third, fourth] = search.found;
    assert.ok(first && second && third && fourth);
    assert.equal(first.file, third.file);
    assert.notEqual(first.file, fourth.file);
    assert.deepEqual(byFrequency(third.file.names), ['song.mp3', 'other name.mp3']);
    assert.deepEqual(byFrequency(third.file.sizes), [1000, 5]);
    assert.equal(third.file.sources, 3);
    const { source } = second;
    assert.deepEqual(
      [source.address, source.hops, source.firewalled, source.vendor, source.index],
      [{ host: '9.9.9.9', port: 6346 }, 4, false, 'LIME', 5],
    );
  });

  it('tells a source once, however often its hit comes', async () => {
    const search = await start('song');
    search.hit();
    search.hit();
    search.hit({ ip: '9.9.9.9' });
    await waitFor('two sources', () => search.found.length === 2);
    assert.equal(searches.counters.sources, 2);
  });

  it('keeps records without a hash apart', async () => {
    const search = await start('song');
    const nameless = { index: 5, sizeBytes: 1000, name: 'song.mp3' };
    search.hit({ records: [nameless] });
    search.hit({ records: [nameless], serventGuid: servent(2) });
    await waitFor('two sources', () => search.found.length === 2);
    assert.notEqual(search.found[0]?.file, search.found[1]?.file);
    assert.equal(search.found[0]?.file.sha1, undefined);
  });

  it('tells how to reach a firewalled source', async () => {
    const search = await start('song');
    const proxies = Buffer.concat([Buffer.from([8, 8, 4, 4, 0xca, 0x18]), Buffer.from([10, 0, 0, 1, 0xca, 0x18])]);
    const trailer = { vendor: 'GTKG', needsPush: true, ggep: [gtkgVersion(), { id: GgepId.PUSH, value: proxies }] };
    search.hit({ ip: '192.168.0.7', trailer });
    await waitFor('the source', () => search.found.length === 1);
    const source = search.found[0]?.source;
    assert.deepEqual([source?.firewalled, source?.address], [true, undefined]);
    // The private one is nobody's that could be asked.
    assert.deepEqual(source?.pushProxies, [{ host: '8.8.4.4', port: 6346 }]);
  });

  it('ends with enough sources, in the midst of a hit', async () => {
    const search = await start('song', { enough: 2 });
    const records = [1, 2, 3].map((index) => ({ ...SONG, index, sha1: sha1Of(`${index}`) }));
    search.hit({ records });
    assert.equal(await search.end, 'enough');
    assert.equal(search.found.length, 2);
    assert.equal(edge.last.closed, true);
  });

  it('ends when the caller goes away', async () => {
    const search = await start('song');
    search.abort.abort();
    await search.end;
    assert.deepEqual([edge.last.closed, searches.active, clock.pending], [true, 0, 0]);
  });

  it('by hash takes only records with that hash', async () => {
    const search = await start(formatSha1Urn(sha1Of('song')));
    search.hit({
      records: [
        { ...SONG, index: 1 },
        { ...SONG, index: 2, sha1: sha1Of('x') },
      ],
    });
    search.hit({ serventGuid: servent(2), records: [{ ...SONG, sha1: sha1Of('x') }] });
    await waitFor('the source', () => search.found.length === 1);
    assert.deepEqual([searches.counters.sources, searches.counters.hits['not-asked-for']], [1, 1]);
  });

  it('by hash starts with what searches by words found lately, and tells each source once', async () => {
    const words = await start('song');
    words.hit({ serventGuid: servent(1), trailer: { vendor: 'LIME', needsPush: true } });
    words.hit({ serventGuid: servent(2), ip: '9.9.9.9' });
    words.hit({ serventGuid: servent(3), records: [{ ...SONG, sha1: sha1Of('x') }] });
    await waitFor('three sources', () => words.found.length === 3);
    words.abort.abort();
    await words.end;

    const byHash = await start(formatSha1Urn(sha1Of('song')));
    await waitFor('the sources found before', () => byHash.found.length === 2);
    assert.deepEqual(
      byHash.found.map(({ source }) => [guidToHex(source.serventGuid), source.firewalled, source.index]),
      [
        [guidToHex(servent(2)), false, 5],
        [guidToHex(servent(1)), true, 5],
      ],
    );
    byHash.hit({ serventGuid: servent(2), ip: '9.9.9.9' });
    byHash.hit({ serventGuid: servent(4) });
    await waitFor('the new one', () => byHash.found.length === 3);
    assert.deepEqual(
      byHash.found.map(({ file }) => file.sources),
      [3, 3, 3],
    );
    assert.deepEqual([searches.counters.sources, searches.counters.recalled, searches.remembered], [4, 2, 4]);
  });

  it('by the same words again begins with what these found a moment ago: neighbours may not answer twice', async () => {
    const first = await start('Some SONG');
    first.hit({ records: [SONG, { index: 6, sizeBytes: 1000, name: 'without hash' }] });
    await waitFor('the sources', () => first.found.length === 2);
    const again = await start('some  song');
    await waitFor('the sources', () => again.found.length === 2);
    assert.deepEqual(again.found.map(({ source }) => source.name).sort(), ['song.mp3', 'without hash']);
    assert.equal(searches.counters.recalled, 2);
    again.hit({ serventGuid: servent(2) });
    await waitFor('a new one', () => again.found.length === 3);
    const other = await start('song');
    other.hit({ serventGuid: servent(3) });
    await waitFor('the source', () => other.found.length === 1);
    clock.advance(REPEATED_MS);
    const later = await start('some song');
    later.hit({ serventGuid: servent(4) });
    await waitFor('the source', () => later.found.length === 1);
    assert.equal(guidToHex(later.found[0]?.source.serventGuid ?? new Uint8Array(16)), guidToHex(servent(4)));
  });

  it('by hash forgets what was found too long ago', async () => {
    const words = await start('song');
    words.hit();
    await waitFor('the source', () => words.found.length === 1);
    clock.advance(RECENT_MS);
    const byHash = await start(formatSha1Urn(sha1Of('song')));
    byHash.hit({ serventGuid: servent(2) });
    await waitFor('the new one', () => byHash.found.length === 1);
    assert.deepEqual([searches.counters.recalled, searches.remembered], [0, 1]);
  });

  it('remembers a bounded number of sources, the latest', async () => {
    const words = await start('song', { enough: MAX_RECENT_SOURCES * 2 });
    for (let at = 0; at <= MAX_RECENT_SOURCES; at++) {
      words.hit({ serventGuid: servent(at + 1), records: [{ ...SONG, sha1: sha1Of(`song ${at}`) }] });
      if (at % 500 === 0) await waitFor('the sources', () => words.found.length === at + 1);
    }
    await waitFor('the sources', () => words.found.length === MAX_RECENT_SOURCES + 1);
    assert.equal(searches.remembered, MAX_RECENT_SOURCES);
    const last = await start(formatSha1Urn(sha1Of(`song ${MAX_RECENT_SOURCES}`)));
    await waitFor('the last source', () => last.found.length === 1);
    const first = await start(formatSha1Urn(sha1Of('song 0')));
    first.hit({ serventGuid: servent(1), records: [{ ...SONG, sha1: sha1Of('song 0') }] });
    await waitFor('the first source', () => first.found.length === 1);
    assert.equal(searches.counters.recalled, 1);
  });

  it('ignores hits for other queries and frames that are no hits', async () => {
    const search = await start('song');
    edge.last.receive(hitFrame(servent(77)));
    const [query] = edge.last.sent;
    if (query !== undefined) edge.last.receive(query);
    search.hit();
    await waitFor('the source', () => search.found.length === 1);
    assert.equal(searches.counters.hits.good, 1);
  });

  const spam: readonly (readonly [what: string, verdict: HitVerdict, changes: HitChanges])[] = [
    ['our own files', 'own', { serventGuid: OWN }],
    ['a servent GUID of zeros', 'bad-servent', { serventGuid: new Uint8Array(16) }],
    ['a private address without PUSH', 'bad-address', { ip: '192.168.1.1' }],
    ['port 0 without PUSH', 'bad-address', { port: 0 }],
    ['a vendor that is no code', 'bad-vendor', { trailer: { vendor: '!!!!' } }],
    ['a gtk-gnutella without its version', 'fake-vendor', { trailer: { vendor: 'GTKG' } }],
    ['index 2^32-1', 'bad-index', { records: [{ ...SONG, index: 0xffffffff }] }],
    ['one index twice', 'duplicate-record', { records: [SONG, { ...SONG, sha1: sha1Of('x') }] }],
    ['one hash twice', 'duplicate-record', { records: [SONG, { ...SONG, index: 6 }] }],
    ['many alternates', 'too-many-alternates', { records: [withGgep(GgepId.ALT, Buffer.alloc(11 * 6, 8))] }],
    ['an evil time', 'evil-timestamp', { records: [withGgep(GgepId.CREATION_TIME, vlintEncode(0x45185160))] }],
    ['a name that leads out of the folder', 'bad-name', { records: [{ ...SONG, name: '../../.bashrc' }] }],
    ['the same, encoded', 'bad-name', { records: [{ ...SONG, name: '%2e%2e%2f.bashrc' }] }],
  ];
  for (const [what, verdict, changes] of spam) {
    it(`does not show a hit with ${what}`, async () => {
      const search = await start('song');
      search.hit(changes);
      search.hit({ serventGuid: servent(9) });
      await waitFor('the honest source', () => search.found.length === 1);
      assert.equal(searches.counters.hits[verdict], 1);
      assert.equal(searches.counters.sources, 1);
    });
  }

  it('counts hits that cannot be read', async () => {
    const search = await start('song');
    const frame = hitFrame(search.guid);
    frame[HEADER_BYTES] = 9;
    edge.last.receive(frame);
    assert.equal(searches.counters.hits.malformed, 1);
  });

  it('drops sources that nobody takes, beyond a bound', async () => {
    const abort = new AbortController();
    const generator = searches.search({ query: 'song', enough: 10_000, timeoutMs: 0, signal: abort.signal });
    const first = generator.next();
    await waitFor('the query', () => edge.links.length === 1);
    const guid = edge.last.sent[0]?.slice(0, 16) ?? new Uint8Array(16);
    for (let at = 0; at < MAX_WAITING + 5; at++) edge.last.receive(hitFrame(guid, { serventGuid: servent(at + 1) }));
    await first;
    assert.equal(searches.counters.dropped, 5);
    await generator.return('timeout');
    assert.equal(edge.last.closed, true);
  });

  it('refuses a query that nobody could answer, and too many at one time', async () => {
    const { signal } = new AbortController();
    const refusal = (query: string): Promise<string> =>
      searches
        .search({ query, enough: 0, timeoutMs: 0, signal })
        .next()
        .then(
          () => '',
          (error: unknown) => (error instanceof RpcError ? error.kind : String(error)),
        );
    for (const query of ['', 'a', 'a b', URN_ONLY_TEXT, 'urn:sha1:TOOSHORT', 'magnet:?dn=x', 'word '.repeat(100)]) {
      assert.equal(await refusal(query), 'invalid-argument', query);
    }
    const running = [];
    for (let at = 0; at < MAX_SEARCHES; at++) running.push(await start('song'));
    assert.equal(await refusal('song'), 'resource-exhausted');
    for (const { abort } of running) abort.abort();
  });
});

describe('search-index: query of a search', () => {
  const GUID = Buffer.alloc(16, 7);

  it('asks for the hash of a URN or a magnet link', () => {
    const urn = formatSha1Urn(sha1Of('song'));
    for (const typed of [urn, ` ${urn.toLowerCase()} `, `magnet:?xt=${urn}`]) {
      const asked = searchQuery(typed, GUID);
      assert.ok(asked.ok, typed);
      const { frame, text, sha1 } = asked.value;
      const decoded = decodeQuery(frame, HEADER_BYTES, frame.length);
      assert.ok(decoded.ok);
      assert.deepEqual([text, decoded.value.text], [URN_ONLY_TEXT, URN_ONLY_TEXT]);
      assert.deepEqual(
        decoded.value.sha1s.map((each) => Buffer.from(each)),
        [Buffer.from(sha1 ?? [])],
      );
    }
  });

  it('asks for the name of a magnet link beside its hash, where words can be made of it', () => {
    const urn = formatSha1Urn(sha1Of('song'));
    const names: readonly (readonly [name: string, text: string])[] = [
      ['blue song.mp3', 'blue song.mp3'],
      ['a b', URN_ONLY_TEXT],
      ['word '.repeat(48).trim(), URN_ONLY_TEXT],
    ];
    for (const [name, text] of names) {
      const asked = searchQuery(`magnet:?xt=${urn}&dn=${encodeURIComponent(name)}`, GUID);
      assert.ok(asked.ok, name);
      const { frame } = asked.value;
      const decoded = decodeQuery(frame, HEADER_BYTES, frame.length);
      assert.ok(decoded.ok);
      assert.deepEqual([asked.value.text, decoded.value.text], [text, text]);
      assert.deepEqual(
        decoded.value.sha1s.map((each) => Buffer.from(each)),
        [Buffer.from(sha1Of('song'))],
      );
    }
  });

  it('takes words of any script', () => {
    for (const typed of ['東京', 'Müller', 'the song 01']) assert.equal(searchQuery(typed, GUID).ok, true, typed);
  });
});

function withGgep(id: string, value: Uint8Array): HitRecordFields {
  return { ...SONG, ggep: [{ id, value }] };
}

function gtkgVersion(): { id: string; value: Uint8Array } {
  return { id: GgepId.GTKG_VERSION, value: new Uint8Array(13).fill(1) };
}
