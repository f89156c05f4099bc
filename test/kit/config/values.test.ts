import assert from 'node:assert/strict';
import fc from 'fast-check';
import { resolve } from 'node:path';
import { z } from 'zod';
import {
  byteSize,
  decimal,
  defineConfig,
  describeConfig,
  duration,
  editDistance,
  filePath,
  formatDuration,
  formatHostPort,
  hostPort,
  integer,
  list,
  nearestName,
  oneOf,
  option,
  parseHostPort,
  plainText,
  toggle,
  urlText,
} from '@filbert/kit';

/** What a schema makes of a text; 'refused' where it refuses it. */
function read(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : 'refused';
}

describe('kit config values', () => {
  it('integer: takes decimal digits within inclusive bounds and nothing else', () => {
    const schema = integer({ min: -1, max: 10 });
    for (const [value, expected] of [
      ['-1', -1],
      ['10', 10],
      ['007', 7],
      [3, 3],
    ] as const)
      assert.equal(read(schema, value), expected);
    for (const value of ['-2', '11', '', ' 1', '1.0', '1e1', '0x1', '９', 1.5, NaN, null, true])
      assert.equal(read(schema, value), 'refused', String(value));
  });

  it('decimal: takes digits with a fraction within bounds', () => {
    const schema = decimal({ min: 0, max: 1 });
    assert.equal(read(schema, '0.25'), 0.25);
    for (const value of ['1.01', '.5', 'Infinity', 'NaN', '']) assert.equal(read(schema, value), 'refused', value);
  });

  it('toggle: reads the usual words in any case', () => {
    for (const value of ['true', 'YES', '1', 'on', true]) assert.equal(read(toggle(), value), true);
    for (const value of ['false', 'no', '0', 'Off', false]) assert.equal(read(toggle(), value), false);
    for (const value of ['', 'maybe', '2']) assert.equal(read(toggle(), value), 'refused');
  });

  it('duration: needs a unit, yields ms, and keeps to its bounds', () => {
    const schema = duration({ min: 100, max: 86_400_000 });
    for (const [value, ms] of [
      ['250ms', 250],
      ['30s', 30_000],
      ['5m', 300_000],
      ['2h', 7_200_000],
      ['1d', 86_400_000],
    ])
      assert.equal(read(schema, value), ms);
    for (const value of ['30', '99ms', '2d', '1.5s', '-1s', 's', ''])
      assert.equal(read(schema, value), 'refused', value);
  });

  it('duration: what formatDuration writes is read back as it was', () => {
    const schema = duration({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(fc.property(fc.nat(1e11), (ms) => read(schema, formatDuration(ms)) === ms));
    assert.equal(formatDuration(90_000), '90s');
    assert.equal(formatDuration(0), '0ms');
  });

  it('byteSize: takes plain bytes and binary units', () => {
    const schema = byteSize({ min: 1, max: 2 * 1024 ** 4 });
    for (const [value, bytes] of [
      ['65536', 65_536],
      ['64KiB', 65_536],
      ['1MiB', 1_048_576],
      ['2TiB', 2 * 1024 ** 4],
    ])
      assert.equal(read(schema, value), bytes);
    for (const value of ['0', '3TiB', '1kb', '1 MiB', '1.5MiB']) assert.equal(read(schema, value), 'refused', value);
  });

  it('hostPort: takes IPv4, bracketed IPv6 and host names, and a port from 0', () => {
    for (const value of ['127.0.0.1:0', '[::1]:6346', '[fe80::1%eth0]:1', 'node-1.example:65535', 'localhost:80'])
      assert.notEqual(read(hostPort(), value), 'refused', value);
    for (const value of [
      '127.0.0.1',
      ':80',
      '::1:80',
      '[::1]',
      '[1.2.3.4]:1',
      '256.1.1.1:1',
      '1.2.3:4',
      'a b:1',
      'a:65536',
    ])
      assert.equal(read(hostPort(), value), 'refused', value);
    for (const value of ['-a:1', 'a..b:1', 'a:-1', 'a:1x', '']) assert.equal(read(hostPort(), value), 'refused', value);
    assert.equal(read(hostPort({ minPort: 1 }), 'a:0'), 'refused');
  });

  it('hostPort: formatHostPort writes what parseHostPort reads', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
    const property = fc.property(host, fc.nat(65_535), (name, port) => {
      assert.deepEqual(parseHostPort(formatHostPort({ host: name, port })), { host: name, port });
    });
    fc.assert(property);
  });

  it('list: reads comma-separated text or repeated values, bounds their number, and refuses one bad entry', () => {
    const schema = list(duration({ min: 0, max: 60_000 }), { max: 3 });
    assert.deepEqual(read(schema, ' 1s, 2s ,,3s,'), [1000, 2000, 3000]);
    assert.deepEqual(read(schema, ['1s,2s', '3s']), [1000, 2000, 3000]);
    assert.deepEqual(read(schema, ''), []);
    assert.equal(read(schema, '1s,x'), 'refused');
    assert.equal(read(schema, '1s,1s,1s,1s'), 'refused');
  });

  it('oneOf: takes its words and names them', () => {
    const schema = oneOf(['jetstream', 'sqlite']);
    assert.equal(schema.parse('sqlite'), 'sqlite');
    assert.equal(schema.safeParse('SQLite').success, false);
    const store = option({ flag: 'store', env: 'FILBERT_STORE', schema, description: 'Where.' });
    assert.equal(describeConfig(defineConfig({ store }))[0]?.bounds, 'one of jetstream, sqlite');
  });

  it('filePath, urlText, plainText: keep to what they allow', () => {
    assert.equal(read(filePath(), 'data/x'), resolve('data/x'));
    assert.equal(read(filePath(), 'a\0b'), 'refused');
    const schema = urlText({ schemes: ['nats:', 'tls:'] });
    assert.equal(read(schema, 'nats://127.0.0.1:4222'), 'nats://127.0.0.1:4222');
    for (const value of ['http://127.0.0.1', 'nats:x', 'nats://']) assert.equal(read(schema, value), 'refused', value);
    assert.equal(read(plainText({ min: 2, max: 3 }), 'abcd'), 'refused');
    assert.equal(read(plainText({ min: 2, max: 3 }), 'abc'), 'abc');
  });
});

describe('kit config suggestions', () => {
  it('counts single-character edits', () => {
    assert.equal(editDistance('kitten', 'sitting'), 3);
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('same', 'same'), 0);
  });

  it('finds the nearest name, and none where more than a third differs', () => {
    assert.equal(nearestName('lisen', ['listen', 'seed']), 'listen');
    assert.equal(nearestName('xyz', ['listen', 'seed']), undefined);
  });
});

