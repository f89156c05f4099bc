import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, killChild, NodeProcess, runFilbert, stopAllNodes } from './node-process.ts';
import { identify, isRunning } from './process-tree.ts';
import { RawPeer } from './raw-peer.ts';

const entry = fileURLToPath(new URL('stand-in-node.ts', import.meta.url));

describe('node process: a node as a child process', () => {
  after(stopAllNodes);

  it('is ready when started, shows its addresses and lines, and leaves nothing after stop', async () => {
    const node = await NodeProcess.start({ entry });
    assert.equal(node.control().admin, `127.0.0.1:${node.admin.port}`);
    assert.match(await node.metrics(), /eventloop_lag/);
    const peer = await RawPeer.connect({ ...node.gnutella, role: 'leaf' });
    assert.ok(peer.accepted);
    await peer.pingBarrier();
    assert.deepEqual(node.descendants(), []);
    const self = identify(node.pid);
    assert.ok(self);
    assert.deepEqual(await node.stop(), { code: 0, signal: null, leftBehind: [] });
    assert.deepEqual(node.stdout, ['the stand-in serves']);
    await peer.waitClosed();
    assert.ok(!isRunning(self) && !node.running && !(await node.isReady()));
    assert.ok(!existsSync(node.dataDir));
  });

  it('lists processes below by command line, and ends what a stop left behind', async () => {
    const node = await NodeProcess.start({ entry, processes: true });
    const [child, ...others] = node.childrenLike('stand-in-child');
    assert.ok(child);
    assert.deepEqual(others, []);
    const { leftBehind } = await node.stop();
    assert.equal(leftBehind.length, 1);
    assert.ok(!isRunning(child));
  });

  it('kill ends the node and what is below with SIGKILL', async () => {
    const node = await NodeProcess.start({ entry, processes: true });
    const below = node.descendants();
    assert.equal(below.length, 1);
    assert.deepEqual(await node.kill(), { code: null, signal: 'SIGKILL' });
    assert.ok(!below.some(isRunning));
  });

  it('killChild ends one process and leaves the node', async () => {
    const node = await NodeProcess.start({ entry, processes: true });
    const [child] = node.descendants();
    assert.ok(child);
    await killChild(child);
    assert.ok(node.running && !isRunning(child));
    await node.stop();
  });

  it('fails with what the node printed when it ends before it is ready', async () => {
    await assert.rejects(
      NodeProcess.start({ entry, env: { STAND_IN_FAIL: '1' } }),
      /the node did not start: .*"code":3[^]*the stand-in was told to fail/,
    );
  });

  it('stopAllNodes ends the nodes that are still there', async () => {
    const nodes = await Promise.all([NodeProcess.start({ entry }), NodeProcess.start({ entry })]);
    await stopAllNodes();
    assert.ok(nodes.every((node) => !node.running));
  });

  it('runFilbert gives code and output, and kills a command that does not end', async () => {
    const failed = await runFilbert(['status'], { entry, env: { STAND_IN_FAIL: '1' } });
    assert.deepEqual(failed, { code: 3, signal: null, stdout: '', stderr: 'the stand-in was told to fail\n' });
    const data = mkdtempSync(join(tmpdir(), 'filbert-test-'));
    const listen = `127.0.0.1:${await freePort()}`;
    const admin = `127.0.0.1:${await freePort()}`;
    const args = ['up', '--listen', listen, '--admin', admin, '--data', data];
    const endless = await runFilbert(args, { entry, timeoutMs: 300 });
    rmSync(data, { recursive: true });
    assert.equal(endless.signal, 'SIGKILL');
  });

  it('hands out each free port once', async () => {
    const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
    assert.equal(new Set(ports).size, 20);
    const server = createServer().listen(ports[0], '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    server.close();
  });
});
