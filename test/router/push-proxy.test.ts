import assert from 'node:assert/strict';
import { PushProxyResult } from '@filbert/contracts';
import { guidToHex } from '@filbert/gnutella';
import { PushProxy } from '../../services/router/src/push-proxy.ts';
import { MAX_PROXIED_PUSHES, PROXIED_PUSH_WINDOW_MS } from '../../services/router/src/routes.ts';
import { goneRecord } from './links.ts';
import { asFunction, guid, hit, names, payloadOf, push, query, ShardWorld } from './shard-world.ts';

const {
  PUSH_PROXY_RESULT_SENT,
  PUSH_PROXY_RESULT_ROUTED,
  PUSH_PROXY_RESULT_NOT_CONNECTED,
  PUSH_PROXY_RESULT_TOO_OFTEN,
} = PushProxyResult;

describe('router: push proxy', () => {
  let world: ShardWorld;
  let proxy: PushProxy;
  let id: number;

  beforeEach(() => {
    world = new ShardWorld();
    proxy = new PushProxy(world.shard, () => world.now);
    id = 2_000;
  });

  const ask = (servent: Uint8Array): PushProxyResult => proxy.ask(push(servent, { id: id++, ttl: 7 }));

  it('sends the PUSH to the neighbour with that GUID, TTL 1 and hops 0, and to nobody else', () => {
    const leaf = world.leaf(undefined, { serventGuid: guid(70) });
    world.leaf(undefined, { serventGuid: guid(71) });
    const frame = push(guid(70), { id: 1_999, ttl: 7 });
    assert.equal(proxy.ask(frame), PUSH_PROXY_RESULT_SENT);
    assert.deepEqual(world.flush(), [
      { to: leaf, ttl: 1, hops: 0, guid: guidToHex(guid(1_999)), payload: payloadOf(frame) },
    ]);
    assert.equal(ask(guid(72)), PUSH_PROXY_RESULT_NOT_CONNECTED);
    assert.deepEqual(world.flush(), []);
    assert.deepEqual([proxy.results.sent, proxy.results['not-connected']], [1, 1]);
  });

  it('sends it along the way of a hit where the servent is no neighbour, and says so', () => {
    const asking = world.leaf(names(['x']));
    const up = world.ultrapeer();
    world.send(asking, query('test'));
    world.send(up, hit({ servent: guid(500) }));
    assert.equal(ask(guid(500)), PUSH_PROXY_RESULT_ROUTED);
    const [sent, ...others] = world.flush();
    assert.deepEqual([sent?.to, sent?.ttl, sent?.hops, others.length], [up, 4, 0, 0]);
    world.shard.links.apply(up.edge, goneRecord(up.number));
    assert.equal(ask(guid(500)), PUSH_PROXY_RESULT_NOT_CONNECTED);
  });

  it('sends one servent a few in its time, and others meanwhile', () => {
    world.leaf(undefined, { serventGuid: guid(70) });
    world.leaf(undefined, { serventGuid: guid(71) });
    for (let i = 0; i < MAX_PROXIED_PUSHES; i++) {
      assert.equal(ask(guid(70)), PUSH_PROXY_RESULT_SENT);
      world.now += PROXIED_PUSH_WINDOW_MS / MAX_PROXIED_PUSHES - 1;
    }
    assert.equal(ask(guid(70)), PUSH_PROXY_RESULT_TOO_OFTEN);
    assert.equal(ask(guid(71)), PUSH_PROXY_RESULT_SENT);
    world.now += PROXIED_PUSH_WINDOW_MS;
    assert.equal(ask(guid(70)), PUSH_PROXY_RESULT_SENT);
    assert.equal(proxy.results['too-often'], 1);
  });

  it('takes nothing that is no whole PUSH', () => {
    world.leaf(undefined, { serventGuid: guid(70) });
    const whole = push(guid(70));
    for (let length = 0; length < whole.length; length++) {
      assert.equal(proxy.ask(whole.subarray(0, length)), PUSH_PROXY_RESULT_NOT_CONNECTED);
    }
    assert.equal(proxy.ask(asFunction(whole, 0x80)), PUSH_PROXY_RESULT_NOT_CONNECTED);
    assert.equal(proxy.results.malformed, whole.length + 1);
    assert.deepEqual(world.flush(), []);
  });
});
