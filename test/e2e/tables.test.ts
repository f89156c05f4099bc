import { resetPayload, patchPayloads, tableSlots } from '../support/raw-table.ts';
import { describeOnBothForms } from './support/forms.ts';

const ENTRY_BITS = [1, 2, 4, 8] as const;

describeOnBothForms('tables of every size and form', (net) => {
  for (const bits of [10, 13, 16, 20]) {
    it(`routes by a table of 2^${bits} slots, and changes it by patches`, async () => {
      const leaf = await net.leaf({ table: { bits, words: ['saffron', 'cardamom'] } });
      const asker = await net.ultrapeer();
      const marker = { source: asker, words: 'cardamom' };
      await net.ready(asker, leaf, 'saffron');
      await net.absent(leaf, asker.sendQuery({ text: 'saffron turmeric' }), marker);

      leaf.sendTablePatch({ addWords: ['turmeric'] });
      await net.ready(asker, leaf, 'saffron turmeric');
      leaf.sendTablePatch({ removeWords: ['saffron'], addWords: ['paprika'] });
      await net.ready(asker, leaf, 'paprika');
      await net.absent(leaf, asker.sendQuery({ text: 'saffron' }), marker);
      await leaf.nextOf('query', asker.sendQuery({ text: 'turmeric' }).guid);
    });
  }

  for (const entryBits of ENTRY_BITS) {
    it(`takes patches of ${entryBits}-bit entries, plain and deflated, whole and in slices`, async () => {
      const leaf = await net.leaf();
      const asker = await net.ultrapeer();
      let before: string | undefined;
      for (const [form, slices] of [
        ['plain', 2],
        ['plain', 17],
        ['deflated', 1],
        ['deflated', 5],
      ] as const) {
        const word = `clove${form}${slices}`;
        // A prefix may be shared; the words are not.
        leaf.sendTable({ words: [word], prefixes: false, entryBits, slices, compress: form === 'deflated' });
        await net.ready(asker, leaf, word);
        const marker = { source: asker, words: word };
        if (before !== undefined) await net.absent(leaf, asker.sendQuery({ text: before }), marker);
        leaf.sendTablePatch({ addWords: ['nutmeg'], entryBits, slices, compress: form === 'deflated' });
        await net.ready(asker, leaf, `${word} nutmeg`);
        leaf.sendTablePatch({ removeWords: ['nutmeg'], addWords: ['aniseed'], entryBits });
        await net.ready(asker, leaf, `${word} aniseed`);
        await net.absent(leaf, asker.sendQuery({ text: 'nutmeg' }), marker);
        before = word;
      }
    });
  }

  it("takes LimeWire's values: infinity 7, entries of 6 and -6, and 8 bits of any magnitude", async () => {
    const asker = await net.ultrapeer();
    const leaf = await net.leaf({ table: { words: ['coriander'], infinity: 7, delta: 6 } });
    await net.ready(asker, leaf, 'coriander');
    leaf.sendTablePatch({ removeWords: ['coriander'], addWords: ['fenugreek'], delta: 6 });
    await net.ready(asker, leaf, 'fenugreek');
    await net.absent(leaf, asker.sendQuery({ text: 'coriander' }), { source: asker, words: 'fenugreek' });
    leaf.sendTable({ words: ['asafoetida'], infinity: 255, entryBits: 8, delta: 127, slices: 4 });
    await net.ready(asker, leaf, 'asafoetida');
  });

  it('after a RESET the old table answers until the new one is complete', async () => {
    const bits = 14;
    const leaf = await net.leaf({ table: { bits, words: ['rosemary'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, leaf, 'rosemary');
    const slots = tableSlots({ bits, words: ['tarragon'] });
    const [first, second, third] = patchPayloads(bits, slots, [], { slices: 3 });
    leaf.sendQrp(resetPayload(2 ** bits, 2));
    for (const slice of [first, second]) leaf.sendQrp(slice ?? Buffer.alloc(0));
    await leaf.pingBarrier();
    await leaf.nextOf('query', asker.sendQuery({ text: 'rosemary' }).guid);
    await net.absent(leaf, asker.sendQuery({ text: 'tarragon' }), { source: asker, words: 'rosemary' });
    leaf.sendQrp(third ?? Buffer.alloc(0));
    await net.ready(asker, leaf, 'tarragon');
    await net.absent(leaf, asker.sendQuery({ text: 'rosemary' }), { source: asker, words: 'tarragon' });
  });

  it('a RESET within a sequence begins anew, and may change the size', async () => {
    const leaf = await net.leaf({ table: { bits: 16, words: ['oregano'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, leaf, 'oregano');
    const [half] = patchPayloads(16, tableSlots({ bits: 16, words: ['chervil'] }), [], { slices: 2 });
    leaf.sendQrp(resetPayload(2 ** 16, 2));
    leaf.sendQrp(half ?? Buffer.alloc(0));
    leaf.sendTable({ bits: 12, words: ['marjoram'] });
    await net.ready(asker, leaf, 'marjoram');
    for (const text of ['oregano', 'chervil']) {
      await net.absent(leaf, asker.sendQuery({ text }), { source: asker, words: 'marjoram' });
    }
  });

  it('routes nothing to a leaf whose table is empty or has fewer than 8 slots', async () => {
    const keeper = await net.leaf({ table: { words: ['sorrel'] } });
    const empty = await net.leaf({ table: { words: [] } });
    const tiny = await net.leaf({ table: { bits: 2, words: ['sorrel', 'lovage', 'borage', 'savory', 'chicory'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'sorrel');
    await empty.pingBarrier();
    await tiny.pingBarrier();
    const query = asker.sendQuery({ text: 'sorrel' });
    await keeper.nextOf('query', query.guid);
    for (const leaf of [empty, tiny]) {
      // The leaf's own table, made useful after the query was handled, lets a marker through.
      leaf.sendTable({ words: ['sorrel'] });
      await net.ready(asker, leaf, 'sorrel');
      await net.absent(leaf, query, { source: asker, words: 'sorrel' });
    }
  });

  it('a table with every slot set gets every query with a word', async () => {
    const bits = 10;
    const leaf = await net.leaf();
    const asker = await net.ultrapeer();
    leaf.sendQrp(resetPayload(2 ** bits, 2));
    const all = Array.from({ length: 2 ** bits }, (_, slot) => slot);
    for (const payload of patchPayloads(bits, all, [])) leaf.sendQrp(payload);
    await net.ready(asker, leaf, 'anything at all');
    await leaf.nextOf('query', asker.sendQuery({ text: '', urns: [`urn:sha1:${'B'.repeat(32)}`] }).guid);
    await net.absent(leaf, asker.sendQuery({ text: 'zz yy' }), { source: asker, words: 'anything' });
  });
});
