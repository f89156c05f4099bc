import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { freePort } from '../support/nats-server.ts';
import type { RawPeer } from '../support/raw-peer.ts';
import { RAW_DESCRIPTOR, randomGuid } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';
import { base32 } from './support/base32.ts';
import { ComposeProject } from './support/compose-project.ts';
import { buildImage } from './support/container-node.ts';
import { startFileSource, type FileSource } from './support/file-source.ts';
import { askForHit, assertFound, joinLeaf } from './support/search.ts';

const SHARED = 'damson\n'.repeat(1000);
/** What a leaf has and the node fetches. */
const OFFERED_BYTES = 300_000;
/** The command line's search of one query may take this long in containers on a busy machine. */
const SEARCH_TIMEOUT_MS = 60_000;
const WORKERS = [1, 2, 3];
/** The command line asks the service of its container, and not the whole node. */
const OF_THIS_SERVICE = ['--control', '127.0.0.1:9347'];

/** What `filbert status --json` prints. */
const statusSchema = z.object({
  serventGuid: z.string(),
  edges: z.array(z.object({ leaves: z.number() })),
  shards: z.array(z.object({})),
});
/** A line of `filbert search --json`. */
const foundSchema = z.object({ name: z.string(), sha1: z.string(), address: z.string(), port: z.number() });
/** A line of `filbert download --json`. */
const listedSchema = z.object({ name: z.string(), state: z.string(), path: z.string() });
const downloadSchema = z.object({ state: z.string(), path: z.string() });

