import assert from 'node:assert/strict';
import {
  byteSize,
  ConfigError,
  configEnvironment,
  decimal,
  defineConfig,
  duration,
  hostPort,
  integer,
  list,
  loadConfig,
  mergeConfigs,
  option,
  parsedText,
  plainText,
  toggle,
} from '@filbert/kit';
import { z } from 'zod';

const description = 'A setting.';
const definition = mergeConfigs({
  edge: defineConfig({
    listen: option({ flag: 'listen', env: 'FILBERT_LISTEN', schema: hostPort(), description }),
    interval: option({
      flag: 'interval',
      env: 'FILBERT_INTERVAL',
      schema: duration({ min: 1, max: 86_400_000 }),
      default: '10m',
      description,
    }),
    peers: option({ flag: 'peers', env: 'FILBERT_PEERS', schema: list(hostPort()), default: ['[::1]:1'], description }),
    open: option({ flag: 'open', env: 'FILBERT_OPEN', schema: toggle(), default: true, description }),
  }),
  other: defineConfig({
    ratio: option({
      flag: 'ratio',
      env: 'FILBERT_RATIO',
      schema: decimal({ min: 0, max: 1 }),
      default: 1,
      description,
    }),
    count: option({
      flag: 'count',
      env: 'FILBERT_COUNT',
      schema: integer({ min: 0, max: 1e15 }),
      default: 0,
      description,
    }),
    size: option({
      flag: 'size',
      env: 'FILBERT_SIZE',
      schema: byteSize({ min: 0, max: 2 ** 40 }),
      default: '1MiB',
      description,
    }),
    name: option({ flag: 'name', env: 'FILBERT_NAME', schema: plainText(), description }),
    parity: option({
      flag: 'parity',
      env: 'FILBERT_PARITY',
      schema: parsedText(
        'odd or even',
        (text) => (text === 'odd' || text === 'even' ? { odd: text === 'odd' } : undefined),
        ({ odd }) => (odd ? 'odd' : 'even'),
      ),
      default: 'even',
      description,
    }),
  }),
});

describe('kit config: an environment made of a configuration', () => {
  it('is read back as the same configuration, and leaves out what has no value', () => {
    const given = {
      FILBERT_LISTEN: '[::1]:6346',
      FILBERT_PEERS: '10.0.0.1:1, host.example:2',
      FILBERT_OPEN: 'no',
      FILBERT_RATIO: '0.0000001',
      FILBERT_COUNT: '100000000000000',
      FILBERT_SIZE: '96MiB',
      FILBERT_PARITY: 'odd',
    };
    for (const env of [given, {}]) {
      const loaded = loadConfig(definition, { env });
      assert.ok(loaded.ok);
      const made = configEnvironment(definition, loaded.value);
      assert.deepEqual(loadConfig(definition, { env: made }), loaded);
      assert.equal('FILBERT_NAME' in made, false);
    }
  });

  it('refuses a value whose text is not known', () => {
    const odd = option({
      flag: 'odd',
      env: 'FILBERT_ODD',
      schema: z.string().transform((text) => ({ text })),
      default: 'a',
      description,
    });
    assert.throws(() => configEnvironment(defineConfig({ odd }), { odd: { text: 'a' } }), ConfigError);
  });
});
