import assert from 'node:assert/strict';
import { EdgeSummary, OwnAddressSource } from '@filbert/contracts';
import { AddressVotes, MAX_VOTERS, MIN_VOTES, VOTE_LIFETIME_MS } from '../../services/bootstrap/src/address-votes.ts';
import { KEEP_ADDRESS_MS, OwnAddress } from '../../services/bootstrap/src/own-address.ts';

const {
  OWN_ADDRESS_SOURCE_UNSPECIFIED: UNKNOWN,
  OWN_ADDRESS_SOURCE_LISTEN: LISTEN,
  OWN_ADDRESS_SOURCE_REACHED: REACHED,
  OWN_ADDRESS_SOURCE_PEERS: PEERS,
  OWN_ADDRESS_SOURCE_DIALLED: DIALLED,
} = OwnAddressSource;

describe('bootstrap votes on the own address', () => {
  let now = 0;
  let votes: AddressVotes;

  beforeEach(() => {
    now = 1_700_000_000_000;
    votes = new AddressVotes({ allowPrivate: false, now: () => now });
  });

  it('need as many networks as it takes: one peer and its neighbours decide nothing', () => {
    for (let i = 1; i < 200; i++) votes.add(`5.6.7.${i}`, '9.9.9.9');
    votes.add('5.6.8.1', '9.9.9.9');
    assert.equal(votes.winner(), undefined);
    assert.equal(MIN_VOTES, 3);
    votes.add('5.6.9.1', '9.9.9.9');
    assert.equal(votes.winner(), '9.9.9.9');
  });

  it('need more than half of the networks', () => {
    for (let i = 0; i < 4; i++) votes.add(`5.6.${i}.1`, '9.9.9.9');
    for (let i = 10; i < 13; i++) votes.add(`5.6.${i}.1`, '8.8.8.8');
    assert.equal(votes.winner(), '9.9.9.9');
    votes.add('5.6.20.1', '8.8.8.8');
    assert.equal(votes.winner(), undefined);
    votes.add('5.6.0.7', '8.8.8.8');
    assert.equal(votes.winner(), '8.8.8.8', 'a network that changed its word has one vote still');
  });

  it('are not taken from or for addresses that are no peers', () => {
    for (const bad of ['10.0.0.1', '127.0.0.1', '0.0.0.0', 'example.org', '', '::1']) {
      for (let i = 0; i < 4; i++) votes.add(`5.6.${i}.1`, bad);
      votes.add(bad, '9.9.9.9');
    }
    assert.deepEqual([votes.winner(), votes.size, votes.refused], [undefined, 0, 6 * 5]);
  });

  it('are counted for each kind of address, IPv4 first', () => {
    for (let i = 0; i < 5; i++) votes.add(`[2a00:1:2:${i}::1]`, '2a00:9::9');
    assert.equal(votes.winner(), undefined, 'a /48 is one customer');
    for (let i = 0; i < 3; i++) votes.add(`[2a00:1:${i}::1]`, '2a00:9::9');
    assert.equal(votes.winner(), '2a00:9::9');
    for (let i = 0; i < 3; i++) votes.add(`5.6.${i}.1`, '9.9.9.9');
    assert.equal(votes.winner(), '9.9.9.9');
  });

  it('are no word of IPv6 peers on an IPv4 address, and many of them push out no vote of another kind', () => {
    for (let i = 0; i < 5; i++) votes.add(`5.6.${i}.1`, '9.9.9.9');
    for (let i = 0; i < 2 * MAX_VOTERS; i++) votes.add(`[2a00:1:${i.toString(16)}::1]`, '8.8.8.8');
    assert.deepEqual([votes.winner(), votes.size], ['9.9.9.9', 5]);
    for (let i = 0; i < 2 * MAX_VOTERS; i++) votes.add(`[2a00:1:${i.toString(16)}::1]`, '2a00:9::9');
    for (let i = 0; i < 5; i++) votes.add(`6.6.${i}.1`, '2a00:9::9');
    assert.deepEqual([votes.winner(), votes.size], ['9.9.9.9', 5 + MAX_VOTERS]);
  });

  it('are forgotten after a day, and when there are too many', () => {
    for (let i = 0; i < 3; i++) votes.add(`5.6.${i}.1`, '9.9.9.9');
    now += VOTE_LIFETIME_MS + 1;
    assert.equal(votes.winner(), undefined);
    for (let i = 0; i < MAX_VOTERS + 10; i++) votes.add(`5.7.${i}.1`, '9.9.9.9');
    assert.equal(votes.size, MAX_VOTERS);
    assert.deepEqual(votes.forgotten, { full: 10, age: 3 });
  });
});

