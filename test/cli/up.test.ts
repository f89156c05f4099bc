import assert from 'node:assert/strict';
import { NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

/** The line and /readyz come by different ways. */
const READ_LATE_MS = 250;

describe('filbert up', function () {
  this.timeout(120_000);

  for (const processes of [false, true]) {
    it(`is ready when it says that it serves and not before, ${processes ? 'as processes' : 'embedded'}`, async () => {
      const node = await NodeProcess.spawn({ processes });
      try {
        let firstReadyMs = Infinity;
        let servesMs = Infinity;
        let unreadyLooks = 0;
        const serves = async (): Promise<boolean> => {
          const ready = await node.isReady();
          const nowMs = performance.now();
          if (ready) firstReadyMs = Math.min(firstReadyMs, nowMs);
          else unreadyLooks++;
          if (node.stdout.some((line) => line.startsWith('Filbert serves'))) servesMs = Math.min(servesMs, nowMs);
          return ready && servesMs < Infinity;
        };
        await waitFor('the node to serve', serves, 60_000);
        assert.ok(unreadyLooks > 0, 'the looks began before it was ready');
        assert.ok(Math.abs(servesMs - firstReadyMs) <= READ_LATE_MS, `${servesMs - firstReadyMs} ms between them`);
      } finally {
        await node.stop();
      }
    });
  }
});

describe('filbert up --json', function () {
  this.timeout(120_000);

  for (const processes of [false, true]) {
    it(`prints one JSON object a line on stdout, ${processes ? 'as processes' : 'embedded'}`, async () => {
      const node = await NodeProcess.start({ processes, args: ['--json'], readyTimeoutMs: 90_000 });
      try {
        await waitFor('the serving line', () => node.stdout.some((line) => line.includes('"serving"')));
        const said = node.stdout.map((line) => JSON.parse(line) as Record<string, string>);
        const serving = said.pop();
        assert.deepEqual(serving, {
          event: 'serving',
          gnutella: node.address,
          admin: `${node.admin.host}:${node.admin.port}`,
        });
        assert.ok(said.every(({ event }) => event === 'announcement'));
        const texts = said.map(({ text }) => text);
        assert.ok(texts.includes('will contact no seeds (--seeds none)'), texts.join('\n'));
        assert.equal(texts.includes('will start a nats-server of its own on 127.0.0.1'), processes);
      } finally {
        await node.stop();
      }
    });
  }
});
