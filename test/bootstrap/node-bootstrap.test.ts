import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  EdgeSummary,
  edgesSummary,
  HostOutcome,
  hostsCandidates,
  hostsSeen,
  librarySummary,
  nodeFacts,
  nodeFactsRequest,
  ownAddressOf,
  OwnAddressSource,
  transfersSummary,
  TransfersSummary,
  type NodeFacts,
} from '@filbert/contracts';
import { createInProcessBus, createLogger, createMetrics, type Bus } from '@filbert/kit';
import { declareMetrics } from '../../services/bootstrap/src/metrics.ts';
import { NodeBootstrap, type NodeBootstrapOptions } from '../../services/bootstrap/src/node-bootstrap.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { turns } from '../support/frame-bench.ts';
import { waitFor } from '../support/wait-for.ts';

interface LogLine {
  level: number;
  msg: string;
  address?: string;
}

describe('bootstrap node', () => {
  let folder: string;
  let bus: Bus;
  let clock: FakeClock;
  let running: NodeBootstrap[];
  let log: LogLine[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'filbert-bootstrap-'));
    bus = createInProcessBus();
    clock = new FakeClock();
    running = [];
    log = [];
  });
  afterEach(async () => {
    for (const one of running) one.stop();
    await bus.drain();
    rmSync(folder, { recursive: true });
  });

  function start(options: Partial<NodeBootstrapOptions> = {}): NodeBootstrap {
    const destination = { write: (line: string) => void log.push(JSON.parse(line) as LogLine) };
    const bootstrap = new NodeBootstrap({
      bus,
      logger: createLogger({ level: 'info', name: 'test', destination }),
      data: join(folder, 'data'),
      connect: [],
      seeds: [],
      advertise: undefined,
      routerShards: 1,
      allowPrivate: false,
      now: () => clock.now(),
      timers: clock,
      ...options,
    });
    bootstrap.start();
    running.push(bootstrap);
    return bootstrap;
  }

  function stop(): void {
    for (const one of running.splice(0)) one.stop();
  }

  const facts = (): Promise<NodeFacts> => bus.request(nodeFactsRequest, {}, { timeoutMs: 1000 });
  const candidates = async (wanted = 16, configuredOnly = false): Promise<string[]> =>
    (await bus.request(hostsCandidates, { edgeId: 'edge-t', wanted, configuredOnly }, { timeoutMs: 1000 })).addresses;
  const seen = (address: string, outcome: HostOutcome): void =>
    void bus.publish(hostsSeen, { edgeId: 'edge-t', hosts: [{ address, outcome, ultrapeer: true }], votes: [] });

  it('is the same node after a restart, and another one in another folder', async () => {
    start();
    const first = await facts();
    assert.equal(first.serventGuid.length, 16);
    assert.deepEqual([first.serventGuid[8], first.serventGuid[15]], [0xff, 0], 'the marks of a modern servent');
    assert.equal(first.nodeSecret.length, 16);
    stop();
    start();
    const second = await facts();
    assert.deepEqual(Buffer.from(second.serventGuid), Buffer.from(first.serventGuid));
    assert.deepEqual(Buffer.from(second.nodeSecret), Buffer.from(first.nodeSecret));
    stop();
    start({ data: join(folder, 'other') });
    const other = await facts();
    assert.notDeepEqual(Buffer.from(other.serventGuid), Buffer.from(first.serventGuid));
    assert.notDeepEqual(Buffer.from(other.nodeSecret), Buffer.from(first.nodeSecret));
  });

  it('tells what it was told: shards, address and time of its start', async () => {
    start({ routerShards: 2, advertise: { host: '5.6.7.8', port: 7777 } });
    const { shards, shardMapVersion, advertisedAddress, startedAtMs, hosts } = await facts();
    assert.deepEqual(
      [shards, shardMapVersion, advertisedAddress, startedAtMs, hosts],
      [2, 1, '5.6.7.8:7777', clock.now(), []],
    );
    stop();
    start();
    assert.equal((await facts()).advertisedAddress, '');
  });

  it('publishes the facts when it starts and again when the hosts to hand out change', async () => {
    const published: NodeFacts[] = [];
    bus.subscribe(nodeFacts, (message) => published.push(message));
    start();
    await turns();
    assert.equal(published.length, 1);
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_CONNECTED);
    await turns();
    clock.advance(2_000);
    await turns();
    assert.deepEqual(
      published.map(({ hosts, version }) => [hosts, version]),
      [
        [[], 1],
        [['5.6.7.8:6346'], 2],
      ],
    );
    assert.deepEqual((await facts()).hosts, ['5.6.7.8:6346']);
  });

  it('hands out configured hosts and seeds, each once, and at most sixteen', async () => {
    const connect = Array.from({ length: 20 }, (_, i) => ({ host: `5.6.${i}.1`, port: 6346 }));
    start({ connect, seeds: ['9.9.9.9:6346'] });
    const first = await candidates(1000);
    const second = await candidates(1000);
    assert.equal(first.length, 16);
    assert.deepEqual(
      new Set([...first, ...second]),
      new Set([...connect.map(({ host, port }) => `${host}:${port}`), '9.9.9.9:6346']),
    );
    assert.equal(second.length, 5);
    assert.deepEqual(await candidates(), []);
  });

  it('hands out only configured hosts where no others are asked for', async () => {
    start({ connect: [{ host: '5.6.7.8', port: 6346 }], seeds: ['9.9.9.9:6346'] });
    assert.deepEqual(await candidates(16, true), ['5.6.7.8:6346']);
    assert.deepEqual(await candidates(16, true), []);
    assert.deepEqual(await candidates(16), ['9.9.9.9:6346']);
  });

  it('learns hosts from edges, and hands none out that an edge is linked to while that edge lives', async () => {
    start();
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    bus.publish(edgesSummary, {
      edgeId: 'edge-t',
      epoch: 1,
      stateNumber: 0,
      leaves: 0,
      ultrapeers: 1,
      maxLeaves: 1,
      maxUltrapeers: 1,
      ultrapeerAddresses: ['5.6.7.8:6346'],
      leafAddresses: [],
      draining: false,
      listenPort: 6346,
      ownAddress: '',
      ownAddressSource: 0,
      reached: false,
    });
    await turns();
    assert.deepEqual(await candidates(), []);
    clock.advance(3_501);
    assert.deepEqual(await candidates(), ['5.6.7.8:6346']);
  });

  it('tells metrics of its hosts by state, its facts, and who is heard of', async () => {
    const bootstrap = start({ seeds: ['9.9.9.9:6346'] });
    const metrics = createMetrics({ service: 'bootstrap', strict: true });
    declareMetrics(metrics, bootstrap);
    const value = async (name: string): Promise<number> => {
      const text = await metrics.registry.metrics();
      const line = text.split('\n').find((one) => one.startsWith(`filbert_bootstrap_${name} `));
      return Number(line?.split(' ').at(-1));
    };
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_CONNECTED);
    seen('6.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    seen('6.6.7.8:6346', HostOutcome.HOST_OUTCOME_UNREACHABLE);
    seen('7.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    bus.publish(librarySummary, { edgeId: 'library-0', files: 3, kib: 4 });
    bus.publish(transfersSummary, {
      workerId: 'transfers-0',
      internalAddress: '',
      publicAddress: '',
      uploads: 0,
      freeSlots: 1,
      draining: false,
    });
    bus.publish(edgesSummary, EdgeSummary.fromPartial({ edgeId: 'edge-t', epoch: 1, maxLeaves: 1, maxUltrapeers: 1 }));
    await turns();
    const states = async (): Promise<number[]> =>
      Promise.all(['untried', 'proven', 'failed', 'resting'].map((state) => value(`hosts{state="${state}"}`)));
    assert.deepEqual(await states(), [2, 0, 0, 2], 'who was just dialled is left alone');
    assert.deepEqual([await value('edges'), await value('library_parts'), await value('transfers_workers')], [1, 1, 1]);
    assert.ok((await value('facts_version')) > 1);
    clock.advance(16 * 60_000);
    assert.deepEqual(await states(), [2, 1, 1, 0]);
    assert.deepEqual([await value('edges'), await value('library_parts'), await value('transfers_workers')], [0, 0, 0]);
  });

  it('reads no more hosts of one report than one may hold', async () => {
    const bootstrap = start();
    const hosts = Array.from({ length: 2_000 }, (_, i) => ({
      address: `5.6.${i >> 8}.${i & 255}:6346`,
      outcome: HostOutcome.HOST_OUTCOME_LEARNED,
      ultrapeer: true,
    }));
    bus.publish(hostsSeen, { edgeId: 'edge-t', hosts, votes: [] });
    await turns();
    assert.equal(bootstrap.hosts?.size, 500);
  });

  it('tells as metrics what it refuses and forgets, by reason', async () => {
    const dropped = async (bootstrap: NodeBootstrap): Promise<Record<string, number>> => {
      const metrics = createMetrics({ service: 'bootstrap', strict: true });
      declareMetrics(metrics, bootstrap);
      const samples = (await metrics.registry.metrics()).matchAll(
        /^filbert_bootstrap_(\w+_(?:refused|forgotten)_total\S*) ([1-9]\d*)$/gm,
      );
      return Object.fromEntries(Array.from(samples, ([, name = '', value]) => [name, Number(value)]));
    };
    const host = (i: number): string => `5.${i >> 8}.${i & 255}.1`;
    const outcome = HostOutcome.HOST_OUTCOME_LEARNED;
    const first = start();
    assert.deepEqual(await dropped(first), {});
    const hosts = ['10.0.0.1', ...Array.from({ length: 501 }, (_, i) => host(i))];
    const votes = ['10.0.0.1', ...Array.from({ length: 102 }, (_, i) => host(i))];
    bus.publish(hostsSeen, {
      edgeId: 'edge-t',
      hosts: hosts.map((one) => ({ address: `${one}:6346`, outcome, ultrapeer: true })),
      votes: votes.map((voter) => ({ voter, address: '9.9.9.9' })),
    });
    for (let i = 0; i < 257; i++) {
      bus.publish(edgesSummary, EdgeSummary.fromPartial({ edgeId: `edge-${i}` }));
      bus.publish(librarySummary, { edgeId: `library-${i}`, files: 1, kib: 1 });
      const worker = { workerId: `transfers-${i}`, internalAddress: '', publicAddress: '', draining: false };
      bus.publish(transfersSummary, { ...worker, uploads: 0, freeSlots: 1 });
    }
    await turns();
    assert.deepEqual(await dropped(first), {
      'hosts_refused_total{reason="unusable"}': 1,
      'hosts_refused_total{reason="report-too-long"}': 2,
      'votes_refused_total{reason="unusable"}': 1,
      'votes_refused_total{reason="report-too-long"}': 3,
      'votes_forgotten_total{reason="full"}': 99 - 64,
      'summaries_refused_total{kind="edge"}': 1,
      'summaries_refused_total{kind="library"}': 1,
      'summaries_refused_total{kind="transfers"}': 1,
    });
    stop();
    clock.advance(8 * 24 * 3_600_000);
    assert.deepEqual(await dropped(start()), { 'hosts_forgotten_total{reason="age"}': 499 });
  });

  it('keeps the hosts that it learned over a restart', async () => {
    start();
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    await turns();
    stop();
    start();
    assert.deepEqual(await candidates(), ['5.6.7.8:6346']);
  });

  it('saves the hosts that it learned every 5 s, for the next start after one that was killed', async () => {
    start();
    const saved = (): string[] => {
      const reader = new DatabaseSync(join(folder, 'data', 'bootstrap.sqlite'), { readOnly: true });
      const rows = reader.prepare('SELECT address FROM hosts ORDER BY address').all();
      reader.close();
      return rows.map(({ address }) => String(address));
    };
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    await turns();
    clock.advance(4_999);
    assert.deepEqual(saved(), []);
    clock.advance(1);
    assert.deepEqual(saved(), ['5.6.7.8:6346']);
    seen('6.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    await turns();
    clock.advance(5_000);
    assert.deepEqual(saved(), ['5.6.7.8:6346', '6.6.7.8:6346']);
    stop();
    assert.equal(clock.pending, 0);
  });

  it('says which hosts of its settings it does not use', () => {
    const bootstrap = start({
      connect: [
        { host: '10.0.0.1', port: 6346 },
        { host: '5.6.7.8', port: 6346 },
      ],
      seeds: ['127.0.0.1:6346'],
    });
    assert.deepEqual(
      log.filter(({ msg }) => msg.startsWith('not used:')).map(({ address }) => address),
      ['10.0.0.1:6346', '127.0.0.1:6346'],
    );
    assert.equal(bootstrap.hosts?.size, 1);
  });

  describe('own address', () => {
    const tell = (ownAddress: string, changes: Partial<EdgeSummary> = {}): void =>
      void bus.publish(
        edgesSummary,
        EdgeSummary.fromPartial({
          edgeId: 'edge-t',
          listenPort: 6346,
          ownAddress,
          ownAddressSource: OwnAddressSource.OWN_ADDRESS_SOURCE_REACHED,
          reached: true,
          ...changes,
        }),
      );

    it('is learned from an edge, told at once, and never dialled', async () => {
      start();
      const before = await facts();
      assert.deepEqual([before.learnedAddress, before.firewalled], ['', true]);
      tell('5.5.5.5:6346');
      seen('5.5.5.5:6346', HostOutcome.HOST_OUTCOME_LEARNED);
      await turns();
      const after = await facts();
      assert.deepEqual([after.learnedAddress, after.firewalled, after.version], ['5.5.5.5:6346', false, 2]);
      assert.deepEqual(await candidates(), []);
    });

    it('is not taken from the edges inside the node, which no peer dials', async () => {
      start();
      tell('5.5.5.5:6346', { edgeId: 'library', listenPort: 0 });
      await turns();
      assert.equal((await facts()).learnedAddress, '');
    });

    it('is believed of peers once three networks agree', async () => {
      start();
      tell('', { reached: false });
      const vote = (network: number): void =>
        void bus.publish(hostsSeen, {
          edgeId: 'edge-t',
          hosts: [],
          votes: [{ voter: `5.6.${network}.1`, address: '9.9.9.9' }],
        });
      for (const network of [1, 2]) vote(network);
      tell('', { reached: false });
      await turns();
      assert.equal((await facts()).learnedAddress, '');
      vote(3);
      tell('', { reached: false });
      await turns();
      const { learnedAddress, learnedFrom, firewalled } = await facts();
      assert.deepEqual(
        [learnedAddress, learnedFrom, firewalled],
        ['9.9.9.9:6346', OwnAddressSource.OWN_ADDRESS_SOURCE_PEERS, true],
      );
    });

    it('that the operator advertises wins over what is learned', async () => {
      const bootstrap = start({ advertise: { host: '5.6.7.8', port: 7777 } });
      tell('5.5.5.5:6346', { reached: false });
      await turns();
      const told = await facts();
      assert.deepEqual([told.advertisedAddress, told.learnedAddress], ['5.6.7.8:7777', '5.5.5.5:6346']);
      assert.equal(told.firewalled, false);
      assert.deepEqual(ownAddressOf(told), { host: '5.6.7.8', port: 7777 });
      assert.equal(bootstrap.facts?.version, told.version);
    });
  });

  describe('address of transfers', () => {
    const tell = (publicAddress: string, changes: Partial<TransfersSummary> = {}): void =>
      void bus.publish(
        transfersSummary,
        TransfersSummary.fromPartial({ workerId: 'transfers-0', publicAddress, ...changes }),
      );

    it('is that of a worker with a port of its own, until that drains', async () => {
      start();
      tell('', { workerId: 'transfers-1' });
      tell('5.6.7.8:7000');
      await turns();
      assert.equal((await facts()).transfersAddress, '5.6.7.8:7000');
      tell('5.6.7.8:7000', { draining: true });
      await turns();
      assert.equal((await facts()).transfersAddress, '');
    });

    it('has the host that peers reach the node at where the worker listens on all', async () => {
      start();
      tell('0.0.0.0:7000');
      await turns();
      assert.equal((await facts()).transfersAddress, '');
      stop();
      start({ advertise: { host: '5.6.7.8', port: 6346 } });
      tell('0.0.0.0:7000');
      const told = await waitFor('the address', async () => (await facts()).transfersAddress || undefined);
      assert.equal(told, '5.6.7.8:7000');
    });
  });

  describe('names in its settings', () => {
    it('are looked up: localhost for a link to keep, a seed and the address to advertise', async () => {
      const localhost = { host: 'localhost', port: 6346 };
      start({
        connect: [localhost],
        seeds: ['localhost:7000'],
        advertise: { host: 'localhost', port: 8000 },
        allowPrivate: true,
      });
      const { advertisedAddress } = await waitFor('the name', async () => {
        const told = await facts();
        return told.advertisedAddress === '' ? undefined : told;
      });
      assert.match(advertisedAddress, /^(127\.0\.0\.1|\[::1\]):8000$/);
      const hosts = await waitFor('the hosts', () => {
        const known = [...(running[0]?.hosts?.all() ?? [])];
        return known.some(({ source }) => source === 'configured') && known.some(({ source }) => source === 'seed')
          ? known
          : undefined;
      });
      const configured = hosts.filter(({ source }) => source === 'configured').map(({ address }) => address);
      assert.equal(configured.length, 1, 'one servent, whatever addresses its name has');
      assert.match(String(configured[0]), /^(127\.0\.0\.1|\[::1\]):6346$/);
    });

    it('that stand for private addresses are not used unless these are allowed, and that is said', async () => {
      start({ connect: [{ host: 'localhost', port: 6346 }], advertise: { host: 'localhost', port: 6346 } });
      await waitFor(
        'the warnings',
        () => log.filter(({ msg }) => /^not used:.*--allow-private/.test(msg)).length === 2,
      );
      assert.deepEqual([running[0]?.hosts?.size, (await facts()).advertisedAddress], [0, '']);
    });
  });

  describe('with a folder that it cannot use', () => {
    it('says so where the folder is a file', () => {
      writeFileSync(join(folder, 'file'), '');
      assert.throws(() => start({ data: join(folder, 'file') }), /^Error: cannot use .*bootstrap\.sqlite: .*--data/);
    });

    it('says so where its file is something else', () => {
      mkdirSync(join(folder, 'data'));
      writeFileSync(join(folder, 'data', 'bootstrap.sqlite'), 'this is not a database, but a letter'.repeat(50));
      assert.throws(() => start(), /^Error: cannot use .*bootstrap\.sqlite: file is not a database/);
    });

    it('says so where its file is of another program or a newer version', () => {
      mkdirSync(join(folder, 'data'));
      const file = join(folder, 'data', 'bootstrap.sqlite');
      const foreign = new DatabaseSync(file);
      foreign.exec('PRAGMA user_version = 1');
      foreign.close();
      assert.throws(() => start(), /^Error: cannot use the identity and hosts in .*: no such table/);
      const newer = new DatabaseSync(file);
      newer.exec('PRAGMA user_version = 99');
      newer.close();
      assert.throws(() => start(), /newer Filbert/);
    });
  });

  it('goes on where its hosts cannot be saved, says so once, and says when they can be again', async () => {
    const bootstrap = start();
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    await turns();
    // Somebody takes the table away and brings it back: every save between fails.
    const other = new DatabaseSync(join(folder, 'data', 'bootstrap.sqlite'));
    other.exec('ALTER TABLE hosts RENAME TO away');
    bootstrap.save();
    bootstrap.save();
    const errors = (): string[] => log.filter(({ level }) => level >= 50).map(({ msg }) => msg);
    assert.deepEqual(errors(), ['known hosts cannot be saved; will try again']);
    assert.deepEqual(await candidates(), ['5.6.7.8:6346']);
    other.exec('ALTER TABLE away RENAME TO hosts');
    bootstrap.save();
    assert.ok(log.some(({ msg }) => msg === 'known hosts can be saved again'));
    const row = other.prepare('SELECT address FROM hosts').get();
    assert.equal(row?.['address'], '5.6.7.8:6346');
    other.close();
    assert.equal(errors().length, 1);
  });

  it('ends in order where its hosts cannot be saved', async () => {
    start();
    seen('5.6.7.8:6346', HostOutcome.HOST_OUTCOME_LEARNED);
    await turns();
    const other = new DatabaseSync(join(folder, 'data', 'bootstrap.sqlite'));
    other.exec('DROP TABLE hosts');
    other.close();
    stop();
    assert.ok(log.some(({ msg }) => msg.startsWith('known hosts cannot be saved')));
  });
});
