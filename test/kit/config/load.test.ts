import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import {
  ConfigError,
  defineConfig,
  duration,
  type FlagValues,
  hostPort,
  integer,
  list,
  loadConfig,
  mergeConfigs,
  option,
  parseArgsOptions,
  plainText,
  toggle,
} from '@filbert/kit';

const listen = option({
  flag: 'listen',
  env: 'FILBERT_LISTEN',
  schema: hostPort(),
  description: 'Address for Gnutella connections.',
  default: '0.0.0.0:6346',
});
const maxLeaves = option({
  flag: 'max-leaves',
  env: 'FILBERT_MAX_LEAVES',
  schema: integer({ min: 1, max: 20_000 }),
  description: 'Most leaves.',
  unit: 'leaves',
  default: 1000,
});
const token = option({
  flag: 'token',
  env: 'FILBERT_TOKEN',
  schema: plainText({ min: 16 }),
  description: 'Token of the control service.',
  secret: true,
});
const seeds = option({
  flag: 'seed',
  env: 'FILBERT_SEEDS',
  schema: list(hostPort({ minPort: 1 })),
  description: 'Hosts to start with.',
  default: ['192.0.2.1:6346'],
});
const deflate = option({
  flag: 'deflate',
  env: 'FILBERT_DEFLATE',
  schema: toggle(),
  description: 'Compress links.',
  default: true,
});

const definition = defineConfig({ listen, maxLeaves, token, seeds, deflate });

function problemsOf(env: Record<string, string>, flags: FlagValues = {}): readonly string[] {
  const loaded = loadConfig(definition, { env, flags });
  assert.equal(loaded.ok, false);
  return loaded.ok ? [] : loaded.problems;
}

describe('kit config loading', () => {
  it('takes defaults where nothing is given, and undefined for an optional value', () => {
    const loaded = loadConfig(definition, { env: { PATH: '/bin' } });
    assert.ok(loaded.ok);
    assert.deepEqual(loaded.value, {
      listen: { host: '0.0.0.0', port: 6346 },
      maxLeaves: 1000,
      token: undefined,
      seeds: [{ host: '192.0.2.1', port: 6346 }],
      deflate: true,
    });
  });

  it('lets flags win over the environment, and the environment over defaults', () => {
    const env = { FILBERT_LISTEN: '[::1]:0', FILBERT_MAX_LEAVES: '5' };
    const loaded = loadConfig(definition, { env, flags: { 'max-leaves': '7', deflate: false } });
    assert.ok(loaded.ok);
    assert.deepEqual(loaded.value.listen, { host: '::1', port: 0 });
    assert.equal(loaded.value.maxLeaves, 7);
    assert.equal(loaded.value.deflate, false);
  });

  it('names every problem at once, with the variable or flag, the value and what is allowed', () => {
    const problems = problemsOf({ FILBERT_LISTEN: 'nowhere', FILBERT_MAX_LEAVES: '12x' }, { 'max-leaves': '0' });
    assert.equal(problems.length, 2);
    assert.match(problems[0] ?? '', /^FILBERT_LISTEN is "nowhere": it must be host:port .* port from 0 to 65535\.$/);
    assert.equal(problems[1], '--max-leaves is "0": it must be a whole number from 1 to 20000 (leaves).');
  });

  it('refuses unknown variables and flags, and suggests the nearest known name', () => {
    assert.deepEqual(problemsOf({ FILBERT_LISTN: 'x', FILBERT_COMPLETELY_ELSE: '1' }, { 'max-leafs': '1' }), [
      'FILBERT_LISTN is not a known variable; did you mean FILBERT_LISTEN?',
      'FILBERT_COMPLETELY_ELSE is not a known variable.',
      '--max-leafs is not a known flag; did you mean --max-leaves?',
    ]);
  });

  it('does not take variables that Kubernetes makes of Services, or those of the tests, for settings', () => {
    const env = {
      FILBERT_ROUTER_SERVICE_HOST: '10.0.0.1',
      FILBERT_ROUTER_SERVICE_PORT_GRPC: '9000',
      FILBERT_ROUTER_PORT: 'tcp://10.0.0.1:9000',
      FILBERT_ROUTER_PORT_9000_TCP_ADDR: '10.0.0.1',
      FILBERT_TEST_TOTALS: '/tmp/x',
    };
    assert.equal(loadConfig(definition, { env }).ok, true);
    assert.equal(loadConfig(definition, { env: { FILBERT_ROUTER_PORT: '9000' } }).ok, false);
  });

  it('never repeats a secret in a problem', () => {
    const [problem] = problemsOf({ FILBERT_TOKEN: 'short-secret' });
    assert.match(problem ?? '', /^FILBERT_TOKEN is not usable \(its value is hidden\): it must be text of 16 to 255/);
    assert.doesNotMatch(problem ?? '', /short-secret/);
  });

  it('shows only the beginning of a long refused value', () => {
    const [problem] = problemsOf({ FILBERT_LISTEN: 'x'.repeat(20_000) });
    assert.ok((problem ?? '').length < 400);
  });

  it('takes an empty variable as not given, but as an empty list for a list', () => {
    const loaded = loadConfig(definition, { env: { FILBERT_MAX_LEAVES: '', FILBERT_SEEDS: '' } });
    assert.ok(loaded.ok);
    assert.equal(loaded.value.maxLeaves, 1000);
    assert.deepEqual(loaded.value.seeds, []);
  });

  it('asks for a required value that is missing', () => {
    const required = defineConfig({
      id: option({ flag: 'id', env: 'FILBERT_ID', schema: plainText(), description: 'Name.', required: true }),
    });
    assert.deepEqual(loadConfig(required, { env: {} }), {
      ok: false,
      problems: ['FILBERT_ID (or --id) is missing: it must be text of 1 to 255 characters.'],
    });
  });

  it('reads what parseArgs made of repeated, switched and negated flags', () => {
    const args = ['--seed', '192.0.2.7:1', '--seed=192.0.2.8:2,192.0.2.9:3', '--no-deflate'];
    const { values } = parseArgs({ args, options: parseArgsOptions(definition), allowNegative: true, strict: true });
    const loaded = loadConfig(definition, { env: {}, flags: values });
    assert.ok(loaded.ok);
    assert.deepEqual(
      loaded.value.seeds.map(({ port }) => port),
      [1, 2, 3],
    );
    assert.equal(loaded.value.deflate, false);
  });

  it('runs the check over several values only when each is readable', () => {
    const checked = defineConfig({ maxLeaves, deflate }, { check: (value) => [`${value.maxLeaves} ${value.deflate}`] });
    assert.deepEqual(loadConfig(checked, { env: {} }), { ok: false, problems: ['1000 true'] });
    const unreadable = loadConfig(checked, { env: { FILBERT_DEFLATE: 'maybe' } });
    assert.deepEqual(unreadable, {
      ok: false,
      problems: ['FILBERT_DEFLATE is "maybe": it must be true or false.'],
    });
  });
});

