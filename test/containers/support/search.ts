import assert from 'node:assert/strict';
import { RawPeer, type RawConnectOptions } from '../../support/raw-peer.ts';
import { randomGuid, type RawFrame } from '../../support/raw-wire.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A query may take this long through containers on a busy machine. */
const ROUTE_TIMEOUT_MS = 2_000;
const SETTLE_TIMEOUT_MS = 60_000;

/** Where a connections service takes peers. */
type Address = Pick<RawConnectOptions, 'host' | 'port'>;

/** Joins as a leaf, with the words and the hashes that it has files for. */
export async function joinLeaf(address: Address, words: string[] = [], urns: string[] = []): Promise<RawPeer> {
  const peer = await RawPeer.connect({ ...address, role: 'leaf' });
  assert.ok(peer.accepted, `the leaf was refused: ${peer.status.code}`);
  peer.sendTable({ words, urns });
  return peer;
}

/**
 * Asks until the holder got the query: tables take a moment until they are in use. Then the holder answers and the hit must
 * come back, as it was but for the hop.
 */
export async function assertFound(asker: RawPeer, holder: RawPeer, text: string): Promise<void> {
  const query = await askUntil(asker, text, ({ guid }) => holder.nextOf('query', guid, ROUTE_TIMEOUT_MS));
  const records = [{ index: 7, size: 4096, name: `${text}.txt` }];
  const hit = holder.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), records });
  const got = await asker.nextOf('hit', query.guid, SETTLE_TIMEOUT_MS);
  assert.deepEqual(got.payload, hit.payload);
  assert.equal(got.hops, 1);
}

/** Asks until a hit comes from a library that is no raw peer. */
export async function askForHit(asker: RawPeer, text: string): Promise<RawFrame> {
  let hit: RawFrame | undefined;
  await askUntil(asker, text, async ({ guid }) => (hit = await asker.nextOf('hit', guid, ROUTE_TIMEOUT_MS)));
  assert.ok(hit);
  return hit;
}

function askUntil(asker: RawPeer, text: string, arrived: (query: RawFrame) => Promise<unknown>): Promise<RawFrame> {
  return waitFor(
    `the query "${text}" to arrive`,
    async () => {
      const query = asker.sendQuery({ text });
      return arrived(query).then(
        () => query,
        () => undefined,
      );
    },
    SETTLE_TIMEOUT_MS,
  );
}