describe('kit config description', () => {
  const definition = defineConfig({
    level: option({
      flag: 'log-level',
      env: 'FILBERT_LOG_LEVEL',
      schema: z.enum(['info', 'debug']),
      description: 'How much is logged.',
      default: 'info',
    }),
    token: option({
      flag: 'token',
      env: 'FILBERT_TOKEN',
      schema: plainText(),
      description: 'Control token.',
      secret: true,
    }),
    seeds: option({
      flag: 'seed',
      env: 'FILBERT_SEEDS',
      schema: list(plainText()),
      description: 'Hosts.',
      unit: 'hosts',
      default: ['a', 'b'],
    }),
  });

  it('gives a row for each option with flag, variable, unit, default, bounds and description', () => {
    const [level, token, seeds] = describeConfig(definition);
    assert.deepEqual(level, {
      name: 'level',
      flag: '--log-level',
      env: 'FILBERT_LOG_LEVEL',
      unit: '',
      default: 'info',
      bounds: 'one of info, debug',
      description: 'How much is logged.',
      required: false,
      secret: false,
      value: 'info',
      source: 'default',
    });
    assert.equal(token?.source, 'unset');
    assert.equal(token?.value, '');
    assert.equal(seeds?.default, 'a,b');
    assert.equal(seeds?.unit, 'hosts');
  });

  it('names where each value comes from and hides secrets', () => {
    const sources = { env: { FILBERT_TOKEN: 'hush', FILBERT_LOG_LEVEL: 'debug' }, flags: { seed: ['x', 'y'] } };
    const rows = describeConfig(definition, sources);
    assert.deepEqual(
      rows.map(({ source, value }) => [source, value]),
      [
        ['env', 'debug'],
        ['env', '(hidden)'],
        ['flag', 'x,y'],
      ],
    );
  });
});