describe('kit config definitions', () => {
  it('merges definitions under their names, shares one option object, and checks unknown names against the union', () => {
    const idle = option({
      flag: 'idle',
      env: 'FILBERT_IDLE',
      schema: duration({ min: 1, max: 60_000 }),
      description: 'Idle time-out.',
      default: '30s',
    });
    const merged = mergeConfigs({ a: defineConfig({ listen, idle }), b: defineConfig({ seeds, where: listen }) });
    const loaded = loadConfig(merged, {
      env: { FILBERT_LISTEN: '127.0.0.1:1', FILBERT_IDLE: '2s', FILBERT_SEEDS: '' },
    });
    assert.ok(loaded.ok);
    const address = { host: '127.0.0.1', port: 1 };
    assert.deepEqual(loaded.value, { a: { listen: address, idle: 2000 }, b: { seeds: [], where: address } });
    assert.equal(loadConfig(merged, { env: { FILBERT_MAX_LEAVES: '1' } }).ok, false);
  });

  it('runs the checks of merged parts, each on its own part', () => {
    const part = defineConfig({ maxLeaves }, { check: (value) => [`leaves ${value.maxLeaves}`] });
    const loaded = loadConfig(mergeConfigs({ part, other: defineConfig({ listen }) }), { env: {} });
    assert.deepEqual(loaded, { ok: false, problems: ['leaves 1000'] });
  });

  it('refuses definitions that cannot be right: clashes, bad names, bad defaults', () => {
    const clash = { ...listen, flag: 'other' };
    assert.throws(() => defineConfig({ listen, clash }), new ConfigError('FILBERT_LISTEN is declared twice'));
    assert.throws(() => mergeConfigs({ a: defineConfig({ listen }), b: defineConfig({ clash }) }), ConfigError);
    const spec = { flag: 'n', env: 'FILBERT_N', schema: integer({ min: 1, max: 2 }), description: '' } as const;
    assert.throws(() => option({ ...spec, default: 3 }), /the default of FILBERT_N is not allowed/);
    assert.throws(() => option({ ...spec, flag: 'Nope' }), /kebab-case/);
    assert.throws(() => option({ ...spec, env: 'FILBERT_n' }), /FILBERT_UPPER_CASE/);
    assert.throws(() => option({ ...spec, default: 1, required: true }), /required and has a default/);
  });
});
