import assert from 'node:assert/strict';
import { loadConfig } from '@filbert/kit';
import { nodeConfig, type NodeConfig } from '../../cli/src/node-config.ts';
import {
  announcements,
  completeConfig,
  listensPrivately,
  settingsProblems,
  settingsWarnings,
} from '../../cli/src/up/plan.ts';

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

  it('says where traces are sent, without the credentials that the address may hold', () => {
    const says = (flags: Record<string, string | boolean>): string[] =>
      announcements(completeConfig(configOf(flags))).filter((line) => line.includes('OTLP'));
    const endpoint = 'http://who:secret@collector.example:4318';
    assert.deepEqual(says({ tracing: true, 'otlp-endpoint': endpoint }), [
      'will send traces to the OTLP collector at collector.example:4318',
    ]);
    assert.deepEqual(says({ 'otlp-endpoint': endpoint }), []);
  });

  const problems: readonly (readonly [flags: Record<string, string | boolean>, expected: RegExp])[] = [
    [{ control: '0.0.0.0:9347' }, /^--control is "0\.0\.0\.0:9347", which others can reach: it needs a token/],
    [{ listen: '127.0.0.1:7001', admin: '127.0.0.1:7001' }, /^--listen and --admin are both port 7001$/],
    [{ listen: '0.0.0.0:7001', 'transfers-listen': '127.0.0.1:7001' }, /^--listen and --transfers-listen are both/],
    [{ admin: '127.0.0.1:7001', control: '127.0.0.1:7001' }, /^--admin and --control are both port 7001$/],
    [{ 'job-store': 'jetstream' }, /^--job-store is "jetstream", which needs NATS: run with --processes/],
    [{ 'edge-id': 'library' }, /^--edge-id and --library-edge-id both name something "library"$/],
    [{ processes: true, connections: '2', 'library-edge-id': 'edge-1' }, /both name something "edge-1"$/],
    [{ processes: true, 'transfers-id': 'edge' }, /^--edge-id and --transfers-id both name something "edge-0"$/],
  ];
  for (const [flags, expected] of problems) {
    it(`settings that do not go together are told: ${JSON.stringify(flags)}`, () => {
      const [problem = '', ...others] = settingsProblems(configOf(flags));
      assert.match(problem, expected);
      assert.deepEqual(others, []);
    });
  }

  it('settings that go together are told nothing of', () => {
    const apart = { listen: '127.0.0.1:0', admin: '127.0.0.1:0', control: '127.0.0.1:0' };
    const hosts = { listen: '127.0.0.1:7001', admin: '127.0.0.2:7001' };
    const token = { control: '0.0.0.0:9347', 'control-token': 'x'.repeat(16) };
    const overNats = { processes: true, 'job-store': 'jetstream', 'edge-id': 'library' };
    for (const flags of [{}, apart, hosts, token, overNats]) assert.deepEqual(settingsProblems(configOf(flags)), []);
  });

  it('settings that do nothing are warned of', () => {
    const connections = '4';
    assert.deepEqual(settingsWarnings(configOf({ connections, share: '/nowhere/at-all' })), [
      '--connections has no effect without --processes',
      '--share /nowhere/at-all: there is no such folder; it is shared when it appears',
    ]);
    assert.deepEqual(settingsWarnings(configOf({ connections, processes: true })), []);
  });

  it('private addresses are taken with --allow-private, whatever it listens on', () => {
    assert.deepEqual(allowed(configOf({ listen: '5.6.7.8:6346', 'allow-private': true })), Array(4).fill(true));
  });
});
