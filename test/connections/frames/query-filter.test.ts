import assert from 'node:assert/strict';
import { encodeQuery, GgepId, HEADER_BYTES, QueryFlag, type GgepField } from '@filbert/gnutella';
import type { FrameDropReason } from '../../../services/connections/src/counters.ts';
import { NEAR_GUID_MS, NEAR_GUIDS } from '../../../services/connections/src/frames/near-guids.ts';
import {
  LEAF_REQUERY_MS,
  MAX_GREEDY_TTL,
  ULTRAPEER_REPETITION_MS,
} from '../../../services/connections/src/frames/query-filter.ts';
import { LEAF_TEXTS, ULTRAPEER_TEXTS } from '../../../services/connections/src/frames/recent-texts.ts';
import type { PeerLink } from '../../../services/connections/src/link/peer-link.ts';
import { FrameBench } from '../../support/frame-bench.ts';
import { queryPayload, randomGuid, RAW_DESCRIPTOR } from '../../support/raw-wire.ts';

const URN = `urn:sha1:${'PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB'}`;

interface Asked {
  readonly ttl?: number;
  readonly hops?: number;
  readonly guid?: string;
  readonly urns?: readonly string[];
}

/** A payload with GGEP extensions. */
function withGgep(text: string, ggep: readonly GgepField[]): Buffer {
  const frame = encodeQuery(
    { guid: Buffer.from(randomGuid(), 'hex'), ttl: 1, hops: 0 },
    { flags: QueryFlag.GGEP_HASH, text, ggep },
  );
  return Buffer.from(frame.subarray(HEADER_BYTES));
}

