import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, killChild, NodeProcess, runFilbert, stopAllNodes } from '../support/node-process.ts';
import { startNatsServer, type NatsServer } from '../support/nats-server.ts';
import { identify, isRunning } from '../support/process-tree.ts';
import { RawPeer } from '../support/raw-peer.ts';
import { waitFor } from '../support/wait-for.ts';

/** What the processes of a killed supervisor may take to end: they say good-bye first. */
const ORPHANS_END_MS = 12_000;

interface LogLine {
  readonly name: string;
  readonly msg: string;
  readonly process?: string;
}

/** What a line of the log says that begins to stop, or has stopped: `services` are those between the way in and bootstrap. */
function endOf({ name, msg, process }: LogLine): string | undefined {
  if (process === 'nats-server') return msg.endsWith('Initiating Shutdown...') ? 'nats' : undefined;
  if (name === 'filbert' || !(msg.startsWith('signal: ') || msg === 'stopped')) return undefined;
  return ['router', 'search_index', 'transfers'].includes(name) ? 'services' : name;
}

describe('filbert up --processes: starting and stopping', function () {
  this.timeout(40_000);
  const folder = mkdtempSync(join(tmpdir(), 'filbert-test-'));
  /** Nodes with folders of their own need not each compile everything. */
  const env = { NODE_COMPILE_CACHE: join(folder, 'compile-cache') };
  const servers: NatsServer[] = [];

  after(async () => {
    await stopAllNodes();
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  async function up(args: readonly string[], more: Record<string, string> = {}) {
    const common = ['up', '--processes', '--seeds', 'none', '--data', join(folder, 'data'), '--admin', '127.0.0.1:0'];
    const result = await runFilbert([...common, ...args], { env: { ...env, ...more } });
    const sentences = result.stderr.split('\n').filter((line) => line.startsWith('filbert: '));
    return { ...result, sentences };
  }

  it('says in one sentence that another program has the port, and exits with 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await waitFor('the other program', () => other.listening);
    const address = other.address();
    assert.ok(typeof address === 'object' && address !== null);
    try {
      const { code, sentences } = await up(['--listen', `127.0.0.1:${address.port}`]);
      assert.equal(code, 1);
      assert.equal(sentences.length, 1);
      assert.match(sentences[0] ?? '', new RegExp(`Gnutella address 127\\.0\\.0\\.1:${address.port} is in use`));
    } finally {
      other.close();
    }
  });

  it('says in one sentence that nats-server is not on the PATH, and exits with 69', async () => {
    const { code, sentences } = await up(['--listen', '127.0.0.1:0'], { PATH: folder });
    assert.equal(code, 69);
    assert.equal(sentences.length, 1);
    assert.match(sentences[0] ?? '', /nats-server is not on the PATH: install it/);
  });

  it('tells why a service could not start in one sentence, and exits with 1', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const { code, sentences, stdout } = await up(['--listen', '127.0.0.1:0', '--data', join(file, 'data')]);
    assert.equal(code, 1);
    assert.equal(sentences.length, 1);
    assert.match(sentences[0] ?? '', /^filbert: nats could not start: cannot use .*file\/data.* check --data/);
    assert.doesNotMatch(stdout, /serves/);
  });

  it('waits for a NATS server that is away, says so, and serves once it is there', async () => {
    const port = await freePort();
    const node = await NodeProcess.spawn({ processes: true, nats: `nats://127.0.0.1:${port}`, env });
    await waitFor('the sentence', () =>
      node.stderr.some((line) => line.startsWith(`waiting for NATS at nats://127.0.0.1:${port}: `)),
    );
    assert.ok(node.stdout.includes(`will use the NATS server at 127.0.0.1:${port}, which must serve no other node`));
    const response = await fetch(`http://${node.admin.host}:${node.admin.port}/readyz`);
    assert.equal(response.status, 503);
    const { waitingFor } = (await response.json()) as { waitingFor: string[] };
    assert.deepEqual(waitingFor, ['nats', 'bootstrap', 'router-0', 'search-index', 'transfers-0', 'edge-0', 'running']);
    servers.push(await startNatsServer({ port, jetStream: true }));
    await waitFor('the node to be ready', () => node.isReady(), 20_000);
    assert.deepEqual(node.childrenLike('nats-server'), []);
    assert.deepEqual(await node.stop(), { code: 0, signal: null, leftBehind: [] });
  });

  it('waits for JetStream where the NATS server has none, says so, and is not ready meanwhile', async () => {
    const server = await startNatsServer();
    servers.push(server);
    const node = await NodeProcess.spawn({ processes: true, nats: server.url, env });
    const sentence = /waiting for JetStream, which keeps the downloads: start nats-server with -js/;
    await waitFor('the sentence', () => node.stderr.some((line) => sentence.test(line)), 20_000);
    const response = await fetch(`http://${node.admin.host}:${node.admin.port}/readyz`);
    assert.equal(response.status, 503);
    const { waitingFor } = (await response.json()) as { waitingFor: string[] };
    assert.ok(waitingFor.includes('transfers-0'));
    assert.deepEqual(await node.stop(), { code: 0, signal: null, leftBehind: [] });
  });

  it('does without JetStream where each worker keeps its downloads in SQLite', async () => {
    const server = await startNatsServer();
    servers.push(server);
    const node = await NodeProcess.start({ processes: true, nats: server.url, env, args: ['--job-store', 'sqlite'] });
    assert.ok(existsSync(join(node.dataDir, 'transfers.sqlite')));
    assert.deepEqual(await node.stop(), { code: 0, signal: null, leftBehind: [] });
  });

  it('refuses to keep downloads in JetStream in one process', async () => {
    const args = [
      '--seeds',
      'none',
      '--data',
      join(folder, 'single'),
      '--admin',
      '127.0.0.1:0',
      '--listen',
      '127.0.0.1:0',
    ];
    const { code, stderr } = await runFilbert(['up', ...args, '--job-store', 'jetstream'], { env });
    assert.equal(code, 78);
    assert.match(stderr, /^filbert: --job-store is "jetstream", which needs NATS: run with --processes/m);
  });

  it('stops while it waits for a NATS server', async () => {
    const node = await NodeProcess.spawn({ processes: true, nats: `nats://127.0.0.1:${await freePort()}` });
    await waitFor('the sentence', () => node.stderr.some((line) => line.startsWith('waiting for NATS')));
    assert.deepEqual(await node.stop(), { code: 0, signal: null, leftBehind: [] });
  });

  it('stops the way in first, then what works for it, then bootstrap, and NATS when nobody needs it', async () => {
    const args = ['--log-level', 'debug'];
    const node = await NodeProcess.start({ processes: true, connections: 2, routerShards: 2, env, args });
    const before = node.stderr.length;
    assert.deepEqual(await node.stop(), { code: 0, signal: null, leftBehind: [] });
    const order = node.stderr.slice(before).flatMap((line) => endOf(JSON.parse(line) as LogLine) ?? []);
    // Each process says that it is told to stop, and that it has; NATS only the one.
    const expected = { connections: 2 * 2, services: 2 * 4, bootstrap: 2 * 1, nats: 1 };
    assert.deepEqual(
      order,
      Object.entries(expected).flatMap(([what, lines]) => Array.from({ length: lines }, () => what)),
    );
  });

  it('picks one port for all connections processes, and leaves nothing behind when the supervisor is killed', async () => {
    const node = await NodeProcess.start({
      processes: true,
      connections: 2,
      listen: { host: '127.0.0.1', port: 0 },
      env,
    });
    const port = Number(String(node.control()['gnutella']).split(':')[1]);
    const peer = await RawPeer.connect({ host: '127.0.0.1', port, role: 'ultrapeer' });
    assert.ok(peer.accepted);
    const below = node.descendants();
    assert.equal(below.length, 8, 'six services, nats-server and the guard');
    const supervisor = identify(node.pid);
    assert.ok(supervisor !== undefined);
    await killChild(supervisor);
    await waitFor('all processes to end', () => !below.some(isRunning), ORPHANS_END_MS);
    await peer.waitClosed();
    assert.equal(peer.bye?.code, 200);
    await node.stop();
  });

  it('leaves no process behind when a second signal forces the exit', async () => {
    const node = await NodeProcess.start({ processes: true, env });
    const below = node.descendants();
    // A service that stands still cannot stop in order.
    const [bootstrap] = node.childrenLike('services/bootstrap');
    assert.ok(bootstrap !== undefined);
    process.kill(bootstrap.pid, 'SIGSTOP');
    process.kill(node.pid, 'SIGTERM');
    await waitFor('the stop to begin', () => node.stderr.some((line) => line.includes('"signal":"SIGTERM"')));
    process.kill(node.pid, 'SIGINT');
    assert.equal((await node.exited).code, 130);
    await waitFor('all processes to end', () => !below.some(isRunning), ORPHANS_END_MS);
    await node.stop();
  });
});
