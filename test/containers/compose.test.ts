import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { freePort } from '../support/nats-server.ts';
import type { RawPeer } from '../support/raw-peer.ts';
import { buildImage, docker } from './support/container-node.ts';
import { askForHit, assertFound, joinLeaf } from './support/search.ts';

/** `docker compose ps --format json` prints an object a line. */
const psSchema = z.object({
  Service: z.string(),
  Name: z.string(),
  State: z.string(),
  ExitCode: z.number(),
  Health: z.string(),
});

const SHARED = 'damson\n'.repeat(1000);

describe('containers: docker compose up', () => {
  const project = `filbert-test-${process.pid}`;
  const peers: RawPeer[] = [];
  let env: Record<string, string> = {};
  let folder = '';
  let address = { host: '127.0.0.1', port: 0 };

  const compose = (...args: string[]): Promise<string> => docker(['compose', '-p', project, ...args], env);
  const leaf = async (words?: string[]): Promise<RawPeer> => {
    const peer = await joinLeaf(address, words);
    peers.push(peer);
    return peer;
  };
  const containers = async (): Promise<z.infer<typeof psSchema>[]> => {
    const lines = (await compose('ps', '--all', '--format', 'json')).split('\n');
    return lines.map((line) => psSchema.parse(JSON.parse(line)));
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

  before(async () => {
    await buildImage();
    folder = await mkdtemp(join(tmpdir(), 'filbert-share-'));
    // The services run as another user.
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'damson cheese.txt'), SHARED, { mode: 0o644 });
    // A node of this machine must not be in the way.
    address = { host: '127.0.0.1', port: await freePort() };
    env = { FILBERT_PORT: String(address.port), FILBERT_SEEDS: 'none', FILBERT_SHARE_FOLDER: folder };
    await compose('up', '--detach', '--wait', '--wait-timeout', '300');
  });

  after(async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    await compose('down', '--volumes', '--timeout', '60');
    await rm(folder, { recursive: true, force: true });
  });

  it('the files say what compose understands, with the admin ports and without', async () => {
    await compose('config', '--quiet');
    await compose('-f', 'docker-compose.yml', '-f', 'docker-compose.admin.yml', 'config', '--quiet');
  });

  it('every service comes up, healthy where it can say so', async () => {
    const all = await containers();
    assert.deepEqual(all.map(({ Service }) => Service).sort(), [
      'bootstrap',
      'connections',
      'nats',
      'router',
      'search-index',
      'transfers',
    ]);
    for (const { Service, State, Health } of all) {
      assert.equal(State, 'running', Service);
      assert.equal(Health, Service === 'nats' ? '' : 'healthy', Service);
    }
  });

  it('it serves: a leaf finds what another leaf has', async () => {
    await assertFound(await leaf(), await leaf(['bullace']), 'bullace');
  });

  it('it shares: a leaf finds a file of the share folder, with its hash', async () => {
    const hit = await askForHit(await leaf(), 'damson cheese');
    assert.ok(hit.payload.includes('damson cheese.txt'));
    assert.ok(hit.payload.includes(urn));
  });

  it('it uploads: the file comes by its hash from the Gnutella port, whole and in part', async () => {
    await assertUploads();
  });

  it('the root file system cannot be written, nor what is shared', async () => {
    for (const path of ['/app/x', '/x', '/share/x']) {
      const touch = compose('exec', '-T', 'search-index', 'touch', path);
      await assert.rejects(touch, /Read-only file system/);
    }
  });

  it('scales transfers to three workers, each with a name of its own', async () => {
    await compose('up', '--detach', '--wait', '--wait-timeout', '300', '--scale', 'transfers=3', '--no-recreate');
    const names = (await compose('exec', '-T', 'transfers', 'ls', '/data/names')).split('\n');
    assert.deepEqual(names, ['transfers-0.lock', 'transfers-1.lock', 'transfers-2.lock']);
    for (let worker = 0; worker < 3; worker++) await assertUploads();
  });

  it('a service that is killed comes back, and what was asked before is found again', async () => {
    const asker = await leaf();
    const holder = await leaf(['greengage']);
    await assertFound(asker, holder, 'greengage');
    await compose('kill', 'router');
    await compose('up', '--detach', '--wait', '--wait-timeout', '300', '--no-recreate');
    await assertFound(asker, holder, 'greengage');
  });

  it('stops: peers get BYE and every service exits with 0', async () => {
    const peer = await leaf();
    await compose('stop', '--timeout', '60');
    await peer.waitClosed();
    assert.equal(peer.bye?.code, 200);
    for (const { Service, ExitCode, State } of await containers()) {
      assert.equal(State, 'exited', Service);
      // A nats-server that is told to end exits with 1.
      if (Service !== 'nats') assert.equal(ExitCode, 0, Service);
    }
  });
});

/** RFC 4648, for 20 bytes, which need no padding. */
function base32(bytes: Buffer): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join('');
}
