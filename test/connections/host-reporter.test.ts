import assert from 'node:assert/strict';
import { HostOutcome, hostsSeen, type HostsSeen } from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import {
  HostReporter,
  MAX_HOSTS_PER_REPORT,
  MAX_VOTES_PER_REPORT,
} from '../../services/connections/src/host-reporter.ts';
import { EDGE_ID, turns } from '../support/frame-bench.ts';

const { HOST_OUTCOME_LEARNED: LEARNED, HOST_OUTCOME_REFUSED: REFUSED } = HostOutcome;

describe('connections host reporter', () => {
  let bus: Bus;
  let reports: HostsSeen[];

  beforeEach(() => {
    bus = createInProcessBus();
    reports = [];
    bus.subscribe(hostsSeen, (report) => reports.push(report));
  });
  afterEach(() => bus.drain());

  it('tells what was noted in one message, each address and outcome once, and then nothing', async () => {
    const reporter = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: false });
    reporter.note(' 5.6.7.8:6346', LEARNED, true);
    reporter.note('5.6.7.8:6346', LEARNED, true);
    reporter.note('5.6.7.8:6346', REFUSED, true);
    reporter.note('[2001:470::1]:6346', LEARNED, false);
    reporter.flush();
    reporter.flush();
    await turns();
    assert.deepEqual(reports, [
      {
        edgeId: EDGE_ID,
        hosts: [
          { address: '5.6.7.8:6346', outcome: LEARNED, ultrapeer: true },
          { address: '5.6.7.8:6346', outcome: REFUSED, ultrapeer: true },
          { address: '[2001:470::1]:6346', outcome: LEARNED, ultrapeer: false },
        ],
        votes: [],
      },
    ]);
  });

  it('tells what peers see us as, one word a network, but not what no peer could dial', async () => {
    const reporter = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: false });
    reporter.vote('5.6.7.8', '10.0.0.1');
    reporter.vote('5.6.7.8', 'example.org');
    reporter.flush();
    reporter.vote('5.6.7.8', '9.9.9.8');
    reporter.vote('5.6.7.9', '9.9.9.9');
    reporter.vote('2001:470::1', '9.9.9.9');
    reporter.flush();
    reporter.flush();
    await turns();
    assert.deepEqual(
      reports.map(({ votes }) => votes),
      [
        [
          { voter: '5.6.7.9', address: '9.9.9.9' },
          { voter: '2001:470::1', address: '9.9.9.9' },
        ],
      ],
    );
  });

  it('keeps the word of a bounded number of networks between two messages', async () => {
    const reporter = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: false });
    for (let i = 0; i < MAX_VOTES_PER_REPORT + 10; i++) reporter.vote(`5.6.${i}.1`, '9.9.9.9');
    reporter.flush();
    await turns();
    assert.equal(reports[0]?.votes.length, MAX_VOTES_PER_REPORT);
  });

  it('tells no address that is no peer’s, and private ones only where they are allowed', async () => {
    const bad = ['', 'example.org:6346', '5.6.7.8', '5.6.7.8:0', '5.6.7.8:25', '0.0.0.0:6346', '255.255.255.255:6346'];
    const privates = ['127.0.0.1:6346', '10.1.2.3:6346', '192.168.1.1:6346', '[fe80::1]:6346'];
    const strict = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: false });
    for (const address of [...bad, ...privates]) strict.note(address, LEARNED, true);
    strict.flush();
    const closed = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: true });
    for (const address of [...bad, ...privates]) closed.note(address, LEARNED, true);
    closed.flush();
    await turns();
    assert.deepEqual(
      reports.map(({ hosts }) => hosts.map(({ address }) => address)),
      [privates],
    );
    assert.deepEqual([strict.refused, closed.refused], [bad.length + privates.length, bad.length]);
  });

  it('keeps a bounded number between two messages and drops what comes behind', async () => {
    const reporter = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: false });
    for (let i = 0; i < MAX_HOSTS_PER_REPORT + 10; i++) reporter.note(`5.6.${i >> 8}.${i & 255}:6346`, LEARNED, true);
    reporter.note('5.6.0.1:6346', LEARNED, false);
    reporter.flush();
    await turns();
    assert.equal(reports[0]?.hosts.length, MAX_HOSTS_PER_REPORT);
    assert.equal(reporter.refused, 10);
  });

  it('does the same with what peers see us as, and counts likewise what can be nobody’s address', async () => {
    const reporter = new HostReporter({ bus, edgeId: EDGE_ID, allowPrivate: false });
    for (let i = 0; i < MAX_VOTES_PER_REPORT + 10; i++) reporter.vote(`5.6.${i}.1`, '9.9.9.9');
    reporter.vote('5.6.0.2', '8.8.8.8');
    for (const bad of ['10.0.0.1', '', 'example.org']) reporter.vote('5.7.0.1', bad);
    reporter.flush();
    await turns();
    assert.equal(reports[0]?.votes.length, MAX_VOTES_PER_REPORT);
    assert.equal(reporter.votesRefused, 10 + 3);
  });
});
