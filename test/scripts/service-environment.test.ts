import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claimName } from '../../scripts/containers/claim-name.ts';
import { readControlToken } from '../../scripts/containers/control-token.ts';
import { parseServiceAddresses } from '../../cli/src/control/service-addresses.ts';
import { commandEnvironment } from '../../scripts/containers/command-environment.ts';
import { SERVICE_NAMES, serviceEnvironment } from '../../scripts/containers/service-environment.ts';

const facts = (hostname: string, controlToken?: string) => ({
  hostname,
  controlToken,
  claimName: (prefix: string) => `${prefix}-5`,
});

describe('containers: the environment of a service', () => {
  it('a pod of a StatefulSet is what its number says', () => {
    assert.deepEqual(serviceEnvironment('router', {}, facts('router-3')), { FILBERT_SHARD: '3' });
    assert.deepEqual(serviceEnvironment('connections', {}, facts('connections-12')), { FILBERT_EDGE_ID: 'edge-12' });
    const transfers = serviceEnvironment('transfers', {}, facts('transfers-2'));
    assert.equal(transfers?.['FILBERT_TRANSFERS_ID'], 'transfers-2');
    assert.equal(transfers['FILBERT_TRANSFERS_INTERNAL_LISTEN'], 'transfers-2:6348');
    const library = serviceEnvironment('search-index', {}, facts('search-index-1'));
    assert.equal(library?.['FILBERT_LIBRARY_EDGE_ID'], 'library-1');
  });

  it('a container with a random host name is shard and edge 0, and a worker by a claimed name', () => {
    assert.deepEqual(serviceEnvironment('router', {}, facts('0123456789ab')), {});
    assert.deepEqual(serviceEnvironment('connections', {}, facts('0123456789ab')), {});
    const transfers = serviceEnvironment('transfers', {}, facts('0123456789ab'));
    assert.equal(transfers?.['FILBERT_TRANSFERS_ID'], 'transfers-5');
  });

  it('what was given wins over what is derived, an empty variable counts as not given', () => {
    const given = { FILBERT_SHARD: '7' };
    assert.deepEqual(serviceEnvironment('router', given, facts('router-3')), {});
    assert.deepEqual(serviceEnvironment('router', { FILBERT_SHARD: '' }, facts('router-3')), { FILBERT_SHARD: '3' });
  });

  it('control is open to the network with a token only', () => {
    assert.equal(serviceEnvironment('router', {}, facts('router-0'))?.['FILBERT_CONTROL'], undefined);
    const withToken = serviceEnvironment('router', {}, facts('router-0', 'a token of some length'));
    assert.equal(withToken?.['FILBERT_CONTROL'], '0.0.0.0:9347');
    assert.equal(withToken['FILBERT_CONTROL_TOKEN'], 'a token of some length');
  });

  it('a service that the image does not have has none', () => {
    assert.equal(serviceEnvironment('connection', {}, facts('a')), undefined);
  });
});

describe('containers: the environment of the command line', () => {
  const noFile = (): never => assert.fail('there is no file to read');

  it('names every service where it takes control calls', () => {
    const { FILBERT_CONTROL: control = '' } = commandEnvironment({}, noFile);
    const addresses = parseServiceAddresses(control);
    assert.deepEqual(Object.keys(addresses).sort(), [...SERVICE_NAMES].sort());
    for (const [kind, address] of Object.entries(addresses)) assert.deepEqual(address, { host: kind, port: 9347 });
    assert.equal(commandEnvironment({ FILBERT_CONTROL: 'other:1' }, noFile)['FILBERT_CONTROL'], undefined);
  });

  it('has the token of the file, unless there is one in a variable', () => {
    const file = { FILBERT_CONTROL_TOKEN_FILE: '/control/token' };
    const read = (path: string): string => `of ${path}`;
    assert.equal(commandEnvironment(file, read)['FILBERT_CONTROL_TOKEN'], 'of /control/token');
    const both = { ...file, FILBERT_CONTROL_TOKEN: 'a token of some length' };
    assert.equal(commandEnvironment(both, noFile)['FILBERT_CONTROL_TOKEN'], undefined);
    assert.equal(commandEnvironment({}, noFile)['FILBERT_CONTROL_TOKEN'], undefined);
  });
});

describe('containers: files that containers share', () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-test-'));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it('workers have different names, and a name given back is the next one to be taken', () => {
    const names = [0, 1, 2].map(() => claimName(folder, 'transfers'));
    try {
      assert.deepEqual(
        names.map(({ name }) => name),
        ['transfers-0', 'transfers-1', 'transfers-2'],
      );
      names[1]?.release();
      names[1] = claimName(folder, 'transfers');
      assert.equal(names[1].name, 'transfers-1');
    } finally {
      for (const name of names) name.release();
    }
  });

  it('a folder that cannot be used is an error, not a taken name', () => {
    assert.throws(() => claimName('/dev/null', 'transfers'), /ENOTDIR/);
  });

  it('the token is made once, for its owner only, and by nobody who may just read it', () => {
    const path = join(folder, 'token');
    assert.throws(() => readControlToken(path, { create: false }), /ENOENT/);
    const token = readControlToken(path, { create: true });
    assert.match(token, /^[0-9a-f]{64}$/);
    assert.equal(readControlToken(path, { create: true }), token);
    assert.equal(readControlToken(path, { create: false }), readFileSync(path, 'utf8'));
    assert.equal(statSync(path).mode & 0o777, 0o400);
  });
});
