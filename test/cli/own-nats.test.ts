import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@filbert/kit';
import { findNatsServer, OwnNats } from '../../cli/src/up/nats-source.ts';
import { OrphanGuard } from '../../cli/src/up/orphan-guard.ts';

describe('supervisor: its own nats-server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'filbert-test-'));
  const guard = new OrphanGuard();
  const servers: OwnNats[] = [];

  before(() => guard.start());
  after(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await guard.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function server(onUp: (up: boolean) => void = () => undefined): OwnNats {
    const one = new OwnNats({
      binary: findNatsServer(process.env['PATH'] ?? ''),
      guard,
      logger: createLogger({ level: 'silent', name: 'test' }),
      store: join(folder, 'nats'),
      onUp,
    });
    servers.push(one);
    return one;
  }

  it('does not serve from a store that another one, left behind by a node that was killed, still has', async () => {
    const events: string[] = [];
    const first = server((up) => events.push(`first ${up ? 'up' : 'down'}`));
    await first.start(new AbortController().signal);
    const second = server((up) => events.push(`second ${up ? 'up' : 'down'}`));
    const starting = second.start(new AbortController().signal);
    // A third one with a store of its own would be up long since.
    const other = new OwnNats({
      binary: findNatsServer(process.env['PATH'] ?? ''),
      guard,
      logger: createLogger({ level: 'silent', name: 'test' }),
      store: join(folder, 'other'),
      onUp: () => undefined,
    });
    servers.push(other);
    await other.start(new AbortController().signal);
    assert.deepEqual(events, ['first up']);
    await first.stop();
    await starting;
    assert.deepEqual(events, ['first up', 'first down', 'second up']);
  });
});
