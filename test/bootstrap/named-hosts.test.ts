import assert from 'node:assert/strict';
import { formatPeerAddress } from '@filbert/gnutella';
import { createLogger } from '@filbert/kit';
import {
  LOOKUP_TIMEOUT_MS,
  MAX_ADDRESSES_PER_NAME,
  MAX_LOOKUPS,
  NamedHosts,
  REFRESH_LOOKUP_MS,
  RETRY_LOOKUP_MS,
  type LookUp,
} from '../../services/bootstrap/src/named-hosts.ts';
import { turns } from '../support/frame-bench.ts';
import { waitFor } from '../support/wait-for.ts';

const FAILED = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });

describe('bootstrap named hosts', () => {
  let now: number;
  let asked: string[];
  let answers: Map<string, readonly string[] | 'never'>;
  let log: { msg: string; problem?: string }[];
  let told: string[];
  let names: NamedHosts;

  const lookUp: LookUp = (name) => {
    asked.push(name);
    const answer = answers.get(name);
    if (answer === 'never') return new Promise(() => undefined);
    if (answer === undefined) return Promise.reject(FAILED);
    return Promise.resolve(answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
  };

  beforeEach(() => {
    now = 1_700_000_000_000;
    asked = [];
    answers = new Map();
    log = [];
    told = [];
    const destination = { write: (line: string) => void log.push(JSON.parse(line) as { msg: string }) };
    const logger = createLogger({ level: 'info', name: 'test', destination });
    names = new NamedHosts({ logger, allowPrivate: false, now: () => now, lookUp });
  });
  afterEach(() => names.stop());

  const follow = (host: string): void =>
    names.add({ host, port: 6346 }, '--connect', (found) => void told.push(found.map(formatPeerAddress).join()));

  async function tick(): Promise<void> {
    names.tick();
    await turns(3);
  }

  it('that are addresses are told as they are and never looked up', async () => {
    follow('5.6.7.8');
    follow('2001:0470::1');
    assert.deepEqual(told, ['5.6.7.8:6346', '[2001:470::1]:6346']);
    await tick();
    assert.deepEqual(asked, []);
  });

  it('are looked up again after a while, and told again where they moved', async () => {
    follow('example.org');
    answers.set('example.org', ['5.6.7.8']);
    await tick();
    await tick();
    assert.deepEqual([told, asked.length], [['5.6.7.8:6346'], 1]);
    answers.set('example.org', ['5.6.7.9']);
    now += REFRESH_LOOKUP_MS;
    await tick();
    assert.deepEqual(told, ['5.6.7.8:6346', '5.6.7.9:6346']);
    assert.equal(log.filter(({ msg }) => msg === 'name looked up').length, 2);
  });

  it('that cannot be looked up are tried again, and a sentence says so once', async () => {
    follow('example.org');
    for (let i = 0; i < 3; i++) {
      await tick();
      now += RETRY_LOOKUP_MS;
    }
    assert.equal(asked.length, 3);
    assert.deepEqual(
      log.map(({ msg, problem }) => [msg, problem]),
      [['the name cannot be looked up: tried again every 30 s', 'ENOTFOUND']],
    );
    answers.set('example.org', ['5.6.7.8']);
    await tick();
    assert.deepEqual(told, ['5.6.7.8:6346']);
  });

  it('have a bounded number of addresses, IPv4 first, and none that is no peer’s', async () => {
    follow('example.org');
    answers.set('example.org', [
      '10.0.0.1',
      '127.0.0.1',
      '2001:470::1',
      ...Array.from({ length: 20 }, (_, i) => `5.6.7.${i}`),
    ]);
    await tick();
    const addresses = String(told[0]).split(',');
    assert.equal(addresses.length, MAX_ADDRESSES_PER_NAME);
    assert.deepEqual([addresses[0], addresses.at(-1)], ['5.6.7.0:6346', '[2001:470::1]:6346']);
  });

  it('that the resolver is silent about fail in time, and hold up no more than their share of look-ups', async function () {
    this.timeout(LOOKUP_TIMEOUT_MS + 5_000);
    for (const host of ['a.org', 'b.org', 'c.org']) {
      answers.set(host, 'never');
      follow(host);
    }
    await tick();
    assert.equal(asked.length, MAX_LOOKUPS);
    await waitFor('the warnings', () => log.length === MAX_LOOKUPS, LOOKUP_TIMEOUT_MS + 2_000);
    assert.equal(log[0]?.problem, 'no answer in time');
    now += RETRY_LOOKUP_MS;
    await tick();
    assert.equal(asked.length, MAX_LOOKUPS, 'a look-up that cannot be taken back is not begun twice');
  });
});