describe('connections QUERY, by what its link asked before', () => {
  let bench: FrameBench;
  let leaf: PeerLink;
  let ultrapeer: PeerLink;

  beforeEach(async () => {
    bench = new FrameBench();
    ({ link: leaf } = await bench.add('leaf'));
    ({ link: ultrapeer } = await bench.add('ultrapeer'));
  });
  afterEach(() => bench.stop());

  /** Sends a query; the TTL with which it went to the shard, or why it did not. */
  async function ask(from: PeerLink, text: string | Buffer, asked: Asked = {}): Promise<number | FrameDropReason> {
    const { ttl = 3, hops = from === ultrapeer ? 1 : 0, guid = randomGuid(), urns = [] } = asked;
    const before = { ...bench.counters.framesDropped };
    const payload = typeof text === 'string' ? queryPayload({ text, urns: [...urns] }) : text;
    bench.receive(from, { descriptor: RAW_DESCRIPTOR.query, ttl, hops, guid, payload });
    const routed = await bench.takeRouted();
    if (routed[0] !== undefined) {
      assert.deepEqual([routed.length, routed[0].bytes.toString('hex', 0, 16)], [1, guid]);
      return routed[0].bytes[17] ?? 0;
    }
    const { framesDropped } = bench.counters;
    const reason = (Object.keys(framesDropped) as FrameDropReason[]).find((one) => framesDropped[one] > before[one]);
    assert.ok(reason !== undefined, 'neither sent on nor counted');
    return reason;
  }

  function nobodyIsToBlame(): void {
    assert.deepEqual([leaf.counters.bad, ultrapeer.counters.bad, bench.byes.size], [0, 0, 0]);
  }

  describe('of a leaf with the same text', () => {
    it('is dropped for 1700 s as a requery, and then goes on', async () => {
      assert.equal(await ask(leaf, 'plum jam'), 3);
      assert.equal(await ask(leaf, 'plum jam'), 'requery');
      assert.equal(await ask(leaf, 'plum jam', { ttl: 1 }), 'requery', 'whatever its TTL');
      bench.clock.advance(LEAF_REQUERY_MS - 1_000);
      assert.equal(await ask(leaf, 'plum jam'), 'requery', 'and a refused one makes the time no longer');
      bench.clock.advance(1_000);
      assert.equal(await ask(leaf, 'plum jam'), 3);
      assert.equal(await ask(leaf, 'plum jam'), 'requery');
      nobodyIsToBlame();
    });

    it('or one like it is another query', async () => {
      for (const text of ['plum', 'plum jam', 'plums', 'jam plum', 'Plum', 'plum ']) {
        assert.equal(await ask(leaf, text), 3, text);
      }
    });

    it('under the same GUID is left to the shard, be its TTL the same, lower or higher', async () => {
      const guid = randomGuid();
      for (const ttl of [1, 1, 4, 2]) assert.equal(await ask(leaf, 'plum jam', { guid, ttl }), ttl);
    });

    it('of another leaf is its own', async () => {
      const { link: other } = await bench.add('leaf');
      assert.equal(await ask(leaf, 'plum jam'), 3);
      assert.equal(await ask(other, 'plum jam'), 3);
      assert.equal(await ask(ultrapeer, 'plum jam'), 3);
    });

    it('after more other texts than are remembered goes on', async () => {
      assert.equal(await ask(leaf, 'plum jam'), 3);
      for (let i = 1; i < LEAF_TEXTS; i++) {
        bench.clock.advance(1_000);
        assert.equal(await ask(leaf, `text ${i}`), 3);
      }
      assert.equal(await ask(leaf, 'plum jam'), 'requery');
      bench.clock.advance(1_000);
      assert.equal(await ask(leaf, 'one more'), 3);
      bench.clock.advance(1_000);
      assert.equal(await ask(leaf, 'plum jam'), 3, 'the one asked longest ago was forgotten');
      bench.clock.advance(1_000);
      assert.equal(await ask(leaf, 'one more'), 'requery');
    });

    it('is not known any more when the link is gone', async () => {
      await ask(leaf, 'plum jam');
      bench.onClosed(leaf, 'test');
      const { link: again } = await bench.add('leaf');
      assert.equal(await ask(again, 'plum jam'), 3);
    });
  });

  describe('of an ultrapeer with the same text', () => {
    it('and the same TTL and hops is dropped for 60 s as a repetition', async () => {
      assert.equal(await ask(ultrapeer, 'plum jam'), 3);
      bench.clock.advance(ULTRAPEER_REPETITION_MS - 100);
      assert.equal(await ask(ultrapeer, 'plum jam'), 'repeated-query');
      bench.clock.advance(100);
      assert.equal(await ask(ultrapeer, 'plum jam'), 3);
      nobodyIsToBlame();
    });

    it('and another TTL or other hops is another query', async () => {
      for (const ttl of [1, 2, 3])
        for (const hops of [0, 1, 2]) assert.equal(await ask(ultrapeer, 'plum', { ttl, hops }), ttl);
      for (const ttl of [1, 2, 3]) {
        for (const hops of [0, 1, 2]) assert.equal(await ask(ultrapeer, 'plum', { ttl, hops }), 'repeated-query');
      }
    });

    it('an extension of a probe is never caught: the same GUID with a higher TTL', async () => {
      const guid = randomGuid();
      for (const ttl of [1, 2, 3, 4]) assert.equal(await ask(ultrapeer, 'plum jam', { guid, ttl }), ttl);
      assert.equal(await ask(ultrapeer, 'plum jam', { guid, ttl: 1 }), 1, 'nor its repetition, which is a duplicate');
      assert.equal(await ask(ultrapeer, 'plum jam', { ttl: 1 }), 'repeated-query', 'while another query is');
      assert.equal(await ask(ultrapeer, 'plum jam', { guid, ttl: 3 }), 3);
    });

    it('is recognised among hundreds of others', async () => {
      const texts = Array.from({ length: ULTRAPEER_TEXTS / 4 }, (_, i) => `word${i} and more`);
      for (const text of texts) assert.equal(await ask(ultrapeer, text), 3, text);
      let caught = 0;
      for (const text of texts) if ((await ask(ultrapeer, text)) === 'repeated-query') caught++;
      // In sets of four a few are forgotten early.
      assert.ok(caught > texts.length * 0.9, `${caught} of ${texts.length}`);
    });
  });

  describe('that repeats no text goes on', () => {
    for (const role of ['leaf', 'ultrapeer'] as const) {
      it(`by URN, from a ${role}`, async () => {
        const from = role === 'leaf' ? leaf : ultrapeer;
        for (const text of ['', '\\', 'plum jam']) {
          for (let i = 0; i < 3; i++) assert.equal(await ask(from, text, { urns: [URN] }), 3);
        }
        assert.equal(await ask(from, 'plum jam'), 3, 'and is no reason to drop the text alone');
        assert.equal(await ask(from, 'plum jam', { urns: [URN] }), 3);
      });

      it(`for what is new or for a feature, from a ${role}`, async () => {
        const from = role === 'leaf' ? leaf : ultrapeer;
        const byGgep = withGgep('anything', [{ id: GgepId.WHATS_NEW, value: Uint8Array.of(1) }]);
        const byFeature = withGgep('anything', [{ id: GgepId.WHATS_NEW, value: Uint8Array.of(2) }]);
        for (let i = 0; i < 3; i++) {
          assert.equal(await ask(from, 'WhatIsNewXOXO'), 3);
          assert.equal(await ask(from, byGgep), 3);
          assert.equal(await ask(from, byFeature), 3);
        }
      });
    }

    it('with other extensions is judged by its text', async () => {
      const payload = (): Buffer => withGgep('plum jam', [{ id: 'XY', value: Uint8Array.of(7) }]);
      assert.equal(await ask(leaf, payload()), 3);
      assert.equal(await ask(leaf, 'plum jam'), 'requery');
      assert.equal(await ask(leaf, payload()), 'requery');
    });

    it('whose text is cut, with another whole text in GGEP XQ', async () => {
      const payload = (text: string, whole: string): Buffer =>
        withGgep(text, [{ id: GgepId.EXTENDED_QUERY, value: Buffer.from(whole), deflate: true }]);
      const long = `plum jam ${'and more '.repeat(20)}`;
      for (const whole of ['plum jam', 'plum jam with ginger', `${long}x`, `${long}y`]) {
        assert.equal(await ask(leaf, payload('plum jam', whole)), 3, whole);
      }
      for (const whole of ['plum jam with ginger', `${long}x`]) {
        assert.equal(await ask(leaf, payload('plum jam', whole)), 'requery', whole);
      }
      assert.equal(await ask(leaf, payload('mp3', 'mp3 of plum jam'), { ttl: 4 }), 4, 'nor is it greedy');
    });

    it('malformed, for the shard to drop and to count', async () => {
      for (const payload of [
        Buffer.alloc(0),
        Buffer.of(0x80),
        Buffer.from('80006162', 'hex'),
        Buffer.from('800000', 'hex'),
      ]) {
        for (let i = 0; i < 3; i++) assert.equal(await ask(leaf, payload), 3);
      }
    });
  });

  describe('under a GUID near an other one', () => {
    const guid = '5e0102030405060708090a0b0c0d0e00';
    let asked = 0;
    const near = (from: PeerLink, changed: string, hops = 1): Promise<number | FrameDropReason> =>
      ask(from, `near ${++asked}`, { guid: changed, hops: from === leaf ? 0 : hops });

    it('is dropped where one or two bytes differ, wherever they are, and not where three do', async () => {
      for (const from of [leaf, ultrapeer]) {
        assert.equal(await near(from, guid), 3);
        assert.equal(await near(from, guid.replace(/00$/, '01')), 'near-guid');
        assert.equal(await near(from, guid.replace(/^5e/, 'aa')), 'near-guid');
        assert.equal(await near(from, guid.replace('0304', '1323')), 'near-guid');
        assert.equal(await near(from, guid.replace('5e', '00').replace('08', 'ff')), 'near-guid');
        assert.equal(await near(from, guid.replace('030405', '131415')), 3);
      }
      nobodyIsToBlame();
    });

    it('is dropped for 500 ms', async () => {
      await near(ultrapeer, guid);
      bench.clock.advance(NEAR_GUID_MS);
      assert.equal(await near(ultrapeer, guid.replace(/00$/, '01')), 'near-guid');
      bench.clock.advance(1);
      assert.equal(await near(ultrapeer, guid.replace(/00$/, '02')), 3);
    });

    it('of other hops, of another link, or the very same goes on', async () => {
      const { link: other } = await bench.add('ultrapeer');
      await near(ultrapeer, guid);
      assert.equal(await near(ultrapeer, guid), 3);
      assert.equal(await near(ultrapeer, guid.replace(/00$/, '01'), 2), 3);
      assert.equal(await near(other, guid.replace(/00$/, '01')), 3);
    });

    it('is compared to the last twenty', async () => {
      await near(ultrapeer, guid);
      for (let i = 1; i < NEAR_GUIDS; i++) assert.equal(await near(ultrapeer, randomGuid()), 3);
      assert.equal(await near(ultrapeer, guid.replace(/00$/, '01')), 'near-guid');
      assert.equal(await near(ultrapeer, randomGuid()), 3);
      assert.equal(await near(ultrapeer, guid.replace(/00$/, '01')), 3);
    });

    it('drawn at random never is', async () => {
      for (let i = 0; i < 500; i++) assert.equal(await near(ultrapeer, randomGuid()), 3);
    });
  });

  describe('that asks for everything', () => {
    it('is dropped: one character, a letter with an extension, nothing but "*", ".", "-" and spaces', async () => {
      for (const text of ['a', '*', '7', 'a.mp3', 'Z.JPEG', '*.*', '****', '    ', '- . *', '..']) {
        assert.equal(await ask(ultrapeer, text, { ttl: 1 }), 'greedy-query', text);
      }
      assert.equal(await ask(leaf, 'a.mp3'), 'greedy-query');
      nobodyIsToBlame();
    });

    it('by name of a kind of files goes no farther than three hops in all', async () => {
      for (const text of ['mp3', 'MPG', '*.mp3', '.avi', '* .jpeg -']) {
        assert.equal(await ask(leaf, text, { ttl: 7 }), MAX_GREEDY_TTL, text);
        assert.equal(await ask(ultrapeer, text, { ttl: 2, hops: 1 }), 2, text);
        assert.equal(await ask(ultrapeer, text, { ttl: 4, hops: 1 }), 2, text);
        assert.equal(await ask(ultrapeer, text, { ttl: 4, hops: 2 }), 1, text);
        assert.equal(await ask(ultrapeer, text, { ttl: 1, hops: 3 }), 'greedy-query', text);
      }
      assert.equal(bench.queryFilter.trimmed, 15);
      nobodyIsToBlame();
    });

    it('is no query with more to it', async () => {
      for (const text of ['ab', 'a.mp', 'ab.mp3', 'a mp3', '1.mp3', 'mp3 plum', 'mp5', 'a-b', 'mp3mp3', '猫', 'é']) {
        assert.equal(await ask(ultrapeer, text), 3, text);
      }
      for (const text of ['a', '*.*', 'mp3']) assert.equal(await ask(ultrapeer, text, { urns: [URN] }), 3, text);
    });
  });
});
