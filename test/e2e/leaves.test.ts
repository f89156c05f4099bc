import assert from 'node:assert/strict';
import { queryPayload, RAW_DESCRIPTOR, type RawFrame } from '../support/raw-wire.ts';
import { describeOnBothForms } from './support/forms.ts';
import { isQuery } from './support/network.ts';

const URN = 'urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB';

describeOnBothForms('leaves search leaves', (net) => {
  it('hands the query of a leaf to a leaf whose table matches, and the hit back intact', async () => {
    const seeker = await net.leaf();
    const keeper = await net.leaf({ table: { words: ['hazelnut', 'orchard'] } });
    const observer = await net.ultrapeer();
    await net.ready(observer, keeper, 'hazelnut');

    const query = seeker.sendQuery({ text: 'hazelnut', ttl: 4 });
    const received = await keeper.nextOf('query', query.guid);
    assert.deepEqual(received, { ...query, ttl: 1, hops: 1 });

    const hit = keeper.sendHit({
      queryGuid: query.guid,
      serventGuid: keeper.serventGuid,
      records: [
        { index: 1, size: 0xfffffffe, name: 'Hazelnut Orchard.ogg', urn: URN },
        { index: 2, size: 0, name: 'Haselnuß – второй.flac' },
      ],
      flags: [0x3d, 0x29],
      privateArea: Buffer.from('c3025450810101ff00fe', 'hex'),
      ttl: 5,
    });
    const answer = await seeker.nextOf('hit', query.guid);
    assert.deepEqual(answer, { ...hit, ttl: 4, hops: 1 });
  });

  it('does not hand a query back to the leaf that asked, though its table matches', async () => {
    const seeker = await net.leaf({ table: { words: ['walnut'] } });
    const keeper = await net.leaf({ table: { words: ['walnut'] } });
    const observer = await net.ultrapeer();
    await net.ready(observer, keeper, 'walnut');
    await net.ready(observer, seeker, 'walnut');
    const query = seeker.sendQuery({ text: 'walnut', ttl: 2 });
    await keeper.nextOf('query', query.guid);
    await net.absent(seeker, query, { source: observer, words: 'walnut' });
  });

  it('wants every word of a query in the table, whatever their number and order', async () => {
    const keeper = await net.leaf({ table: { words: ['almond', 'butter', 'cookie', 'dough'] } });
    const asker = await net.ultrapeer();
    const marker = { source: asker, words: 'almond' };
    await net.ready(asker, keeper, 'almond');
    for (const text of ['almond butter', 'dough almond', 'cookie butter almond dough', 'ALMOND, Butter!']) {
      const query = asker.sendQuery({ text });
      await keeper.nextOf('query', query.guid);
    }
    for (const text of ['almond milk', 'almond butter cookie pastry', 'pastry']) {
      await net.absent(keeper, asker.sendQuery({ text }), marker);
    }
  });

  it('ignores words under three bytes, and routes a query of nothing else to no leaf', async () => {
    const keeper = await net.leaf({ table: { words: ['pecan', 'of', 'a'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'pecan');
    const marker = { source: asker, words: 'pecan' };
    await keeper.nextOf('query', asker.sendQuery({ text: 'zz of pecan yy' }).guid);
    await net.absent(keeper, asker.sendQuery({ text: 'a pie of pecan zz' }), marker);
    await net.absent(keeper, asker.sendQuery({ text: 'of a' }), marker);
  });

  it('finds a word by the prefixes that its owner inserted, and by no shorter one', async () => {
    const keeper = await net.leaf({ table: { words: ['macadamia'] } });
    const asker = await net.ultrapeer();
    const marker = { source: asker, words: 'macadamia' };
    await net.ready(asker, keeper, 'macadamia');
    for (const text of ['macadami', 'macadam', 'macad', 'maca']) {
      await keeper.nextOf('query', asker.sendQuery({ text }).guid);
    }
    for (const text of ['mac', 'macadamias']) await net.absent(keeper, asker.sendQuery({ text }), marker);
  });

  it('finds by URN: any that the table holds suffices, with or without text', async () => {
    const other = `urn:sha1:${'A'.repeat(31)}B`;
    const keeper = await net.leaf({ table: { words: ['chestnut'], urns: [URN] } });
    const asker = await net.ultrapeer();
    const marker = { source: asker, words: 'chestnut' };
    await net.ready(asker, keeper, 'chestnut');
    for (const query of [
      { text: '', urns: [URN] },
      { text: '\\', urns: [URN] },
      { text: '', urns: [other, URN] },
    ]) {
      const sent = asker.sendQuery(query);
      const received = await keeper.nextOf('query', sent.guid);
      assert.deepEqual(received.payload, queryPayload(query));
    }
    await net.absent(keeper, asker.sendQuery({ text: '', urns: [other] }), marker);
  });

  it('accented words match without accents, CJK words exactly, each only where the table has it', async () => {
    // Conformance 12. The tables hold canonical words, as page 05 §1.1 makes them.
    const accented = await net.leaf({ table: { words: ['cafe', 'strasse'] } });
    const japanese = await net.leaf({ table: { words: ['ガンダム', '東京'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, accented, 'cafe');
    await net.ready(asker, japanese, '東京');
    for (const text of ['Café', 'cafe', 'CAFE\u0301', 'Straße café']) {
      const query = asker.sendQuery({ text });
      await accented.nextOf('query', query.guid);
      await net.absent(japanese, query, { source: asker, words: '東京' });
    }
    for (const text of ['東京', 'ガンダム', '東京ガンダム', 'カ\u3099ンタ\u3099ム']) {
      const query = asker.sendQuery({ text });
      await japanese.nextOf('query', query.guid);
      await net.absent(accented, query, { source: asker, words: 'cafe' });
    }
    // Without its voicing marks it is another word.
    await net.absent(japanese, asker.sendQuery({ text: 'カンタム' }), { source: asker, words: '東京' });
  });

  it('hands nothing to a leaf before its table came, and each query only once', async () => {
    const tableless = await net.leaf();
    const keeper = await net.leaf({ table: { words: ['pistachio'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'pistachio');
    const query = asker.sendQuery({ text: 'pistachio', ttl: 3 });
    await keeper.nextOf('query', query.guid);
    await net.absent(keeper, query, { source: asker, words: 'pistachio' });
    // Then its table comes, and only what is sent from then on.
    tableless.sendTable({ words: ['pistachio'] });
    await net.ready(asker, tableless, 'pistachio');
    await net.absent(tableless, query, { source: asker, words: 'pistachio' });
  });

  it('delivers what fits a leaf of a thousand words, and nothing else', async () => {
    const words = Array.from({ length: 1000 }, (_, i) => `kernel${i.toString(36)}x`);
    const keeper = await net.leaf({ table: { words, prefixes: false, bits: 20 } });
    const asker = await net.ultrapeer();
    const marker = { source: asker, words: 'kernel0x' };
    await net.ready(asker, keeper, 'kernel0x');
    const wanted: RawFrame[] = [];
    const unwanted: RawFrame[] = [];
    for (let i = 0; i < 200; i++) {
      wanted.push(asker.sendQuery({ text: `${words[i * 3] ?? ''} ${words[i * 5] ?? ''}` }));
      unwanted.push(asker.sendQuery({ text: `${words[i] ?? ''} husk${i.toString(36)}y` }));
    }
    for (const query of wanted) await keeper.nextOf('query', query.guid);
    const bad = new Set(unwanted.map(({ guid }) => guid));
    for (const last of unwanted.slice(-12)) await net.barrier(keeper, last.guid, marker);
    assert.deepEqual(
      keeper.all((frame) => isQuery(frame) && bad.has(frame.guid)).map(({ descriptor }) => descriptor),
      [],
    );
    assert.equal(wanted[0]?.descriptor, RAW_DESCRIPTOR.query);
  });
});
