import assert from 'node:assert/strict';
import type { RawPeer } from '../support/raw-peer.ts';
import { guidBehind, ipv4Bytes, randomGuid, type RawFrame } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { describeOnBothForms } from './support/forms.ts';

/** The step of a controlled search, and how far from it the next query may come. */
const STEP_MS = 2_400;
const TOLERANCE_MS = 900;

interface Arrival {
  readonly peer: RawPeer;
  readonly frame: RawFrame;
  readonly atMs: number;
}

/** Gathers the arrivals of one query, in order. */
function watch(peers: readonly RawPeer[], { guid }: RawFrame): Arrival[] {
  const arrivals: Arrival[] = [];
  for (const peer of peers) {
    peer.nextOf('query', guid, 15_000).then(
      (frame) => arrivals.push({ peer, frame, atMs: performance.now() }),
      // Whoever is not asked before the scenario ends.
      () => undefined,
    );
  }
  return arrivals;
}

function arrived(arrivals: readonly Arrival[], count: number): Promise<true> {
  return waitFor(`${count} ultrapeers to be asked`, () => arrivals.length >= count, 10_000).then(() => true);
}

describeOnBothForms('controlled searches of leaves', (net) => {
  async function ultrapeers(count: number): Promise<RawPeer[]> {
    const peers: RawPeer[] = [];
    while (peers.length < count) peers.push(await net.ultrapeer());
    return peers;
  }

  it('asks three ultrapeers at once with TTL 2, then one more each 2.4 s with TTL 3', async () => {
    const leaf = await net.leaf();
    const peers = await ultrapeers(5);
    const query = leaf.sendQuery({ text: 'persimmon', ttl: 4 });
    const arrivals = watch(peers, query);
    await arrived(arrivals, 5);
    assert.deepEqual(
      arrivals.map(({ frame }) => [frame.ttl, frame.hops]),
      [2, 2, 2, 3, 3].map((ttl) => [ttl, 1]),
    );
    const startMs = arrivals[0]?.atMs ?? 0;
    arrivals.forEach(({ atMs }, at) => {
      const steps = Math.max(0, at - 2);
      assert.ok(Math.abs(atMs - startMs - steps * STEP_MS) < TOLERANCE_MS, `number ${at} after ${atMs - startMs} ms`);
    });
  });

  it('stops when 50 records were routed back, and when the leaf left', async () => {
    const [satisfied, leaving, patient] = [await net.leaf(), await net.leaf(), await net.leaf()];
    const peers = await ultrapeers(4);
    const query = satisfied.sendQuery({ text: 'loquat', ttl: 4 });
    const orphan = leaving.sendQuery({ text: 'loquat', ttl: 4, guid: guidBehind(query.guid) });
    const arrivals = watch(peers, query);
    const orphaned = watch(peers, orphan);
    await arrived(arrivals, 3);
    await arrived(orphaned, 3);
    await leaving.close();
    for (let i = 0; i < 5; i++) {
      const records = Array.from({ length: 10 }, (_, at) => ({ index: at + 1, size: 1, name: `loquat ${i}` }));
      arrivals[i % 3]?.peer.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records });
      await satisfied.nextOf('hit', query.guid);
    }
    // A search of the same shard begun later, whose next step comes, shows that the steps of the others passed.
    const later = patient.sendQuery({ text: 'loquat', ttl: 4, guid: guidBehind(query.guid) });
    const patience = watch(peers, later);
    await arrived(patience, 4);
    assert.deepEqual([arrivals.length, orphaned.length], [3, 3]);
  });

  it('asks the ultrapeers first whose tables match', async () => {
    const leaf = await net.leaf();
    const others = await ultrapeers(4);
    const matching: RawPeer[] = [];
    while (matching.length < 3) matching.push(await net.ultrapeer({ table: { words: ['mulberry'] } }));
    const last = matching.at(-1);
    assert.ok(last);
    await waitFor('the tables', async () => (await net.shardStats()).every((shard) => shard.ultrapeersWithTable === 3));
    for (let search = 0; search < 5; search++) {
      const query = leaf.sendQuery({ text: `mulberry ${'abcde'[search] ?? ''}`, ttl: 4 });
      for (const peer of matching) await peer.nextOf('query', query.guid);
      for (const peer of others) await net.absent(peer, query, { source: last, words: 'any' });
    }
  });

  it('an out-of-band flag stands if the address is its own, else it is cleared and the query goes on', async () => {
    const leaf = await net.leaf();
    const keeper = await net.leaf({ table: { words: ['damson'] } });
    const [up] = await ultrapeers(1);
    assert.ok(up !== undefined);
    await net.ready(up, keeper, 'damson');
    const guidOf = (ip: string, port: number): string => {
      const guid = Buffer.from(randomGuid(), 'hex');
      ipv4Bytes(ip).copy(guid, 0);
      guid.writeUInt16LE(port, 13);
      return guid.toString('hex');
    };
    for (const [ip, port, flags, expected] of [
      ['127.0.0.1', 6346, 0x8c00, 0x8c00],
      ['127.0.0.2', 6346, 0x8c00, 0x8800],
      ['192.0.2.1', 6346, 0x8500, 0x8100],
      ['127.0.0.1', 0, 0x8c00, 0x8800],
      ['127.0.0.2', 6346, 0x8800, 0x8800],
    ] as const) {
      const query = leaf.sendQuery({
        text: `damson ${ip}`.replaceAll('.', ' '),
        flags,
        guid: guidOf(ip, port),
        ttl: 4,
      });
      const received = await up.nextOf('query', query.guid);
      assert.equal(received.payload.readUInt16BE(0).toString(16), expected.toString(16), ip);
      assert.deepEqual(received.payload.subarray(2), query.payload.subarray(2));
    }
  });
});

