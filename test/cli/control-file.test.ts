import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runningNode } from '../../cli/src/control/control-file.ts';
import { freePort } from '../support/node-process.ts';

describe('cli: whether a node runs on a data folder', () => {
  let folder = '';
  const other = spawn('sleep', ['600'], { stdio: 'ignore' });
  const server = createServer((socket) => socket.destroy());
  let control = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-test-'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    control = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    other.kill();
    server.close();
    rmSync(folder, { recursive: true });
  });

  function left(content: { pid: number | undefined; control: string }): void {
    const all = { admin: '127.0.0.1:9346', gnutella: '0.0.0.0:6346', ...content };
    writeFileSync(join(folder, 'control.json'), JSON.stringify(all));
  }

  it('one does whose process lives and listens', async () => {
    left({ pid: other.pid, control });
    assert.equal((await runningNode(folder))?.pid, other.pid);
  });

  it('none does where that number belongs to another process since, which does not listen there', async () => {
    left({ pid: other.pid, control: `127.0.0.1:${await freePort()}` });
    assert.equal(await runningNode(folder), undefined);
  });

  it('none does whose process is gone, that is ourselves, or that left nothing that can be read', async () => {
    left({ pid: 2 ** 22 + 1, control });
    assert.equal(await runningNode(folder), undefined);
    left({ pid: process.pid, control });
    assert.equal(await runningNode(folder), undefined);
    writeFileSync(join(folder, 'control.json'), '{');
    assert.equal(await runningNode(folder), undefined);
    assert.equal(await runningNode(join(folder, 'nowhere')), undefined);
  });
});