describe('bootstrap own address', () => {
  let now = 0;
  let own: OwnAddress;

  beforeEach(() => {
    now = 1_700_000_000_000;
    own = new OwnAddress({ allowPrivate: true, now: () => now });
  });

  function edge(
    ownAddress: string,
    ownAddressSource: OwnAddressSource,
    changes: Partial<EdgeSummary> = {},
  ): EdgeSummary {
    return EdgeSummary.fromPartial({ edgeId: 'edge-0', listenPort: 6346, ownAddress, ownAddressSource, ...changes });
  }

  function agree(address: string): void {
    for (let i = 0; i < MIN_VOTES; i++) own.vote({ voter: `5.6.${i}.1`, address });
  }

  it('is unknown, and the node firewalled, while nobody told anything', () => {
    assert.deepEqual(own.decide([edge('', UNKNOWN)]), { address: '', from: UNKNOWN, firewalled: true });
  });

  it('is the address that it listens on, and then not firewalled', () => {
    const decided = own.decide([edge('5.5.5.5:6346', LISTEN)]);
    assert.deepEqual(decided, { address: '5.5.5.5:6346', from: LISTEN, firewalled: false });
  });

  it('is what peers reached, rather than what peers say or what dialled links have', () => {
    agree('9.9.9.9');
    const both = [
      edge('6.6.6.6:6346', DIALLED, { edgeId: 'edge-0' }),
      edge('5.5.5.5:6346', REACHED, { edgeId: 'edge-1' }),
    ];
    assert.deepEqual(own.decide(both), { address: '5.5.5.5:6346', from: REACHED, firewalled: true });
    const reached = own.decide([edge('5.5.5.5:6346', REACHED, { reached: true })]);
    assert.equal(reached.firewalled, false);
  });

  it('is the public address that peers see rather than a private one of a socket, with the port of the node', () => {
    agree('9.9.9.9');
    const behindNat = edge('192.168.1.5:7000', REACHED, { listenPort: 7000, reached: true });
    assert.deepEqual(own.decide([behindNat]), { address: '9.9.9.9:7000', from: PEERS, firewalled: false });
  });

  it('is no private address without --allow-private', () => {
    const strict = new OwnAddress({ allowPrivate: false, now: () => now });
    assert.equal(strict.decide([edge('192.168.1.5:6346', REACHED)]).address, '');
  });

  it('stays the same of several equal ones, whichever edge is heard first', () => {
    const a = edge('5.5.5.5:6346', REACHED, { edgeId: 'edge-0' });
    const b = edge('6.6.6.6:6346', REACHED, { edgeId: 'edge-1' });
    assert.equal(own.decide([b]).address, '6.6.6.6:6346');
    assert.equal(own.decide([a, b]).address, '6.6.6.6:6346');
    assert.equal(own.decide([a]).address, '5.5.5.5:6346', 'an equal one takes its place once it is gone');
  });

  it('is kept for an hour before a worse one takes its place, and for good while no edge lives', () => {
    own.decide([edge('5.5.5.5:6346', REACHED)]);
    assert.equal(own.decide([]).address, '5.5.5.5:6346');
    const worse = [edge('127.0.0.1:6346', DIALLED)];
    assert.equal(own.decide(worse).address, '5.5.5.5:6346');
    now += KEEP_ADDRESS_MS + 1;
    assert.equal(own.decide([]).address, '5.5.5.5:6346');
    assert.equal(own.decide(worse).address, '127.0.0.1:6346');
  });
});
