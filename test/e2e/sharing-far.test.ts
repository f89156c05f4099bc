import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { base32Encode } from '@filbert/gnutella';
import type { NodeOptions } from '../support/node-process.ts';
import { FORMS } from './support/forms.ts';
import { SharingNode, type Wanted } from './support/sharing-node.ts';

/** Chains of four nodes, each linked to its neighbours only; which of them run as processes. */
const CHAINS = [
  { name: 'embedded', processes: [] },
  { name: 'processes', processes: [0, 1, 2, 3] },
] as const;

/** Each node of the chain shares one file; the words are in no other name. */
const NAMES = [
  'alder brook concert.bin',
  'birch valley reading.bin',
  'cedar harbour lecture.bin',
  'elm ridge film.bin',
];
const FILE_BYTES = 300_000;

for (const { name, processes } of CHAINS) {
  describe(`e2e, ${name}: files found and fetched from beyond other ultrapeers`, function () {
    this.timeout(120_000);
    const folder = mkdtempSync(join(tmpdir(), 'filbert-far-'));
    const contents = NAMES.map(() => randomBytes(FILE_BYTES));
    const wanted: Wanted[] = contents.map((content, at) => ({
      sha1: base32Encode(createHash('sha1').update(content).digest()),
      sizeBytes: content.length,
      name: NAMES[at] ?? '',
    }));
    const chain: SharingNode[] = [];

    before(async () => {
      // As many ultrapeer slots as the chain needs: no node finds room for a short cut.
      for (const [at, name] of NAMES.entries()) {
        const share = join(folder, String(at));
        mkdirSync(share);
        writeFileSync(join(share, name), contents[at] ?? '');
        const before = chain.at(-1);
        chain.push(await SharingNode.start(optionsOf(at, share, before)));
        await before?.ultrapeers(at === 1 ? 1 : 2);
      }
      for (const node of chain) await node.shares(1);
    });
    after(async () => {
      await Promise.all(chain.map((node) => node.stop()));
      rmSync(folder, { recursive: true, force: true });
    });

    function optionsOf(at: number, share: string, before: SharingNode | undefined): NodeOptions {
      const isEnd = at === 0 || at === NAMES.length - 1;
      const args = ['--share', share, '--max-ultrapeers', isEnd ? '1' : '2'];
      if (before !== undefined) args.push('--connect', before.node.address);
      const form = FORMS[processes.some((one) => one === at) ? 1 : 0];
      return { ...form?.options, args, readyTimeoutMs: 60_000 };
    }

    /** `from` and `to` are places in the chain. */
    async function fetchEachWay(to: number, from: number): Promise<void> {
      const seeker = chain[to];
      const file = wanted[from];
      const content = contents[from];
      assert.ok(seeker && file && content);
      const words = file.name.split(' ').slice(0, 2).reverse().join(' ');
      const source = await seeker.find(words, (_, sha1) => sha1 === file.sha1);
      assert.deepEqual(
        [source.name, source.size, source.hops, `${source.address}:${source.port}`],
        [file.name, FILE_BYTES, Math.abs(to - from), chain[from]?.node.address],
      );
      const ways = [
        { address: `${source.address}:${source.port}`, serventGuid: '', index: source.index, firewalled: false },
        { address: '', serventGuid: source.servent, index: source.index, firewalled: true },
      ];
      for (const way of ways) {
        const pushed = await seeker.metric('filbert_transfers_pushes_sent_total');
        const done = await seeker.completed(await seeker.fetch(file, [way]));
        assert.ok(readFileSync(done.path).equals(content), `${done.name} is what was shared`);
        const pushes: number = (await seeker.metric('filbert_transfers_pushes_sent_total')) - pushed;
        assert.equal(pushes, way.firewalled ? 1 : 0, way.firewalled ? 'by PUSH' : 'directly');
        // What is there is not fetched again.
        rmSync(done.path);
      }
    }

    it('across one ultrapeer, directly and by PUSH, both ways', async () => {
      await fetchEachWay(0, 2);
      await fetchEachWay(2, 0);
      await fetchEachWay(3, 1);
    });

    it('across two ultrapeers, directly and by PUSH, both ways', async () => {
      await fetchEachWay(0, 3);
      await fetchEachWay(3, 0);
    });
  });
}