describeOnBothForms('hops-flow', (net) => {
  it('conformance 135: after a value n no query of n hops or more comes, and 5 lets all through', async () => {
    const keeper = await net.leaf({ table: { words: ['jujube'] } });
    const busy = await net.leaf({ table: { words: ['jujube'] } });
    const far = await net.ultrapeer();
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'jujube');
    await net.ready(asker, busy, 'jujube');
    await net.ready(asker, far, 'any');

    /** Whether a query that leaves the node with these hops comes to the peer. */
    const comes = async (peer: RawPeer, hops: number): Promise<boolean> => {
      const query = asker.sendQuery({ text: 'jujube', hops: hops - 1, ttl: 4 });
      await keeper.nextOf('query', query.guid);
      await net.barrier(peer, query.guid, { source: asker, words: 'jujube' });
      return peer.all(({ guid }) => guid === query.guid).length > 0;
    };
    for (const peer of [busy, far]) {
      for (const [value, hops, expected] of [
        [2, 2, false],
        [5, 3, true],
      ] as const) {
        peer.sendHopsFlow(value);
        // Several times, so that every shard is asked after it was told.
        let inARow = 0;
        await waitFor(`hops-flow ${value}`, async () => {
          inARow = (await comes(peer, hops)) === expected ? inARow + 1 : 0;
          return inARow >= net.form.shards * 4;
        });
        assert.equal(await comes(peer, 1), true);
        assert.equal(await comes(peer, 3), expected);
      }
    }
  });

  it('a value of 0 stops every query', async () => {
    const keeper = await net.leaf({ table: { words: ['kumquat'] } });
    const busy = await net.leaf({ table: { words: ['kumquat'] } });
    const asker = await net.ultrapeer();
    await net.ready(asker, keeper, 'kumquat');
    await net.ready(asker, busy, 'kumquat');
    busy.sendHopsFlow(0);
    await waitFor('hops-flow', async () => (await net.linkOf(busy))?.hopsFlow === 0);
    const stopped: RawFrame[] = [];
    // What was under way when it came may still arrive.
    await waitFor('queries to stop', async () => {
      const query = asker.sendQuery({ text: 'kumquat' });
      await keeper.nextOf('query', query.guid);
      await busy.pingBarrier();
      const came = busy.all(({ guid }) => guid === query.guid).length > 0;
      if (came) stopped.length = 0;
      else stopped.push(query);
      return stopped.length >= net.form.shards * 4;
    });
    busy.sendHopsFlow(5);
    await net.ready(asker, busy, 'kumquat');
    for (const query of stopped) await net.absent(busy, query, { source: asker, words: 'kumquat' });
  });
});
