import assert from 'node:assert/strict';
import { loadConfig } from '@filbert/kit';
import { nodeConfig, type NodeConfig } from '../../cli/src/node-config.ts';
import { announcements, completeConfig, listensPrivately } from '../../cli/src/up/plan.ts';

function configOf(flags: Record<string, string | boolean>): NodeConfig {
  const loaded = loadConfig(nodeConfig, { env: {}, flags });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.value;
}

/** Whether each service would take private addresses for those of peers. */
function allowed(config: NodeConfig): boolean[] {
  const { connections, bootstrap, searchIndex, transfers } = completeConfig(config);
  return [connections, bootstrap, searchIndex, transfers].map(({ allowPrivate }) => allowPrivate);
}

describe('filbert up: what follows from other settings', () => {
  const listens: readonly (readonly [listen: string, isPrivate: boolean])[] = [
    ['127.0.0.1:6346', true],
    ['127.8.9.10:6346', true],
    ['localhost:6346', true],
    ['10.0.0.1:6346', true],
    ['192.168.1.5:6346', true],
    ['172.16.0.1:6346', true],
    ['[::1]:6346', true],
    ['[fd00::1]:6346', true],
    ['0.0.0.0:6346', false],
    ['[::]:6346', false],
    ['172.32.0.1:6346', false],
    ['5.6.7.8:6346', false],
    ['[2a01:4f8::1]:6346', false],
  ];
  for (const [listen, isPrivate] of listens) {
    it(`private addresses are ${isPrivate ? '' : 'not '}taken for peers’ where it listens on ${listen}`, () => {
      const config = configOf({ listen });
      assert.equal(listensPrivately(config), isPrivate);
      assert.deepEqual(allowed(config), Array(4).fill(isPrivate));
      const says = announcements(completeConfig(config)).some((line) =>
        line.includes('loopback and private addresses'),
      );
      assert.equal(says, isPrivate, 'and it says so');
    });
  }

  it('private addresses are taken with --allow-private, whatever it listens on', () => {
    assert.deepEqual(allowed(configOf({ listen: '5.6.7.8:6346', 'allow-private': true })), Array(4).fill(true));
  });
});
