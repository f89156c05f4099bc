import assert from 'node:assert/strict';
import type { RawPeer } from '../support/raw-peer.ts';
import { guidBehind, randomGuid } from '../support/raw-wire.ts';
import { describeOnBothForms } from './support/forms.ts';

const URN = `urn:sha1:${'C'.repeat(31)}D`;

describeOnBothForms('TTL, hops, duplicates and the last hop', (net) => {
  /** The topology of conformance.md: two ultrapeers, one of them with a table, and a leaf. */
  async function topology(): Promise<{
    up1: RawPeer;
    up2: RawPeer;
    leaf: RawPeer;
    marker: { source: RawPeer; words: string };
  }> {
    const leaf = await net.leaf({ table: { words: ['test', 'susheel'], urns: [URN] } });
    const up1 = await net.ultrapeer({ headers: { 'X-Max-TTL': '3' }, table: { words: ['leehsus', 'awesome'] } });
    const up2 = await net.ultrapeer({ headers: { 'X-Max-TTL': '3' } });
    await net.ready(up2, leaf, 'susheel');
    await net.ready(up2, up1, 'any');
    return { leaf, up1, up2, marker: { source: up2, words: 'test' } };
  }

  /** Waits until the table of an ultrapeer is in use: the last hop to it is by table from then on. */
  async function lastHopReady(source: RawPeer, target: RawPeer, word: string): Promise<void> {
    await net.ready(source, target, 'any');
    for (let tries = 0; ; tries++) {
      const miss = source.sendQuery({ text: `missing${tries}`, ttl: 2 });
      const hit = source.sendQuery({ text: word, ttl: 2, guid: guidBehind(miss.guid) });
      await target.nextOf('query', hit.guid);
      const came = target.all(({ guid }) => guid === miss.guid).length;
      if (came === 0 && tries >= net.form.shards * 4) return;
      assert.ok(tries < 200, 'the table of an ultrapeer is not in use');
    }
  }

  it('conformance 1, 11: forwards to ultrapeers with hops 1 and TTL at most 3, to leaves only where the table has it', async () => {
    const { leaf, up1, up2, marker } = await topology();
    for (const [ttl, out] of [
      [7, 3],
      [4, 3],
      [3, 2],
    ] as const) {
      const query = up2.sendQuery({ text: `crap${ttl}`, ttl });
      assert.deepEqual(await up1.nextOf('query', query.guid), { ...query, ttl: out, hops: 1 });
      await net.absent(leaf, query, marker);
      await net.absent(up2, query, { source: up1, words: 'any' });
    }
    const both = up2.sendQuery({ text: 'test', ttl: 7 });
    assert.deepEqual(await leaf.nextOf('query', both.guid), { ...both, ttl: 1, hops: 1 });
    assert.deepEqual(await up1.nextOf('query', both.guid), { ...both, ttl: 3, hops: 1 });
  });

  it('conformance 2, 10: the query of a leaf reaches the ultrapeers as a probe, TTL 2 and hops 1', async () => {
    const { leaf, up1, up2 } = await topology();
    for (const query of [
      leaf.sendQuery({ text: 'crap', ttl: 7 }),
      leaf.sendQuery({ text: '\\', urns: [URN], ttl: 4 }),
    ]) {
      for (const up of [up1, up2]) {
        assert.deepEqual(await up.nextOf('query', query.guid), { ...query, ttl: 2, hops: 1 });
      }
    }
  });

  it('conformance 6, 9: a URN query reaches the leaf that has it; one that nobody has reaches ultrapeers but for the last hop', async () => {
    const { leaf, up1, up2, marker } = await topology();
    await lastHopReady(up2, up1, 'awesome');
    const query = up2.sendQuery({ text: '\\', urns: [URN], ttl: 7 });
    assert.deepEqual((await leaf.nextOf('query', query.guid)).payload, query.payload);
    assert.deepEqual((await up1.nextOf('query', query.guid)).payload, query.payload);
    const urns = [`urn:sha1:${'D'.repeat(32)}`];
    const far = up2.sendQuery({ text: '\\', urns, ttl: 3 });
    await up1.nextOf('query', far.guid);
    const last = up2.sendQuery({ text: '\\', urns, ttl: 2, guid: randomGuid() });
    await net.absent(up1, last, marker);
    await net.absent(leaf, far, marker);
    await net.absent(leaf, last, marker);
  });

  it('conformance 7, 8: on the last hop an ultrapeer gets what its table matches, prefixes included', async () => {
    const { up1, up2 } = await topology();
    await lastHopReady(up2, up1, 'awesome');
    const marker = { source: up2, words: 'any' };
    for (const text of ['leehsus', 'leehsu', 'leehsus awesome']) {
      const query = up2.sendQuery({ text, ttl: 2 });
      assert.deepEqual(await up1.nextOf('query', query.guid), { ...query, ttl: 1, hops: 1 });
    }
    for (const text of ['missing', 'leehsus missing']) {
      await net.absent(up1, up2.sendQuery({ text, ttl: 2 }), marker);
      await up1.nextOf('query', up2.sendQuery({ text, ttl: 3 }).guid);
    }
  });

  it('the last hop goes to an ultrapeer that gave no table, also where it said that it has one', async () => {
    const asker = await net.ultrapeer();
    const silent = await net.ultrapeer();
    const without = await net.ultrapeer({ headers: { 'X-Ultrapeer-Query-Routing': null } });
    for (const target of [silent, without]) {
      await net.ready(asker, target, 'any');
      const query = asker.sendQuery({ text: 'missing', ttl: 2 });
      assert.deepEqual(await target.nextOf('query', query.guid), { ...query, ttl: 1, hops: 1 });
    }
  });

  it("cuts the TTL to what a neighbour's X-Max-TTL takes", async () => {
    const asker = await net.ultrapeer();
    const modest = await net.ultrapeer({ headers: { 'X-Max-TTL': '2' } });
    await net.ready(asker, modest, 'any');
    const query = asker.sendQuery({ text: 'far away', ttl: 4 });
    assert.deepEqual(await modest.nextOf('query', query.guid), { ...query, ttl: 2, hops: 1 });
  });

  it('serves leaves whose query has used up its TTL, and counts hops up to the leaf', async () => {
    const { leaf, up1, up2, marker } = await topology();
    for (const [ttl, hops] of [
      [1, 0],
      [1, 3],
      [2, 3],
      [4, 4],
    ] as const) {
      const query = up2.sendQuery({ text: `test ${'abcdefgh'[ttl + hops] ?? ''}`, ttl, hops });
      assert.deepEqual(await leaf.nextOf('query', query.guid), { ...query, ttl: 1, hops: hops + 1 });
      await net.absent(up1, query, { source: up2, words: 'any' });
    }
    const middle = up2.sendQuery({ text: 'awesome', ttl: 6, hops: 2 });
    assert.deepEqual(await up1.nextOf('query', middle.guid), { ...middle, ttl: 1, hops: 3 });
    for (const [ttl, hops] of [
      [1, 5],
      [1, 200],
      [1, 255],
    ] as const) {
      await net.absent(leaf, up2.sendQuery({ text: 'test', ttl, hops }), marker);
    }
  });

  it('drops a query seen before: again from its sender, and from another', async () => {
    const { leaf, up1, up2, marker } = await topology();
    const up3 = await net.ultrapeer();
    await net.ready(up3, leaf, 'test');
    const query = up2.sendQuery({ text: 'test', ttl: 4 });
    await leaf.nextOf('query', query.guid);
    await up1.nextOf('query', query.guid);
    await up3.nextOf('query', query.guid);
    up2.sendQuery({ text: 'test', ttl: 4, guid: query.guid });
    up2.sendQuery({ text: 'susheel', ttl: 3, guid: query.guid });
    await net.absent(leaf, query, marker);
    await net.absent(up1, query, { source: up2, words: 'any' });
    up3.sendQuery({ text: 'test', ttl: 4, guid: query.guid });
    await net.absent(leaf, query, { source: up3, words: 'test' });
    await net.absent(up1, query, { source: up3, words: 'any' });
    await net.absent(up2, query, { source: up3, words: 'any' });
  });

  it('conformance 17, 18, 20 to 22: a probe extended by a higher TTL goes on to ultrapeers, three times at most, never again to leaves', async () => {
    const { leaf, up1, up2, marker } = await topology();
    const anyUp = { source: up2, words: 'any' };
    const probe = up2.sendQuery({ text: 'susheel', ttl: 1 });
    assert.deepEqual(await leaf.nextOf('query', probe.guid), { ...probe, ttl: 1, hops: 1 });
    await net.absent(up1, probe, anyUp);
    const hit = leaf.sendHit({
      queryGuid: probe.guid,
      serventGuid: leaf.serventGuid,
      records: [{ index: 1, size: 1, name: 'susheel' }],
    });
    assert.deepEqual(await up2.nextOf('hit', probe.guid), { ...hit, ttl: 3, hops: 1 });

    const extend = (ttl: number): unknown => up2.sendQuery({ text: 'susheel', ttl, guid: probe.guid });
    extend(1);
    await net.absent(leaf, probe, marker);
    // README.md: on with a higher TTL than any before. The last hop asks the table, so the first extension skips one.
    for (const ttl of [3, 4]) {
      extend(ttl);
      const received = await up1.nextOf('query', probe.guid);
      assert.deepEqual(received, { ...probe, ttl: ttl - 1, hops: 1 });
      extend(ttl);
      await net.absent(up1, probe, anyUp);
    }
    for (const ttl of [1, 2, 3, 7]) extend(ttl);
    await net.absent(up1, probe, anyUp);
    await net.absent(leaf, probe, marker);
  });

  it('conformance 19: a probe from a leaf of the sender, and its extensions', async () => {
    const { leaf, up1, up2, marker } = await topology();
    const probe = up2.sendQuery({ text: 'test', ttl: 1, hops: 1 });
    assert.deepEqual(await leaf.nextOf('query', probe.guid), { ...probe, ttl: 1, hops: 2 });
    await net.absent(up1, probe, { source: up2, words: 'any' });
    const extension = up2.sendQuery({ text: 'test', ttl: 3, hops: 1, guid: probe.guid });
    assert.deepEqual(await up1.nextOf('query', probe.guid), { ...extension, ttl: 2, hops: 2 });
    await net.absent(leaf, probe, marker);
  });

  it('three extensions from TTL 1 go on, each once', async () => {
    const asker = await net.ultrapeer();
    const silent = await net.ultrapeer();
    await net.ready(asker, silent, 'any');
    const guid = randomGuid();
    asker.sendQuery({ text: 'stepwise', ttl: 1, guid });
    for (const ttl of [2, 3, 4]) {
      asker.sendQuery({ text: 'stepwise', ttl, guid });
      assert.equal((await silent.nextOf('query', guid)).ttl, ttl - 1);
    }
  });

  it('conformance 16: the query of a leaf that left is still a duplicate', async () => {
    const leaving = await net.leaf();
    const keeper = await net.leaf({ table: { words: ['farewell'] } });
    const up = await net.ultrapeer();
    await net.ready(up, keeper, 'farewell');
    const query = leaving.sendQuery({ text: 'farewell' });
    await keeper.nextOf('query', query.guid);
    await leaving.close();
    await net.linked();
    up.sendQuery({ text: 'farewell', guid: query.guid });
    await net.absent(keeper, query, { source: up, words: 'farewell' });
  });

  it('TTL 0 goes nowhere, and five end the link with BYE 408', async () => {
    const { leaf, up2, marker } = await topology();
    await net.absent(leaf, up2.sendQuery({ text: 'test', ttl: 0 }), marker);
    for (let i = 0; i < 4; i++) up2.sendQuery({ text: 'test', ttl: 0 });
    await up2.waitClosed();
    assert.equal(up2.bye?.code, 408);
  });

  it('TTL and hops beyond 15 go nowhere, and more than ten end the link with BYE 403', async () => {
    const { leaf, up1, up2, marker } = await topology();
    const query = up2.sendQuery({ text: 'test', ttl: 16 });
    await net.absent(leaf, query, marker);
    await net.absent(up1, query, { source: up2, words: 'any' });
    for (let i = 0; i < 9; i++) up2.sendQuery({ text: 'test', ttl: 14, hops: 2 });
    await up2.pingBarrier();
    up2.sendQuery({ text: 'test', ttl: 255 });
    await up2.waitClosed();
    assert.equal(up2.bye?.code, 403);
  });

  it('a link that repeats its own queries is ended with BYE 401', async () => {
    const asker = await net.ultrapeer();
    const other = await net.ultrapeer();
    await net.ready(asker, other, 'any');
    const query = asker.sendQuery({ text: 'again and again', ttl: 3 });
    for (let i = 0; i < 5; i++) asker.sendQuery({ text: 'again and again', ttl: 3, guid: query.guid });
    await asker.waitClosed();
    assert.equal(asker.bye?.code, 401);
  });
});
