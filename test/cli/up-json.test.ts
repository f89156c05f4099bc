import assert from 'node:assert/strict';
import { NodeProcess } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

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
