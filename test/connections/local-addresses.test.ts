import assert from 'node:assert/strict';
import { OwnAddressSource } from '@filbert/contracts';
import { LocalAddresses, REACHED_MS } from '../../services/connections/src/local-addresses.ts';
import { FakeClock } from '../support/fake-clock.ts';

const WILDCARD = { host: '0.0.0.0', port: 6346 };
const { OWN_ADDRESS_SOURCE_REACHED: REACHED, OWN_ADDRESS_SOURCE_DIALLED: DIALLED } = OwnAddressSource;

describe('connections local addresses', () => {
  let clock: FakeClock;
  let addresses: LocalAddresses;

  beforeEach(() => {
    clock = new FakeClock();
    clock.advance(10 * REACHED_MS);
    addresses = new LocalAddresses({ allowPrivate: false, now: () => clock.monotonic() });
  });

  const incoming = (localIp: string, remoteIp = '9.9.9.9') => ({ localIp, remoteIp, outgoing: false });
  const outgoing = (localIp: string) => ({ localIp, remoteIp: '9.9.9.9', outgoing: true });

  it('tell nothing behind a wildcard without links, and the address itself where there is no wildcard', () => {
    assert.equal(addresses.best(WILDCARD).address, '');
    const told = addresses.best({ host: '2a00:1::1', port: 7000 });
    assert.deepEqual(told, { address: '[2a00:1::1]:7000', source: OwnAddressSource.OWN_ADDRESS_SOURCE_LISTEN });
  });

  it('tell the end of links that peers made before that of links that we made', () => {
    addresses.count(outgoing('6.6.6.6'), 1);
    assert.deepEqual(addresses.best(WILDCARD), { address: '6.6.6.6:6346', source: DIALLED });
    addresses.count(incoming('::ffff:5.5.5.5'), 1);
    assert.deepEqual(addresses.best(WILDCARD), { address: '5.5.5.5:6346', source: REACHED });
    addresses.count(incoming('::ffff:5.5.5.5'), -1);
    assert.equal(addresses.best(WILDCARD).address, '6.6.6.6:6346');
  });

  it('tell the one that most links use, IPv4 first', () => {
    addresses.count(incoming('2a00:1::1'), 1);
    addresses.count(incoming('2a00:1::1'), 1);
    addresses.count(incoming('5.5.5.5'), 1);
    assert.equal(addresses.best(WILDCARD).address, '5.5.5.5:6346');
    addresses.count(incoming('6.6.6.6'), 1);
    addresses.count(incoming('6.6.6.6'), 1);
    assert.equal(addresses.best(WILDCARD).address, '6.6.6.6:6346');
  });

  it('tell private ones only where these are allowed, and after public ones', () => {
    addresses.count(incoming('192.168.1.5'), 1);
    assert.equal(addresses.best(WILDCARD).address, '');
    const open = new LocalAddresses({ allowPrivate: true, now: () => clock.monotonic() });
    open.count(incoming('127.0.0.1'), 1);
    open.count(incoming('192.168.1.5'), 1);
    assert.equal(open.best(WILDCARD).address, '192.168.1.5:6346');
    open.count(outgoing('5.5.5.5'), 1);
    assert.equal(open.best(WILDCARD).address, '5.5.5.5:6346');
  });

  it('know that others can connect for an hour after the last peer that came by itself', () => {
    addresses.count(outgoing('5.5.5.5'), 1);
    assert.equal(addresses.reached, false);
    addresses.count(incoming('5.5.5.5', '5.5.5.5'), 1);
    assert.equal(addresses.reached, false, 'a peer on this machine proves nothing');
    addresses.count(incoming('5.5.5.5'), 1);
    clock.advance(10 * REACHED_MS);
    assert.equal(addresses.reached, true, 'its link lives');
    addresses.count(incoming('5.5.5.5'), -1);
    clock.advance(REACHED_MS - 1);
    assert.equal(addresses.reached, true);
    clock.advance(1);
    assert.equal(addresses.reached, false);
  });
});
