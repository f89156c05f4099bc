import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { bootstrapV1, connectionsV1, FILBERT_VERSION, routerV1 } from '@filbert/contracts';
import { callStream, callUnary, createRpcClient, parseHostPort } from '@filbert/kit';
import { killChild, NodeProcess, stopAllNodes } from '../support/node-process.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { waitFor } from '../support/wait-for.ts';

const TIMEOUT_MS = 5_000;
/** What a process that was killed may take until it works again, on a machine with other work. */
const RECOVERY_TIMEOUT_MS = 15_000;

/** A peer and the connections process that holds it. */
interface Placed {
  readonly peer: RawPeer;
  readonly edgeId: string;
  /** A word that only this peer's table has. */
  readonly word: string;
}

type Client = ReturnType<typeof createRpcClient>;

/** What a router knows: the four peers, the library and the transfers worker. */
const ALL_LINKS = 6;

describe('filbert up --processes: a running node', function () {
  this.timeout(40_000);
  let node: NodeProcess;
  let control: Client;
  const leaves: Placed[] = [];
  const ultrapeers: Placed[] = [];

  before(async () => {
    node = await NodeProcess.start({ processes: true, connections: 2, routerShards: 2 });
    const address = parseHostPort(String(node.control()['control']));
    assert.ok(address !== undefined);
    control = createRpcClient({ address });
    await join(leaves, 'leaf');
    await join(ultrapeers, 'ultrapeer');
  });
  after(async () => {
    control.close();
    await stopAllNodes();
  });

  /** Connects peers of a role until each connections process holds one; which one takes a peer the kernel decides. */
  async function join(placed: Placed[], role: 'leaf' | 'ultrapeer'): Promise<void> {
    await waitFor(
      `a ${role} on each connections process`,
      async () => {
        const held = new Set(placed.filter(({ peer }) => !peer.destroyed).map(({ edgeId }) => edgeId));
        if (held.size === 2) return true;
        const peer = await RawPeer.connect({ ...node.gnutella, role });
        assert.ok(peer.accepted, peer.status.line);
        const edgeId = await waitFor('the link in the list', () => edgeOf(peer));
        const word = `word${'abcdefghijklmnop'[placed.length] ?? 'z'}${role}`;
        if (held.has(edgeId)) await peer.close();
        else placed.push({ peer, edgeId, word });
        if (role === 'leaf' && !peer.destroyed) peer.sendTable({ words: [word] });
        return false;
      },
      RECOVERY_TIMEOUT_MS,
    );
  }

  async function links(): Promise<connectionsV1.ListLinksResponse[]> {
    const { listLinks } = connectionsV1.ConnectionsServiceService;
    const list: connectionsV1.ListLinksResponse[] = [];
    for await (const link of callStream(control, listLinks, {}, { timeoutMs: TIMEOUT_MS })) list.push(link);
    return list;
  }

  async function edgeOf(peer: RawPeer): Promise<string | undefined> {
    const { ip, port } = peer.local;
    return (await links()).find((link) => link.remoteAddress === `${ip}:${port}`)?.edgeId;
  }

  function shards(): Promise<routerV1.GetStatsResponse> {
    return callUnary(control, routerV1.RouterServiceService.getStats, {}, { timeoutMs: TIMEOUT_MS });
  }

  async function metric(pattern: RegExp): Promise<number> {
    return Number(pattern.exec(await node.metrics())?.[1] ?? Number.NaN);
  }

  /** Waits until queries with new GUIDs, some for each shard, all go from each ultrapeer to each leaf. */
  async function queriesFlow(): Promise<void> {
    await waitFor(
      'queries from each ultrapeer to each leaf',
      async () => {
        const sent = leaves.flatMap((leaf) =>
          ultrapeers.flatMap((ultrapeer) =>
            Array.from({ length: 4 }, () => ({ leaf, guid: ultrapeer.peer.sendQuery({ text: leaf.word }).guid })),
          ),
        );
        const got = sent.map(({ leaf, guid }) => leaf.peer.nextOf('query', guid, 500));
        return (await Promise.allSettled(got)).every(({ status }) => status === 'fulfilled');
      },
      RECOVERY_TIMEOUT_MS,
    );
  }

  it('filled the compile cache before its services started, in a process of its own that is gone', () => {
    const cache = path.join(node.dataDir, 'compile-cache');
    assert.equal(
      readFileSync(path.join(cache, 'filled'), 'utf8'),
      `Filbert ${FILBERT_VERSION}, Node ${process.version}\n`,
    );
    assert.ok(readdirSync(cache, { recursive: true }).length > 100);
    const [router] = node.childrenLike('services/router');
    assert.ok(router);
    const environment = readFileSync(`/proc/${router.pid}/environ`, 'utf8').split('\0');
    assert.ok(environment.includes(`NODE_COMPILE_CACHE=${cache}`));
    assert.deepEqual(node.childrenLike('fill-compile-cache'), []);
  });

  it('gives each of two connections processes peers, and lists the links of both', async () => {
    assert.deepEqual(leaves.map(({ edgeId }) => edgeId).sort(), ['edge-0', 'edge-1']);
    const held = (await links()).map(({ edgeId, kind }) => `${edgeId} ${kind}`).sort();
    assert.deepEqual(held, ['edge-0 leaf', 'edge-0 ultrapeer', 'edge-1 leaf', 'edge-1 ultrapeer']);
    const { getStats } = connectionsV1.ConnectionsServiceService;
    const { edges } = await callUnary(control, getStats, {}, { timeoutMs: TIMEOUT_MS });
    assert.deepEqual(
      edges.map(({ listenAddress }) => listenAddress),
      [node.address, node.address],
    );
  });

  it('takes a query from an ultrapeer on either connections process to leaves on both, through both shards', async () => {
    await queriesFlow();
    const stats = await shards();
    assert.deepEqual(stats.shards.map(({ shard }) => shard).sort(), [0, 1]);
    for (const { queries, links: known } of stats.shards) {
      assert.ok(queries > 0, 'each shard has routed queries');
      assert.equal(known, ALL_LINKS);
    }
  });

  it('takes a hit back to the connections process that the query came from', async () => {
    for (const leaf of leaves) {
      for (const ultrapeer of ultrapeers) {
        const { guid } = ultrapeer.peer.sendQuery({ text: leaf.word });
        await leaf.peer.nextOf('query', guid);
        const { ip, port } = leaf.peer.local;
        const serventGuid = leaf.peer.serventGuid;
        leaf.peer.sendHit({
          queryGuid: guid,
          ip,
          port,
          serventGuid,
          records: [{ index: 1, size: 2, name: leaf.word }],
        });
        await ultrapeer.peer.nextOf('hit', guid);
      }
    }
  });

  it('gathers the metrics of all processes under a label', async () => {
    const text = await node.metrics();
    for (const process of ['supervisor', 'bootstrap', 'router-0', 'router-1', 'edge-0', 'edge-1']) {
      assert.match(text, new RegExp(`^process_resident_memory_bytes\\{process="${process}"\\} \\d+$`, 'm'));
    }
    assert.match(text, /^filbert_router_links\{process="router-1"\} 6$/m);
    assert.match(text, /^filbert_supervisor_children_up\{kind="connections",process="supervisor"\} 2$/m);
    assert.match(text, /^filbert_supervisor_child_restarts_total\{kind="router",process="supervisor"\} 0$/m);
    assert.match(text, /^filbert_supervisor_metrics_missing_total\{process="supervisor"\} 0$/m);
    assert.equal(text.match(/^# TYPE filbert_router_links gauge$/gm)?.length, 1);

    const response = await fetch(`http://${node.admin.host}:${node.admin.port}/metrics.json`);
    const families = (await response.json()) as { name: string; values: { labels: { process: string } }[] }[];
    const known = families.find(({ name }) => name === 'filbert_router_links');
    assert.deepEqual(known?.values.map(({ labels }) => labels.process).sort(), ['router-0', 'router-1']);
  });

  it('starts a killed router again, which learns every link anew, and keeps all peers', async () => {
    const before = await links();
    for (const router of node.childrenLike('services/router')) await killChild(router);
    await waitFor(
      'both restarts',
      async () => (await metric(/^filbert_supervisor_child_restarts_total\{kind="router",.*\} (\d+)$/m)) === 2,
      RECOVERY_TIMEOUT_MS,
    );
    await queriesFlow();
    await waitFor('the node to be ready', () => node.isReady());
    assert.deepEqual(
      (await shards()).shards.map((shard) => shard.links),
      [ALL_LINKS, ALL_LINKS],
    );
    assert.deepEqual((await links()).map(key).sort(), before.map(key).sort());
  });

  it('starts a killed bootstrap again as the same servent, and keeps all peers', async () => {
    const { getFacts } = bootstrapV1.BootstrapServiceService;
    const before = await callUnary(control, getFacts, {}, { timeoutMs: TIMEOUT_MS });
    const held = await links();
    for (const bootstrap of node.childrenLike('services/bootstrap')) await killChild(bootstrap);
    const after = await waitFor(
      'bootstrap to answer',
      () => callUnary(control, getFacts, {}, { timeoutMs: TIMEOUT_MS }).catch(() => undefined),
      RECOVERY_TIMEOUT_MS,
    );
    assert.equal(after.serventGuid, before.serventGuid);
    assert.deepEqual((await links()).map(key).sort(), held.map(key).sort());
    await waitFor('the node to be ready', () => node.isReady(), RECOVERY_TIMEOUT_MS);
    await queriesFlow();
  });

  it('starts a killed nats-server again, lets queries flow, and keeps all peers', async () => {
    const before = await links();
    const [server] = node.childrenLike('nats-server');
    assert.ok(server !== undefined);
    await killChild(server);
    await queriesFlow();
    await waitFor('the node to be ready', () => node.isReady(), RECOVERY_TIMEOUT_MS);
    assert.deepEqual((await links()).map(key).sort(), before.map(key).sort());
    assert.equal(await metric(/^filbert_supervisor_child_restarts_total\{kind="nats",.*\} (\d+)$/m), 1);
  });

  it('starts a killed connections process again; only its own peers notice', async () => {
    const [first, second] = leaves;
    assert.ok(first !== undefined && second !== undefined);
    const [victim] = node.childrenLike('services/connections');
    assert.ok(victim !== undefined);
    await killChild(victim);
    const lost = await Promise.race([first, second].map(({ peer, edgeId }) => peer.waitClosed().then(() => edgeId)));
    const isLost = ({ edgeId }: Placed): boolean => edgeId === lost;
    for (const { peer } of [...leaves, ...ultrapeers].filter(isLost)) await peer.waitClosed();
    for (const { peer } of [...leaves, ...ultrapeers].filter((placed) => !isLost(placed))) await peer.pingBarrier();
    assert.deepEqual(new Set((await links()).map(({ edgeId }) => edgeId)).has(lost), false);

    await waitFor('the node to be ready', () => node.isReady(), RECOVERY_TIMEOUT_MS);
    for (const placed of [leaves, ultrapeers]) placed.splice(placed.findIndex(isLost), 1);
    await join(leaves, 'leaf');
    await join(ultrapeers, 'ultrapeer');
    await queriesFlow();
  });

  it('refuses a call for a link without the name of its connections process', async () => {
    const { disconnect } = connectionsV1.ConnectionsServiceService;
    const call = (edgeId: string, link: number): Promise<connectionsV1.DisconnectResponse> =>
      callUnary(control, disconnect, { edgeId, link, reason: 'test' }, { timeoutMs: TIMEOUT_MS });
    await assert.rejects(call('', 1), { kind: 'invalid-argument' });
    assert.equal((await call('edge-7', 1)).found, false);
    const [leaf] = leaves;
    assert.ok(leaf !== undefined);
    const link = (await links()).find(({ edgeId, kind }) => edgeId === leaf.edgeId && kind === 'leaf');
    assert.equal((await call(leaf.edgeId, link?.link ?? 0)).found, true);
    await leaf.peer.waitClosed();
    leaves.shift();
  });

  it('on SIGTERM says good-bye to every peer and leaves no process behind', async () => {
    const peers = [...leaves, ...ultrapeers].map(({ peer }) => peer);
    assert.equal(node.descendants().length, 9, 'seven services, nats-server and the guard');
    const end = await node.stop();
    assert.deepEqual(end, { code: 0, signal: null, leftBehind: [] });
    for (const peer of peers) {
      await peer.waitClosed();
      assert.equal(peer.bye?.code, 200);
    }
  });
});

function key({ edgeId, link, remoteAddress }: connectionsV1.ListLinksResponse): string {
  return `${edgeId}/${link} ${remoteAddress}`;
}
