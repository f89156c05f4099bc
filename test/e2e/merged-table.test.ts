import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';
import type { RawPeer } from '../support/raw-peer.ts';
import { RAW_DESCRIPTOR, type RawFrame } from '../support/raw-wire.ts';
import { describeOnBothForms } from './support/forms.ts';

/** A change of a leaf must be in the table of every ultrapeer after this time. */
const CHANGE_LIMIT_MS = 20_000;

/** An ultrapeer that enters gets the table as it is now, at once. */
const ENTER_LIMIT_MS = 4_000;

function qrpFrames(peer: RawPeer): RawFrame[] {
  return peer.all(({ descriptor }) => descriptor === RAW_DESCRIPTOR.qrp);
}

/** The 4-bit entries of the patch sequences that a peer got, each sequence as one string of hex digits. */
function patchEntries(peer: RawPeer): string[] {
  const sequences: Buffer[][] = [];
  for (const { payload } of qrpFrames(peer)) {
    if (payload[0] !== 1) continue;
    if (payload[1] === 1) sequences.push([]);
    assert.equal(payload[4], 4, 'entries have 4 bits');
    sequences.at(-1)?.push(payload);
  }
  return sequences.map((slices) => {
    const data = Buffer.concat(slices.map((slice) => slice.subarray(5)));
    return (slices[0]?.[3] === 1 ? inflateSync(data) : data).toString('hex');
  });
}

describeOnBothForms('the merged table at ultrapeers', (net) => {
  it('follows leaves that come, change, are busy and leave, within 20 s and in the form of gtk-gnutella', async function () {
    this.timeout(60_000);
    const delays: number[] = [];
    /** Waits for a change at all ultrapeers, and notes how long it took. */
    const changed = async (peers: readonly RawPeer[], present: string[], absent: string[]): Promise<void> => {
      const startMs = performance.now();
      await Promise.all(
        peers.map(async (peer) => {
          await peer.waitTable(
            (table) => present.every((word) => table.has(word)) && !absent.some((word) => table.has(word)),
            CHANGE_LIMIT_MS,
          );
          delays.push(performance.now() - startMs);
        }),
      );
    };

    const steady = await net.leaf({ table: { words: ['endive', 'radicchio'] } });
    const changing = await net.leaf({ table: { bits: 20, words: ['escarole'] } });
    const busy = await net.leaf({ table: { bits: 13, words: ['romaine'] } });
    const leaving = await net.leaf({ table: { words: ['arugula', 'endive'] } });
    const up1 = await net.ultrapeer({ table: { words: ['watercress'] } });
    const up2 = await net.ultrapeer();
    await changed([up1, up2], ['endive', 'radicchio', 'radicch', 'escarole', 'romaine', 'arugula'], []);
    assert.deepEqual(
      qrpFrames(up2)
        .map(({ payload }) => payload[0] ?? -1)
        .slice(0, 2),
      [0, 1],
      'RESET, then PATCH',
    );

    changing.sendTablePatch({ addWords: ['mizuna'], removeWords: ['escarole'] });
    busy.sendHopsFlow(0);
    await leaving.close();
    await net.leaf({ table: { bits: 17, words: ['tatsoi'] } });
    await net.leaf({ table: { bits: 10, words: Array.from({ length: 8000 }, (_, i) => `w${i}`) } });
    await changed([up1, up2], ['mizuna', 'endive', 'radicchio', 'tatsoi'], ['escarole', 'romaine', 'arugula']);

    // A neighbour that leaves and comes back gets the whole again, not a difference.
    await up2.close();
    const back = await net.ultrapeer();
    await back.waitTable((table) => table.has('mizuna') && !table.has('romaine'), ENTER_LIMIT_MS);
    busy.sendHopsFlow(5);
    steady.sendTable({ bits: 14, words: ['frisee'] });
    await changed([up1, back], ['romaine', 'frisee'], ['radicchio']);

    for (const peer of [up1, up2, back]) {
      assert.ok(!peer.table.has('watercress'), "no ultrapeer's table is merged");
      const frames = qrpFrames(peer);
      assert.equal(frames.filter(({ payload }) => payload[0] === 0).length, 1, 'one RESET, then differences');
      for (const { payload, ttl, hops } of frames) {
        assert.deepEqual([ttl, hops], [1, 0]);
        if (payload[0] === 0) assert.match(payload.toString('hex'), /^00[0-9a-f]{8}02$/, 'infinity 2');
      }
      for (const entries of patchEntries(peer)) assert.match(entries, /^[0f1]*$/);
      assert.ok(peer.table.slots.size < 2 ** 15, 'a leaf whose table says nothing is left out');
    }
    const slowest = (Math.max(...delays) / 1000).toFixed(1);
    if (this.test !== undefined) this.test.title += ` (slowest of ${delays.length}: ${slowest} s)`;
  });

  it('a neighbour without X-Ultrapeer-Query-Routing and a leaf get no table', async () => {
    const without = await net.ultrapeer({ headers: { 'X-Ultrapeer-Query-Routing': null } });
    const leaf = await net.leaf();
    const withIt = await net.ultrapeer();
    await withIt.waitTable((table) => table.completed > 0, ENTER_LIMIT_MS);
    for (const peer of [without, leaf]) {
      await peer.expectNone(
        ({ descriptor }) => descriptor === RAW_DESCRIPTOR.qrp,
        () => peer.pingBarrier(),
      );
    }
  });
});
