import assert from 'node:assert/strict';
import { networkOf } from '@filbert/gnutella';

describe('network of an address', () => {
  it('takes the /24 of IPv4 and the /64 of IPv6 for a network, however the address is written', () => {
    assert.equal(networkOf('5.6.7.8'), networkOf('5.6.7.250'));
    assert.notEqual(networkOf('5.6.7.8'), networkOf('5.6.8.8'));
    assert.equal(networkOf('2001:470::1'), networkOf('2001:470::2'));
    assert.equal(networkOf('2001:470::1'), networkOf('2001:470:0:0:1:2:3:4'));
    assert.equal(networkOf('2001:470:1:2::1'), networkOf('2001:470:1:2:ffff::1'));
    assert.notEqual(networkOf('2001:470:1:2::1'), networkOf('2001:470:1:3::1'));
  });
});
