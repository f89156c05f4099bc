import { MAX_LINKS_PER_ADDRESS, MAX_LINKS_PER_NETWORK } from '@filbert/contracts';
import assert from 'node:assert/strict';
import { admit, type AdmissionState } from '../../../services/connections/src/admission/admission.ts';
import { peerOf } from '../../support/frame-bench.ts';

function state(changes: Partial<AdmissionState> = {}): AdmissionState {
  return {
    draining: false,
    leaves: 0,
    maxLeaves: 10,
    ultrapeers: 0,
    maxUltrapeers: 4,
    hasAddress: () => false,
    hasGuid: () => false,
    fromSameAddress: 0,
    fromSameNetwork: 0,
    evictLeaf: () => false,
    evictUltrapeer: () => false,
    ...changes,
  };
}

const leaf = peerOf('leaf', { 'Listen-IP': '5.6.7.8:6346', GUID: '0102030405060708090a0b0c0d0e0f10' });
const ultrapeer = peerOf('ultrapeer');

describe('connections admission', () => {
  it('tells a peer that ultrapeers are needed while ultrapeer slots are free', () => {
    assert.deepEqual(admit(leaf, state()), { accept: true, ultrapeerNeeded: true });
    assert.deepEqual(admit(ultrapeer, state({ ultrapeers: 3 })), { accept: true, ultrapeerNeeded: true });
  });

  it('tells a leaf that none are needed when only leaf slots are free, and says nothing when neither are', () => {
    assert.deepEqual(admit(leaf, state({ ultrapeers: 4 })), { accept: true, ultrapeerNeeded: false });
    const full = state({ ultrapeers: 4, leaves: 10, evictLeaf: () => true });
    assert.deepEqual(admit(leaf, full), { accept: true });
  });

  it('refuses with 503 and the number of slots when they are taken', () => {
    assert.deepEqual(admit(leaf, state({ leaves: 10 })), {
      accept: false,
      code: 503,
      reason: 'Too many leaf connections (10 max)',
    });
    assert.deepEqual(admit(ultrapeer, state({ ultrapeers: 4 })), {
      accept: false,
      code: 503,
      reason: 'Too many ultra connections (4 max)',
    });
  });

  it('takes a peer into a full node where a useless one of its kind makes room, and asks for that only then', () => {
    let evicted = 0;
    const evict = (): boolean => ++evicted > 0;
    assert.equal(admit(ultrapeer, state({ evictUltrapeer: evict, evictLeaf: evict })).accept, true);
    assert.equal(evicted, 0);
    assert.equal(admit(ultrapeer, state({ ultrapeers: 4, evictUltrapeer: evict })).accept, true);
    assert.equal(admit(leaf, state({ leaves: 10, evictLeaf: evict })).accept, true);
    assert.equal(evicted, 2);
  });

  it('refuses everybody with 503 while it shuts down, before any other reason', () => {
    const decision = admit(leaf, state({ draining: true, hasAddress: () => true, leaves: 10 }));
    assert.deepEqual(decision, { accept: false, code: 503, reason: 'Shutting down' });
  });

  it('refuses with 409 a peer whose address or servent GUID is connected', () => {
    const byAddress = admit(leaf, state({ hasAddress: (address) => address === '5.6.7.8:6346' }));
    assert.deepEqual(byAddress, { accept: false, code: 409, reason: 'Already connected' });
    const byGuid = admit(leaf, state({ hasGuid: (guid) => guid === '0102030405060708090a0b0c0d0e0f10' }));
    assert.deepEqual(byGuid, { accept: false, code: 409, reason: 'Already connected to this GUID' });
  });

  it('does not evict anybody for a peer that is refused anyway', () => {
    const evictLeaf = (): boolean => assert.fail('evicted');
    const full = { leaves: 10, evictLeaf };
    assert.equal(admit(leaf, state({ ...full, hasGuid: () => true })).accept, false);
    assert.equal(admit(leaf, state({ ...full, fromSameAddress: MAX_LINKS_PER_ADDRESS })).accept, false);
  });

  it('refuses with 403 a peer that says neither leaf nor ultrapeer', () => {
    const decision = admit(peerOf('leaf', { 'X-Ultrapeer': null }), state());
    assert.deepEqual(decision, { accept: false, code: 403, reason: 'Normal nodes refused' });
  });

  it('bounds the links from one address and from one network', () => {
    const refused = { accept: false, code: 409, reason: 'Too many connections from your network' };
    assert.equal(admit(leaf, state({ fromSameAddress: MAX_LINKS_PER_ADDRESS - 1 })).accept, true);
    assert.deepEqual(admit(leaf, state({ fromSameAddress: MAX_LINKS_PER_ADDRESS })), refused);
    assert.equal(admit(leaf, state({ fromSameNetwork: MAX_LINKS_PER_NETWORK - 1 })).accept, true);
    assert.deepEqual(admit(leaf, state({ fromSameNetwork: MAX_LINKS_PER_NETWORK })), refused);
  });
});
