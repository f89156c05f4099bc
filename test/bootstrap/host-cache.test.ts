import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostOutcome } from '@filbert/contracts';
import { openDatabase } from '../../services/bootstrap/src/database.ts';
import { HostCache, MAX_HOSTS, type Host } from '../../services/bootstrap/src/host-cache.ts';
import { FakeClock } from '../support/fake-clock.ts';

const {
  HOST_OUTCOME_LEARNED: LEARNED,
  HOST_OUTCOME_CONNECTED: CONNECTED,
  HOST_OUTCOME_REFUSED: REFUSED,
  HOST_OUTCOME_UNREACHABLE: UNREACHABLE,
  HOST_OUTCOME_INCOMPATIBLE: INCOMPATIBLE,
} = HostOutcome;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

describe('bootstrap host cache', () => {
  let folder: string;
  let database: DatabaseSync;
  let clock: FakeClock;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-hosts-'));
    database = openDatabase(folder);
    clock = new FakeClock();
  });
  afterEach(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });

  function cacheOf(options: { allowPrivate?: boolean } = {}): HostCache {
    return new HostCache({ database, allowPrivate: options.allowPrivate ?? false, now: () => clock.now() });
  }

  /** A host of its own network. */
  function address(i: number): string {
    return `5.${i >> 8}.${i & 255}.1:6346`;
  }

  function find(cache: HostCache, wanted: string): Host | undefined {
    return [...cache.all()].find((host) => host.address === wanted);
  }

  function lease(cache: HostCache, wanted = 16): string[] {
    return cache.lease(wanted, () => false);
  }

  /** How long it takes until the host is handed out again, to the minute. */
  function restOf(cache: HostCache, wanted: string): number {
    for (let minutes = 0; minutes <= 3 * 24 * 60; minutes++) {
      if (lease(cache).includes(wanted)) return minutes * MINUTE_MS;
      clock.advance(MINUTE_MS);
    }
    return Infinity;
  }

  it('keeps a host once, in canonical form', () => {
    const cache = cacheOf();
    assert.ok(cache.add(' 5.6.7.8:6346 ', 'peer', false));
    assert.ok(cache.add('5.6.7.8:6346', 'peer', true));
    assert.ok(cache.add('[2001:0470::1]:6346', 'peer', true));
    assert.ok(cache.add('[2001:470:0::0:1]:6346', 'peer', true));
    assert.deepEqual(
      [...cache.all()].map((host) => [host.address, host.ultrapeer]),
      [
        ['5.6.7.8:6346', true],
        ['[2001:470::1]:6346', true],
      ],
    );
  });

  it('takes no address that is no peer’s, whoever names it, and private ones only where they are allowed', () => {
    const hostile = [
      '',
      'rubbish',
      'example.org:6346',
      '5.6.7.8',
      '5.6.7.8:0',
      '5.6.7.8:70000',
      '5.6.7.8:25',
      '0.0.0.0:6346',
      '127.0.0.0:6346',
      '224.0.0.1:6346',
      '255.255.255.255:6346',
      '[::]:6346',
      '[ff02::1]:6346',
      '5.6.7.8:6346 5.6.7.9:6346',
      `${'9'.repeat(5000)}:1`,
    ];
    const privates = ['127.0.0.1:6346', '10.0.0.1:6346', '192.168.0.1:6346', '[::1]:6346'];
    const cache = cacheOf();
    for (const one of [...hostile, ...privates]) {
      assert.equal(cache.add(one, 'operator', true), false, one);
      cache.note(one, LEARNED, true);
      cache.note(one, CONNECTED, true);
    }
    assert.equal(cache.size, 0);
    // A host that is told as learned or linked is one that may be added.
    assert.deepEqual(cache.refused, { unusable: 3 * (hostile.length + privates.length), 'no-room': 0 });
    const closed = cacheOf({ allowPrivate: true });
    for (const one of privates) assert.ok(closed.add(one, 'peer', true), one);
    for (const one of hostile) assert.ok(!closed.add(one, 'peer', true), one);
  });

  it('holds a bounded number, and then forgets the half that was seen longest ago, but none that is configured', () => {
    const cache = cacheOf();
    cache.add('9.9.9.9:6346', 'configured', true);
    cache.add('9.9.9.8:6346', 'seed', true);
    for (let i = 0; i < MAX_HOSTS - 2; i++) {
      clock.advance(1);
      cache.add(address(i), 'peer', true);
    }
    assert.equal(cache.size, MAX_HOSTS);
    clock.advance(1);
    cache.add(address(0), 'peer', true);
    assert.equal(cache.size, MAX_HOSTS, 'one that is known needs no room');
    assert.ok(cache.add(address(MAX_HOSTS), 'peer', true));
    assert.equal(cache.size, MAX_HOSTS / 2 + 1);
    for (const kept of ['9.9.9.9:6346', '9.9.9.8:6346', address(0), address(MAX_HOSTS - 3), address(MAX_HOSTS)]) {
      assert.ok(find(cache, kept), kept);
    }
    assert.equal(find(cache, address(1)), undefined);
    assert.deepEqual(cache.forgotten, { full: MAX_HOSTS / 2, age: 0 });
  });

  it('keeps those that took a connection when somebody tells of any number of others', () => {
    const cache = cacheOf();
    cache.add(address(0), 'peer', true);
    cache.note(address(0), HostOutcome.HOST_OUTCOME_CONNECTED, true);
    for (let i = 1; i < 3 * MAX_HOSTS; i++) {
      clock.advance(1);
      cache.add(address(i), 'peer', true);
    }
    assert.ok(find(cache, address(0)));
  });

  it('counts those for which there is no room because all others must stay', () => {
    const cache = cacheOf();
    for (let i = 0; i < MAX_HOSTS; i++) cache.add(address(i), 'configured', true);
    assert.equal(cache.add(address(MAX_HOSTS), 'peer', true), false);
    assert.deepEqual(
      [cache.refused, cache.forgotten],
      [
        { unusable: 0, 'no-room': 1 },
        { full: 0, age: 0 },
      ],
    );
  });

  it('holds no more than that of hosts that an operator adds either', () => {
    const cache = cacheOf();
    for (let i = 0; i < MAX_HOSTS + 10; i++) cache.add(address(i), 'operator', true);
    assert.ok(cache.size <= MAX_HOSTS);
  });

  describe('lease', () => {
    it('hands a host out once, and again after two minutes', () => {
      const cache = cacheOf();
      cache.add('5.6.7.8:6346', 'peer', true);
      assert.deepEqual(lease(cache), ['5.6.7.8:6346']);
      clock.advance(2 * MINUTE_MS - 1);
      assert.deepEqual(lease(cache), []);
      clock.advance(1);
      assert.deepEqual(lease(cache), ['5.6.7.8:6346']);
    });

    it('hands out as many as are wanted, and none that is connected or no ultrapeer', () => {
      const cache = cacheOf();
      for (let i = 0; i < 10; i++) cache.add(address(i), 'peer', i !== 3);
      assert.deepEqual(
        cache.lease(0, () => false),
        [],
      );
      assert.deepEqual(
        cache.lease(-1, () => false),
        [],
      );
      const first = cache.lease(4, (one) => one === address(5));
      const second = cache.lease(40, (one) => one === address(5));
      assert.equal(first.length, 4);
      const all = [...first, ...second];
      assert.equal(new Set(all).size, 8);
      assert.ok(!all.includes(address(3)) && !all.includes(address(5)));
    });

    it('prefers configured hosts, then proven ones, then seeds, then others, the latest seen first', () => {
      const cache = cacheOf();
      const [peer, older, seed, proven, failed, configured] = [1, 2, 3, 4, 5, 6].map(address) as [
        string,
        string,
        string,
        string,
        string,
        string,
      ];
      cache.add(older, 'peer', true);
      cache.add(proven, 'peer', true);
      cache.note(proven, CONNECTED, true);
      cache.add(failed, 'peer', true);
      cache.note(failed, UNREACHABLE, true);
      clock.advance(30 * MINUTE_MS);
      cache.add(seed, 'seed', true);
      cache.add(peer, 'peer', true);
      cache.add(configured, 'configured', true);
      assert.deepEqual(lease(cache), [configured, proven, seed, peer, older, failed]);
    });

    it('hands out a second one of a network only where no other network is left', () => {
      const cache = cacheOf();
      const crowd = ['5.6.7.1:6346', '5.6.7.2:6346', '5.6.7.3:6346'];
      cache.add('9.9.9.9:6346', 'peer', true);
      clock.advance(1);
      for (const host of crowd) cache.add(host, 'peer', true);
      const [first, ...others] = lease(cache, 3);
      assert.ok(first !== undefined && crowd.includes(first), 'the one seen last');
      assert.equal(others[0], '9.9.9.9:6346');
      assert.ok(others[1] !== undefined && crowd.includes(others[1]) && others[1] !== first);
    });

    it('hands out at most two of one network at once, but all that are configured', () => {
      const cache = cacheOf();
      for (let i = 1; i <= 5; i++) {
        cache.add(`5.6.7.${i}:6346`, 'peer', true);
        cache.add(`[2001:470::${i}]:6346`, 'peer', true);
        cache.add(`5.6.8.${i}:6346`, 'configured', true);
      }
      const leased = lease(cache);
      assert.equal(leased.filter((one) => one.startsWith('5.6.7.')).length, 2);
      assert.equal(leased.filter((one) => one.startsWith('[')).length, 2);
      assert.equal(leased.filter((one) => one.startsWith('5.6.8.')).length, 5);
    });

    it('does not apply that to private addresses where these are allowed', () => {
      const cache = cacheOf({ allowPrivate: true });
      for (let i = 1; i <= 5; i++) cache.add(`127.0.0.1:${7000 + i}`, 'seed', true);
      for (let i = 1; i <= 5; i++) cache.add(`5.6.7.${i}:6346`, 'seed', true);
      assert.equal(lease(cache).length, 7);
    });
  });

  describe('rest after a dial', () => {
    const host = '5.6.7.8:6346';
    const cases: [string, HostOutcome, number][] = [
      ['that nobody answered: 15 minutes', UNREACHABLE, 15 * MINUTE_MS],
      ['that was refused: half an hour', REFUSED, 30 * MINUTE_MS],
      ['that met something else than a peer: a day', INCOMPATIBLE, DAY_MS],
      ['that led to a link: two minutes, for links end', CONNECTED, 2 * MINUTE_MS],
    ];
    for (const [name, outcome, restMs] of cases) {
      it(name, () => {
        const cache = cacheOf();
        cache.add(host, 'peer', true);
        lease(cache);
        cache.note(host, outcome, true);
        assert.equal(restOf(cache, host), restMs);
      });
    }

    it('of a configured host grows from two seconds to a minute, and starts anew with a link', () => {
      const cache = cacheOf();
      cache.add(host, 'configured', true);
      const seconds = (): number => {
        for (let waited = 0; ; waited++) {
          if (lease(cache).includes(host)) return waited;
          clock.advance(1000);
          assert.ok(waited < 100);
        }
      };
      const rests: number[] = [];
      for (let i = 0; i < 7; i++) {
        cache.note(host, i % 2 === 0 ? UNREACHABLE : REFUSED, true);
        rests.push(seconds());
      }
      assert.deepEqual(rests, [2, 4, 8, 16, 32, 60, 60]);
      cache.note(host, CONNECTED, true);
      assert.equal(seconds(), 0);
      cache.note(host, UNREACHABLE, true);
      assert.equal(seconds(), 2);
    });

    it('is no longer due when an operator names the host', () => {
      const cache = cacheOf();
      cache.add(host, 'peer', true);
      cache.note(host, INCOMPATIBLE, true);
      cache.add(host, 'operator', true);
      assert.deepEqual(lease(cache), [host]);
    });

    it('of a host that nobody knows is nothing to keep, but a link to one is', () => {
      const cache = cacheOf();
      cache.note(host, UNREACHABLE, true);
      assert.equal(cache.size, 0);
      cache.note(host, CONNECTED, true);
      assert.deepEqual(cache.best(5), [host]);
      assert.equal(cache.proven, 1);
    });
  });

  it('names the hosts that were linked to, the latest first, and none that failed since', () => {
    const cache = cacheOf();
    for (let i = 0; i < 6; i++) {
      cache.note(address(i), CONNECTED, true);
      clock.advance(1000);
    }
    cache.note(address(4), UNREACHABLE, true);
    cache.note(address(9), LEARNED, true);
    assert.deepEqual(cache.best(3), [address(5), address(3), address(2)]);
    assert.equal(cache.proven, 5);
  });

  describe('on disk', () => {
    it('hosts outlive a restart with what is known of them; who is configured is told anew', () => {
      const before = cacheOf();
      before.add(address(1), 'configured', true);
      before.add(address(2), 'seed', true);
      before.note(address(3), CONNECTED, true);
      before.add(address(4), 'peer', false);
      before.add(address(5), 'peer', true);
      before.note(address(5), UNREACHABLE, true);
      before.save();
      clock.advance(MINUTE_MS);
      const after = cacheOf();
      const told = (cache: HostCache): unknown[] =>
        [...cache.all()].sort((a, b) => (a.address < b.address ? -1 : 1)).map((host) => ({ ...host, source: '' }));
      assert.deepEqual(told(after), told(before));
      assert.deepEqual(
        [1, 2, 3].map((i) => find(after, address(i))?.source),
        ['peer', 'seed', 'peer'],
      );
    });

    it('writes only what changed, and what was forgotten is gone', () => {
      const cache = cacheOf();
      for (let i = 0; i < MAX_HOSTS; i++) cache.add(address(i), 'peer', true);
      cache.save();
      const count = (): number => Number(database.prepare('SELECT count(*) AS n FROM hosts').get()?.['n']);
      assert.equal(count(), MAX_HOSTS);
      clock.advance(1);
      cache.add(address(MAX_HOSTS), 'peer', true);
      cache.save();
      assert.equal(count(), MAX_HOSTS / 2 + 1);
      database.exec('DELETE FROM hosts');
      cache.save();
      assert.equal(count(), 0, 'nothing changed');
      cache.add(address(MAX_HOSTS), 'peer', true);
      cache.save();
      assert.equal(count(), 1);
    });

    it('forgets hosts that were not seen for a week', () => {
      const cache = cacheOf();
      cache.add(address(1), 'peer', true);
      clock.advance(6 * DAY_MS);
      cache.add(address(2), 'peer', true);
      cache.save();
      clock.advance(DAY_MS + 1);
      assert.deepEqual(
        [...cacheOf().all()].map((host) => host.address),
        [address(2)],
      );
    });

    it('does not believe times that are yet to come: no host is immortal, none out of reach', () => {
      const cache = cacheOf();
      const now = clock.now();
      clock.setWallClock(now + 3650 * DAY_MS);
      cache.note(address(1), CONNECTED, true);
      cache.note(address(1), INCOMPATIBLE, true);
      cache.save();
      clock.setWallClock(now);
      const after = cacheOf();
      const host = find(after, address(1));
      assert.ok(host);
      assert.ok([host.lastSeenMs, host.lastConnectedMs, host.lastTriedMs].every((at) => at <= clock.now()));
      clock.advance(30 * MINUTE_MS);
      assert.deepEqual(lease(after), [address(1)]);
    });

    it('does not take what must not be taken from a peer out of the file either', () => {
      const put = database.prepare('INSERT INTO hosts VALUES (?, 1, ?, ?, 0, 0, 0, 0)');
      for (const bad of ['127.0.0.1:6346', 'rubbish', '5.6.7.8:25']) put.run(bad, 'configured', clock.now());
      put.run(address(1), 'nonsense', clock.now());
      assert.deepEqual(
        [...cacheOf().all()].map(({ address, source }) => [address, source]),
        [[address(1), 'peer']],
      );
    });

    it('keeps what a full disk did not take, goes on, and writes it when there is room', () => {
      const cache = cacheOf();
      const pages = Number(database.prepare('PRAGMA page_count').get()?.['page_count']);
      database.exec(`PRAGMA max_page_count = ${pages}`);
      for (let i = 0; i < 2000; i++) cache.add(address(i), 'peer', true);
      assert.throws(() => cache.save(), /full/);
      assert.throws(() => cache.save(), /full/);
      assert.equal(cacheOf().size, 0, 'nothing half written');
      assert.equal(lease(cache).length, 16);
      cache.add(address(2000), 'peer', true);
      database.exec('PRAGMA max_page_count = 1000000');
      cache.save();
      assert.equal(cacheOf().size, 2001);
    });
  });
});
