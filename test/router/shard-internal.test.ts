import assert from 'node:assert/strict';
import { LinkKind } from '@filbert/contracts';
import { guid, hit, names, push, query, ShardWorld } from './shard-world.ts';

describe('router: links of the node’s own services are hop-neutral', () => {
  let world: ShardWorld;
  beforeEach(() => {
    world = new ShardWorld();
  });

  it('sends a person’s search to ultrapeers with hops 0, and to matching leaves at once', () => {
    const user = world.leaf(undefined, { kind: LinkKind.LINK_KIND_USER });
    const leaf = world.leaf(names(['quiet river']));
    const ultrapeer = world.ultrapeer();
    const sent = world.send(user, query('quiet river'));
    const told = sent.map(({ to, ttl, hops }) => [to, ttl, hops]);
    assert.deepEqual(told, [
      [leaf, 1, 0],
      [ultrapeer, 2, 0],
    ]);
  });

  it('brings a peer’s hit to the user link with one hop more, whatever its TTL', () => {
    const user = world.leaf(undefined, { kind: LinkKind.LINK_KIND_USER });
    const ultrapeer = world.ultrapeer();
    world.send(user, query('quiet river'));
    const [delivery] = world.send(ultrapeer, hit({ ttl: 0, hops: 2 }));
    assert.deepEqual([delivery?.to, delivery?.hops], [user, 3]);
  });

  it('sends a hit of the library as the node’s own: hops 0 and the TTL it was given', () => {
    const library = world.leaf(names(['quiet river']), { kind: LinkKind.LINK_KIND_LIBRARY });
    const ultrapeer = world.ultrapeer();
    const [asked] = world.send(ultrapeer, query('quiet river', { ttl: 1 }));
    assert.equal(asked?.to, library);
    const [delivery] = world.send(library, hit({ ttl: 6, hops: 0 }));
    assert.deepEqual([delivery?.to, delivery?.ttl, delivery?.hops], [ultrapeer, 6, 0]);
  });

  it('sends a PUSH of the transfers link on with hops 0, and brings a PUSH for the node to it', () => {
    const servent = guid(77);
    const transfers = world.leaf(undefined, { kind: LinkKind.LINK_KIND_TRANSFERS, serventGuid: servent });
    const leaf = world.leaf(undefined, { serventGuid: guid(78) });
    const [out] = world.send(transfers, push(guid(78), { id: 5 }));
    assert.deepEqual([out?.to, out?.ttl, out?.hops], [leaf, 4, 0]);
    const [back] = world.send(leaf, push(servent, { id: 6, ttl: 1 }));
    assert.deepEqual([back?.to, back?.hops], [transfers, 1]);
  });
});
