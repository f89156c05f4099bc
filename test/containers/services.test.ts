import assert from 'node:assert/strict';
import { RawPeer } from '../support/raw-peer.ts';
import { buildImage, ContainerNode, docker, IMAGE, type ServiceContainer } from './support/container-node.ts';
import { assertFound, joinLeaf } from './support/search.ts';

const PRIVATE = { FILBERT_ALLOW_PRIVATE: 'true' };

describe('containers: one image for every service', () => {
  before(buildImage);

  const inImage = (...args: string[]): Promise<string> => docker(['run', '--rm', '--entrypoint', ...args]);

  it('runs as an ordinary user and holds what it needs, not what only tests and builds need', async () => {
    assert.equal(await inImage('id', IMAGE, '-u'), '1000');
    const modules = (await inImage('ls', IMAGE, 'node_modules')).split('\n');
    for (const needed of ['nats', 'pino', 'prom-client', '@grpc']) assert.ok(modules.includes(needed), needed);
    for (const left of ['mocha', 'typescript', 'testcontainers', 'node']) assert.ok(!modules.includes(left), left);
  });

  it('writes nothing outside its volumes: the sources belong to root', async () => {
    assert.equal(await inImage('find', IMAGE, '/app', '-writable', '-not', '-type', 'l'), '');
  });

  it('says which services there are when it is given another name', async () => {
    await assert.rejects(docker(['run', '--rm', IMAGE, 'connection']), /"connection" is none of bootstrap, router/);
  });

  it('says every setting that cannot be used', async () => {
    const run = docker(['run', '--rm', '-e', 'FILBERT_SHARD=x', '-e', 'FILBERT_SHART=1', IMAGE, 'router']);
    await assert.rejects(run, /FILBERT_SHART is not a known variable[^]*FILBERT_SHARD is "x"/);
  });
});

describe('containers: services over a network', () => {
  let node: ContainerNode;
  let bootstrap: ServiceContainer;
  let edges: ServiceContainer[];
  const peers: RawPeer[] = [];

  const leaf = async (edge: number, words?: string[]): Promise<RawPeer> => {
    const peer = await joinLeaf(edges[edge]?.gnutella ?? assert.fail(`no edge ${edge}`), words);
    peers.push(peer);
    return peer;
  };

  before(async () => {
    await buildImage();
    node = await ContainerNode.start();
    bootstrap = await node.service('bootstrap', { ...PRIVATE, FILBERT_SEEDS: 'none', FILBERT_ROUTER_SHARDS: '2' });
    await Promise.all(['0', '1'].map((shard) => node.service('router', { FILBERT_SHARD: shard })));
    edges = await Promise.all(
      ['edge-0', 'edge-1'].map((id) => node.service('connections', { ...PRIVATE, FILBERT_EDGE_ID: id })),
    );
  });

  after(async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    // Missing where the network could not be started.
    await (node as ContainerNode | undefined)?.stop();
  });

  it('a leaf finds what another leaf of the same edge has', async () => {
    await assertFound(await leaf(0), await leaf(0, ['medlar']), 'medlar');
  });

  it('a leaf finds what a leaf of another edge has, through two router shards', async () => {
    const asker = await leaf(0);
    const holder = await leaf(1, ['quince', 'jelly']);
    // Each query has a GUID of its own, so that some go by either shard.
    for (let round = 0; round < 6; round++) await assertFound(asker, holder, 'quince jelly');
  });

  it('an ultrapeer joins and gets the merged table of both edges', async () => {
    const address = edges[1]?.gnutella ?? assert.fail();
    const peer = await RawPeer.connect({ ...address, role: 'ultrapeer' });
    peers.push(peer);
    assert.ok(peer.accepted);
    await leaf(0, ['sorrel']);
    await leaf(1, ['chervil']);
    await peer.waitTable((table) => table.has('sorrel') && table.has('chervil'), 30_000);
  });

  it('every service tells its metrics and that it is ready', async () => {
    for (const service of [bootstrap, ...edges]) assert.equal((await service.get('/readyz')).status, 200);
    const { text } = await (edges[0] ?? assert.fail()).get('/metrics');
    assert.match(text, /^filbert_connections_links\{role="leaf"\} \d/m);
    assert.match((await bootstrap.get('/metrics')).text, /^filbert_bootstrap_/m);
  });

  it('an edge that is stopped says BYE to its peers and exits with 0; the others go on', async () => {
    const leaving = await leaf(1);
    const staying = await leaf(0);
    const [, edge] = edges;
    assert.equal(await edge?.stop(), 0);
    await leaving.waitClosed();
    assert.equal(leaving.bye?.code, 200);
    await assertFound(staying, await leaf(0, ['salsify']), 'salsify');
  });

  it('bootstrap that is stopped exits with 0, and searches go on without it', async () => {
    const asker = await leaf(0);
    const holder = await leaf(0, ['skirret']);
    await assertFound(asker, holder, 'skirret');
    assert.equal(await bootstrap.stop(), 0);
    await assertFound(asker, holder, 'skirret');
  });
});