describe('containers: docker compose up', () => {
  const peers: RawPeer[] = [];
  let project: ComposeProject;
  let folder = '';
  let address = { host: '127.0.0.1', port: 0 };
  let source: FileSource | undefined;

  const leaf = async (words?: string[], urns?: string[]): Promise<RawPeer> => {
    const peer = await joinLeaf(address, words, urns);
    peers.push(peer);
    return peer;
  };

  const urn = `urn:sha1:${base32(createHash('sha1').update(SHARED).digest())}`;
  const assertUploads = async (): Promise<void> => {
    const url = `http://${address.host}:${address.port}/uri-res/N2R?${urn}`;
    // Without keep-alive: each request comes by a connection of its own.
    const whole = await fetch(url, { headers: { Connection: 'close' } });
    assert.equal(whole.status, 200);
    assert.equal(await whole.text(), SHARED);
    const part = await fetch(url, { headers: { Connection: 'close', Range: 'bytes=7-20' } });
    assert.equal(part.status, 206);
    assert.equal(await part.text(), 'damson\ndamson\n');
  };
  /** A leaf finds the shared file; the hit must send it to the one port that is published. */
  const assertShares = async (): Promise<void> => {
    const { payload } = await askForHit(await leaf(), 'damson cheese');
    assert.ok(payload.includes('damson cheese.txt'));
    assert.ok(payload.includes(urn));
    // Port and address (protocol page 02 §10).
    assert.equal(payload.readUInt16LE(1), address.port);
    assert.deepEqual([...payload.subarray(3, 7)], [127, 0, 0, 1]);
  };
  /** Fetches what a target says and compares it with what the source has; a worker is asked itself where one is named. */
  const assertDownloads = async (target: string, { sha1Hex }: FileSource, worker?: number): Promise<void> => {
    const command = ['download', target, '--json', ...(worker === undefined ? [] : OF_THIS_SERVICE)];
    const lines = await project.filbert('transfers', worker ?? 1, ...command);
    const { state, path } = downloadSchema.parse(JSON.parse(lines.split('\n').at(-1) ?? ''));
    assert.equal(state, 'completed');
    assert.equal((await project.exec('transfers', worker ?? 1, 'sha1sum', path)).split(' ')[0], sha1Hex);
  };
  const magnet = ({ name, urn: wanted }: FileSource, from: string): string =>
    `magnet:?${String(new URLSearchParams({ xt: wanted, dn: name, xs: `http://${from}/uri-res/N2R?${wanted}` }))}`;

  before(async () => {
    await buildImage();
    folder = await mkdtemp(join(tmpdir(), 'filbert-share-'));
    // The services run as another user.
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'damson cheese.txt'), SHARED, { mode: 0o644 });
    source = await startFileSource('mirabelle jam.bin', OFFERED_BYTES);
    // A node of this machine must not be in the way.
    address = { host: '127.0.0.1', port: await freePort() };
    project = new ComposeProject({
      FILBERT_PORT: String(address.port),
      FILBERT_SEEDS: 'none',
      FILBERT_SHARE_FOLDER: folder,
    });
    await project.removeAbandoned();
    await project.up();
  });

  after(async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    // Missing where the image could not be built.
    await (project as ComposeProject | undefined)?.remove();
    await source?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('the files say what compose understands, with the admin ports and without', async () => {
    await project.run('config', '--quiet');
    await project.run('-f', 'docker-compose.yml', '-f', 'docker-compose.admin.yml', 'config', '--quiet');
  });

  it('every service comes up, healthy where it can say so', async () => {
    const all = await project.containers();
    assert.deepEqual(all.map(({ Service }) => Service).sort(), [
      'bootstrap',
      'connections',
      'nats',
      'nats-store',
      'router',
      'search-index',
      'transfers',
    ]);
    for (const { Service, State, Health } of all) {
      assert.equal(State, Service === 'nats-store' ? 'exited' : 'running', Service);
      assert.equal(Health, Service.startsWith('nats') ? '' : 'healthy', Service);
    }
  });

  it('it serves: a leaf finds what another leaf has', async () => {
    await assertFound(await leaf(), await leaf(['bullace']), 'bullace');
  });

  it('it shares: a leaf finds a file of the share folder, with its hash and the Gnutella port to fetch it from', async () => {
    await assertShares();
  });

  it('it uploads: the file comes by its hash from the Gnutella port, whole and in part', async () => {
    await assertUploads();
  });

  it('its command line, in any container, tells of the whole node', async () => {
    const peer = await leaf();
    for (const service of ['bootstrap', 'router', 'connections', 'search-index', 'transfers']) {
      const status = statusSchema.parse(JSON.parse(await project.filbert(service, 1, 'status', '--json')));
      assert.match(status.serventGuid, /^[0-9a-f]{32}$/, service);
      assert.ok((status.edges[0]?.leaves ?? 0) > 0, service);
      assert.equal(status.shards.length, 1, service);
    }
    assert.match(await project.filbert('transfers', 1, 'peers'), /leaf/);
    const closed = `127.0.0.1:${await freePort()}`;
    await assert.rejects(project.filbert('transfers', 1, 'connect', closed), /is not linked: it cannot be reached/);
    assert.match(await project.filbert('transfers', 1, 'share', 'list'), /^\/share +served +1 /m);
    await peer.close();
  });

  it('it searches and downloads: the command line finds what a leaf has, and fetches it by its hash alone', async () => {
    const offer = source ?? assert.fail();
    const holder = await leaf(['mirabelle', 'jam', 'bin'], [offer.urn]);
    // By then the holder's table is in use.
    await assertFound(await leaf(), holder, 'mirabelle jam');
    const gateway = await project.gateway();
    const answer = async (text: string): Promise<void> => {
      const isAsked = ({ descriptor, payload }: { descriptor: number; payload: Buffer }): boolean =>
        descriptor === RAW_DESCRIPTOR.query && payload.includes(text);
      const query = await holder.next(isAsked, SEARCH_TIMEOUT_MS);
      const records = [{ index: 1, size: offer.sizeBytes, name: offer.name, urn: offer.urn }];
      holder.sendHit({ queryGuid: query.guid, serventGuid: randomGuid(), ip: gateway, port: offer.port, records });
    };
    const search = project.filbert('transfers', 1, 'search', 'mirabelle', 'bin', '--json', '--enough', '1');
    const [lines] = await Promise.all([search, answer('mirabelle bin')]);
    const found = foundSchema.parse(JSON.parse(lines.split('\n')[0] ?? ''));
    assert.equal(`urn:sha1:${found.sha1}`, offer.urn);
    assert.equal(found.name, offer.name);
    assert.deepEqual([found.address, found.port], [gateway, offer.port]);
    await Promise.all([assertDownloads(offer.urn, offer), answer(offer.urn)]);
    assert.ok(offer.served > 0);
  });

  it('the root file system cannot be written, nor what is shared', async () => {
    for (const path of ['/app/x', '/x', '/share/x']) {
      await assert.rejects(project.exec('search-index', 1, 'touch', path), /Read-only file system/);
    }
  });

  it('scales transfers to three workers, each with a name of its own, and all upload and download', async () => {
    await project.up('--scale', 'transfers=3', '--no-recreate');
    const names = (await project.exec('transfers', 1, 'ls', '/data/names')).split('\n');
    assert.deepEqual(names, ['transfers-0.lock', 'transfers-1.lock', 'transfers-2.lock']);
    await assertShares();
    const gateway = await project.gateway();
    for (const worker of WORKERS) {
      await assertUploads();
      const offer = await startFileSource(`greengage ${worker}.bin`, OFFERED_BYTES);
      try {
        await assertDownloads(magnet(offer, `${gateway}:${offer.port}`), offer, worker);
      } finally {
        await offer.stop();
      }
    }
  });

  it('finishes a download whose worker is scaled away in a worker that remains', async () => {
    const offer = await startFileSource('quince jelly.bin', 3 * OFFERED_BYTES, { bytesPerSecond: OFFERED_BYTES / 4 });
    try {
      const from = `${await project.gateway()}:${offer.port}`;
      // The worker with the highest number goes first.
      const last = Math.max(...WORKERS);
      const started = project.filbert('transfers', last, 'download', magnet(offer, from), '--json', ...OF_THIS_SERVICE);
      // It ends with its worker, unfinished.
      const interrupted = started.then(
        () => false,
        () => true,
      );
      await waitFor('bytes on their way', () => offer.served > 0, SEARCH_TIMEOUT_MS);
      await project.up('--scale', 'transfers=1', '--no-recreate');
      await interrupted;
      const path = await waitFor(
        'the file',
        async () => {
          const lines = await project.filbert('transfers', 1, 'downloads', '--json');
          const all = lines.split('\n').filter((line) => line !== '');
          const found = all.map((line) => listedSchema.parse(JSON.parse(line))).find(({ name }) => name === offer.name);
          return found?.state === 'completed' && found.path;
        },
        SEARCH_TIMEOUT_MS,
      );
      assert.equal((await project.exec('transfers', 1, 'sha1sum', path)).split(' ')[0], offer.sha1Hex);
    } finally {
      await offer.stop();
    }
    await project.up('--scale', `transfers=${WORKERS.length}`, '--no-recreate');
  });

  it('no container runs as root or may write its root file system, and none but connections publishes a port', async () => {
    const all = await project.containers();
    assert.equal(all.filter(({ Service }) => Service === 'transfers').length, WORKERS.length);
    for (const container of all) {
      const { Service } = container;
      const { Config, HostConfig } = await project.inspect(container);
      assert.equal(Config.User, '1000:1000', Service);
      assert.equal(HostConfig.ReadonlyRootfs, true, Service);
      assert.equal(HostConfig.Privileged, false, Service);
      assert.deepEqual(HostConfig.CapDrop, ['ALL'], Service);
      const published = Service === 'connections' ? { '6346/tcp': [{ HostPort: String(address.port) }] } : {};
      assert.deepEqual(HostConfig.PortBindings ?? {}, published, Service);
    }
  });

  it('a service that is killed comes back, and what was asked before is found again', async () => {
    const asker = await leaf();
    const holder = await leaf(['greengage']);
    await assertFound(asker, holder, 'greengage');
    await project.run('kill', 'router');
    await project.up('--no-recreate');
    await assertFound(asker, holder, 'greengage');
  });

  it('stops: peers get BYE and every service exits with 0', async () => {
    const peer = await leaf();
    await project.stop();
    await peer.waitClosed();
    assert.equal(peer.bye?.code, 200);
    for (const { Service, ExitCode, State } of await project.containers()) {
      assert.equal(State, 'exited', Service);
      // A nats-server that is told to end exits with 1.
      if (Service !== 'nats') assert.equal(ExitCode, 0, Service);
    }
  });
});
