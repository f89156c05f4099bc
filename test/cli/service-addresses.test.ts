import assert from 'node:assert/strict';
import { parseServiceAddresses } from '../../cli/src/control/service-addresses.ts';

const ALL = 'bootstrap=bootstrap:9347,router=10.0.0.2:1,search-index=[::1]:2,transfers=t:3, connections = c:4 ';

describe('cli: control addresses of services', () => {
  it('are read in any order', () => {
    const read = parseServiceAddresses(ALL);
    assert.deepEqual(read.bootstrap, { host: 'bootstrap', port: 9347 });
    assert.deepEqual(read['search-index'], { host: '::1', port: 2 });
    assert.deepEqual(read.connections, { host: 'c', port: 4 });
    assert.deepEqual(parseServiceAddresses(ALL.split(',').reverse().join(',')), read);
  });

  for (const [text, why] of [
    ['router=r:1', /bootstrap is missing/],
    [`${ALL},router=r:1`, /router is named twice/],
    [ALL.replace('transfers=', 'transfer='), /"transfer" is none of bootstrap, router/],
    [ALL.replace(':9347', ''), /"bootstrap=bootstrap" is not SERVICE=HOST:PORT/],
    [ALL.replace(':9347', ':0'), /"bootstrap=bootstrap:0" is not SERVICE=HOST:PORT/],
    [`${ALL},`, /"" is not SERVICE=HOST:PORT/],
  ] as const) {
    it(`are refused where ${why.source}`, () => {
      assert.throws(() => parseServiceAddresses(text), why);
    });
  }
});
