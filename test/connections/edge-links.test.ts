import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import {
  edgesPoll,
  edgesSummary,
  EdgeSummary,
  HostOutcome,
  hostsCandidates,
  LinkCapability,
  hostsSeen,
  LinkKind,
  mergedTableRequest,
  OwnAddressSource,
  packed,
  ReplayMark,
  type AddressVote,
} from '@filbert/contracts';
import { createMetrics } from '@filbert/kit';
import type { EdgeOptions } from '../../services/connections/src/edge.ts';
import { declareMetrics } from '../../services/connections/src/metrics.ts';
import { EDGE_EPOCH, EdgeHarness } from '../support/edge-harness.ts';
import { turns } from '../support/frame-bench.ts';
import { RawPeer, type RawListenOptions } from '../support/raw-peer.ts';
import type { RawPeerServer } from '../support/raw-peer-server.ts';
import { queryPayload, randomGuid, RAW_DESCRIPTOR, type RawFrame } from '../support/raw-wire.ts';
import { waitFor } from '../support/wait-for.ts';

const OUTCOME_NAMES = new Map<number, string>(
  Object.entries(HostOutcome).map(([name, value]) => [Number(value), name]),
);

function queryFrame(changes: Partial<RawFrame> = {}): RawFrame {
  const payload = queryPayload({ text: 'some words' });
  return { guid: randomGuid(), descriptor: RAW_DESCRIPTOR.query, ttl: 2, hops: 1, payload, ...changes };
}

describe('connections edge', () => {
  let harness: EdgeHarness;
  let servers: RawPeerServer<RawPeer>[];

  async function start(
    options: Partial<EdgeOptions> = {},
    facts: Parameters<typeof EdgeHarness.start>[1] = {},
  ): Promise<EdgeHarness> {
    harness = await EdgeHarness.start(options, facts);
    return harness;
  }
  async function listen(options: Partial<RawListenOptions> = {}): Promise<RawPeerServer<RawPeer>> {
    const server = await RawPeer.listen({ role: 'ultrapeer', ...options });
    servers.push(server);
    return server;
  }
  beforeEach(() => {
    servers = [];
  });
  afterEach(async () => {
    await harness.stop();
    for (const server of servers) await server.close();
  });

  /** What bootstrap was told of this address. */
  function outcomes(address: string): string[] {
    return harness.hosts
      .filter((host) => host.address === address)
      .map(({ outcome }) => OUTCOME_NAMES.get(outcome) ?? '');
  }

  describe('frames', () => {
    it('of peers go to the shard, those of the shard to the links they name, with their TTL and hops', async () => {
      await start();
      const { peer: leaf, link } = await harness.join({ deflate: true });
      const { peer: ultrapeer, link: other } = await harness.join({ role: 'ultrapeer' });
      const { peer: third } = await harness.join({ role: 'ultrapeer' });
      const sent = leaf.sendQuery({ text: 'hello world', ttl: 3 });
      const routed = await waitFor('the query at the shard', () => harness.routed[0]);
      assert.deepEqual([routed.bytes.toString('hex', 0, 16), routed.link], [sent.guid, link.number]);

      const frame = queryFrame({ ttl: 1, hops: 2 });
      harness.deliver(frame, link, other);
      for (const peer of [leaf, ultrapeer]) {
        const received = await peer.nextOf('query', frame.guid);
        assert.deepEqual([received.ttl, received.hops, received.payload], [1, 2, frame.payload]);
      }
      await third.expectNone(
        ({ guid }) => guid === frame.guid,
        () => third.pingBarrier(),
      );
      assert.equal(harness.edge.counters.deliveries, 2);
    });

    it('for links that are gone, or of an earlier run, are dropped and counted', async () => {
      await start();
      const { peer, link } = await harness.join();
      await peer.close();
      await waitFor('the end of the link', () => harness.edge.links.size === 0);
      harness.deliver(queryFrame(), link);
      await waitFor('the count', () => harness.edge.counters.deliveriesUnknownLink === 1);
      harness.epoch = EDGE_EPOCH + 1;
      const { peer: next, link: nextLink } = await harness.join();
      const frame = queryFrame();
      harness.deliver(frame, nextLink);
      await waitFor('the count', () => harness.edge.counters.deliveriesOldEpoch === 1);
      await next.expectNone(
        ({ guid }) => guid === frame.guid,
        () => next.pingBarrier(),
      );
    });

    it('reach all others while one reads nothing, whose queue alone drops', async () => {
      await start();
      const { peer: slow, link: slowLink } = await harness.join();
      const { peer: quick, link: quickLink } = await harness.join();
      slow.setReading(false);
      const big = queryFrame({ payload: queryPayload({ text: 'x'.repeat(900) }) });
      for (let round = 0; slowLink.queue.dropped[4] === 0; round++) {
        harness.deliver(big, ...Array.from({ length: 200 }, () => slowLink));
        await turns(2);
        assert.ok(round < 1000);
      }
      const frames = Array.from({ length: 50 }, () => queryFrame());
      for (const frame of frames) harness.deliver(frame, slowLink, quickLink);
      for (const frame of frames) await quick.nextOf('query', frame.guid);
      assert.deepEqual([...quickLink.queue.dropped], [0, 0, 0, 0, 0, 0]);
      assert.ok(harness.edge.counters.deliveriesQueueFull > 0);
      assert.ok(slowLink.queue.bytes <= 96 * 1024);
      assert.equal(slow.destroyed, false);
    });
  });

  describe('verdicts of a shard', () => {
    it('end a link with BYE 401 from five duplicates on that are more than 1.5 % of its messages', async () => {
      await start();
      const { peer, link } = await harness.join({ role: 'ultrapeer' });
      harness.verdict(link, 4, 1, 3);
      await waitFor('the verdict', () => link.counters.duplicates === 4);
      assert.deepEqual([link.counters.bad, link.counters.useful, link.ended], [1, 3, false]);
      harness.verdict(link, 1);
      await peer.waitClosed();
      assert.equal(peer.bye?.code, 401);
    });

    it('forgive duplicates among many messages', async () => {
      await start();
      const { peer, link } = await harness.join({ role: 'ultrapeer' });
      for (let i = 0; i < 400; i++) peer.sendPing({ ttl: 1 });
      await waitFor('the messages', () => link.counters.messagesIn >= 400);
      harness.verdict(link, 5);
      await waitFor('the verdict', () => link.counters.duplicates === 5);
      assert.equal(link.ended, false);
      harness.verdict(link, 3);
      await peer.waitClosed();
      assert.equal(peer.bye?.code, 401);
    });
  });

  describe('state', () => {
    it('tells a link when it opens and when it is gone, before its frames', async () => {
      await start();
      const guid = randomGuid();
      const { peer, link } = await harness.join({
        role: 'ultrapeer',
        serventGuid: guid,
        headers: { 'Listen-IP': '127.0.0.1:7777', 'X-Degree': '20', 'X-Max-TTL': '3' },
      });
      const [record] = (await waitFor('the record', () => harness.state[0])).records;
      assert.ok(record);
      assert.deepEqual(
        [record.link, record.kind, record.address, Buffer.from(record.serventGuid).toString('hex')],
        [link.number, LinkKind.LINK_KIND_ULTRAPEER, '127.0.0.1:7777', guid],
      );
      assert.deepEqual([record.degree, record.maxTtl, record.hopsFlow], [20, 3, 255]);
      const { probes, dynamicQuery, lastHopTables, handshakeGuid } = LinkCapability;
      assert.equal(record.capabilities, probes | dynamicQuery | lastHopTables | handshakeGuid);
      assert.equal(record.remoteHost, '', 'an exempt address is not told');
      await peer.close();
      const gone = await waitFor('the end', () => harness.state.flatMap(({ records }) => records).find((r) => r.gone));
      assert.equal(gone.link, link.number);
    });

    it('tells the address of a peer for which limits per address hold', async () => {
      await start({ isExempt: () => false });
      await harness.join();
      const [record] = (await waitFor('the record', () => harness.state[0])).records;
      assert.equal(record?.remoteHost, '127.0.0.1');
    });

    it('tells of tables, and repeats all of it when it is asked to', async () => {
      await start();
      const { peer, link } = await harness.join();
      peer.sendTable({ bits: 12, words: ['filbert', 'hazelnut'] });
      await waitFor('the table', () => link.table);
      await harness.join();
      const before = harness.state.length;
      assert.deepEqual(await harness.control({ replay: { shard: 0 } }), { accepted: true, reason: '' });
      const end = await waitFor('the end of the replay', () =>
        harness.state.find(({ replay }) => replay === ReplayMark.REPLAY_MARK_END),
      );
      assert.equal(end.liveLinks.length, 8);
      const repeated = harness.state.slice(before).filter(({ replay }) => replay === ReplayMark.REPLAY_MARK_PART);
      const records = repeated.flatMap((batch) => batch.records);
      assert.deepEqual(
        records.map(({ table }) => (table?.setSlots.length ?? 0) / 4),
        [link.table?.count, 0],
      );
    });
  });

  describe('the summary', () => {
    it('tells slots, addresses and the state number, when it is asked for as well', async () => {
      await start({ maxLeaves: 9, maxUltrapeers: 5 });
      await harness.join({ headers: { 'Listen-IP': '127.0.0.1:7001' } });
      await harness.join({ role: 'ultrapeer', headers: { 'Listen-IP': '127.0.0.1:7002' } });
      harness.summaries.length = 0;
      harness.bus.publish(edgesPoll, { shard: 0 });
      const summary = await waitFor('the summary', () => harness.summaries[0], 900);
      assert.deepEqual(
        [summary.epoch, summary.leaves, summary.ultrapeers, summary.maxLeaves, summary.maxUltrapeers, summary.draining],
        [EDGE_EPOCH, 1, 1, 9, 5, false],
      );
      assert.deepEqual([summary.leafAddresses, summary.ultrapeerAddresses], [['127.0.0.1:7001'], ['127.0.0.1:7002']]);
      assert.equal(summary.stateNumber, 2);
      assert.deepEqual(
        [summary.listenPort, summary.ownAddress, summary.ownAddressSource, summary.reached],
        [harness.port, `127.0.0.1:${harness.port}`, OwnAddressSource.OWN_ADDRESS_SOURCE_LISTEN, true],
      );
    });

    it('tells behind a wildcard where a peer reached it, and bootstrap hears what the peer sees us as', async () => {
      await start({ listen: { host: '0.0.0.0', port: 0 } });
      const votes: AddressVote[] = [];
      harness.bus.subscribe(hostsSeen, (seen) => votes.push(...seen.votes));
      assert.deepEqual([harness.summaries.at(-1)?.ownAddress, harness.summaries.at(-1)?.reached], ['', false]);
      await harness.join({ headers: { 'Remote-IP': '9.8.7.6' } });
      const summary = await waitFor('the address', () => harness.summaries.find(({ ownAddress }) => ownAddress !== ''));
      assert.deepEqual(
        [summary.ownAddress, summary.ownAddressSource, summary.reached],
        [`127.0.0.1:${harness.port}`, OwnAddressSource.OWN_ADDRESS_SOURCE_REACHED, true],
      );
      assert.deepEqual(await waitFor('the vote', () => votes[0]), { voter: '127.0.0.1', address: '9.8.7.6' });
    });
  });

  describe('commands', () => {
    it('kick a link of this run with BYE 201 and the reason, on one line', async () => {
      await start();
      const { peer, link } = await harness.join();
      const kick = { link: link.number, epoch: EDGE_EPOCH, byeCode: 0, reason: '' };
      assert.equal((await harness.control({ kick: { ...kick, epoch: 1 } })).accepted, false);
      assert.equal((await harness.control({ kick: { ...kick, link: 999 } })).accepted, false);
      const reason = `no\r\nServer: fake\0${'x'.repeat(5000)}`;
      assert.deepEqual(await harness.control({ kick: { ...kick, reason } }), { accepted: true, reason: '' });
      await peer.waitClosed();
      assert.equal(peer.bye?.code, 201);
      assert.match(peer.bye.text, /^no Server: fake x{100,250}\r\nServer: Filbert\/test\r\n\r\n$/);
    });

    it('kick with the code that they name, where it is one in use', async () => {
      await start();
      for (const [byeCode, code] of [
        [415, 415],
        [999, 201],
      ] as const) {
        const { peer, link } = await harness.join();
        await harness.control({ kick: { link: link.number, epoch: EDGE_EPOCH, byeCode, reason: 'Hostile' } });
        await peer.waitClosed();
        assert.equal(peer.bye?.code, code);
      }
    });

    it('that nobody knows are refused', async () => {
      await start();
      assert.deepEqual(await harness.control({}), { accepted: false, reason: 'unknown command' });
    });
  });

  describe('draining', () => {
    it('tells every peer BYE 200, which arrives even if the edge stops right after, and takes no new ones', async () => {
      await start();
      const joined = [];
      for (let i = 0; i < 6; i++) joined.push(await harness.join({ deflate: i % 2 === 0 }));
      const { peer: silent } = await harness.join({ headers: { 'Bye-Packet': null } });
      const handshaking = await harness.socket();
      await harness.edge.drain();
      harness.edge.stop();
      for (const { peer } of joined) {
        await peer.waitClosed();
        assert.equal(peer.bye?.code, 200);
        assert.match(peer.bye.text, /^Servent closing\r\n/);
      }
      await silent.waitClosed();
      assert.equal(silent.bye, undefined);
      await waitFor('the end of the handshake', () => handshaking.destroyed);
      await assert.rejects(harness.socket(), /ECONNREFUSED/);
      assert.equal(harness.edge.connect('127.0.0.1:7777'), 'the node is stopping');
    });

    it('does not wait for a peer that does not read for longer than two seconds', async () => {
      await start();
      const { peer, link } = await harness.join();
      peer.setReading(false);
      const begun = performance.now();
      await harness.edge.drain();
      assert.ok(performance.now() - begun < 4_000);
      assert.ok(link.ended);
    });
  });

  it('that stops closes links, handshakes and dials', async () => {
    await start();
    const { peer } = await harness.join();
    const socket = await harness.socket();
    socket.resume();
    socket.write('GNUTELLA CONNECT/0.6\r\n');
    await waitFor('the handshake', () => harness.edge.handshaking === 1);
    harness.edge.stop();
    await peer.waitClosed();
    await waitFor('the close', () => socket.destroyed);
    await assert.rejects(harness.socket(), /ECONNREFUSED/);
  });

  it('that cannot have its port says so in a sentence', async () => {
    await start();
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await assert.rejects(
      EdgeHarness.start({ listen: { host: '127.0.0.1', port } }),
      /^Error: cannot listen on 127\.0\.0\.1:\d+: the address is in use; stop the other program or choose another/,
    );
    await new Promise((resolve) => taken.close(resolve));
  });

  describe('dials', () => {
    it('what it is told to, becomes a neighbour and tells bootstrap', async () => {
      const server = await listen({ deflate: true, headers: { 'X-Try-Ultrapeers': '10.9.9.9:6346' } });
      await start();
      assert.equal(harness.edge.connect(server.address), undefined);
      const peer = await server.accept();
      assert.ok(peer.accepted);
      const link = await waitFor('the link', () => [...harness.edge.links.ultrapeers][0]);
      assert.deepEqual([link.outgoing, link.listenAddress, link.deflatesIn], [true, server.address, true]);
      await peer.next(({ descriptor, ttl }) => descriptor === RAW_DESCRIPTOR.ping && ttl > 1);
      assert.match(harness.edge.connect(server.address) ?? '', /is connected already/);
      await waitFor('the reports', () => outcomes(server.address).length > 0 && outcomes('10.9.9.9:6346').length > 0);
      assert.equal(outcomes(server.address)[0], 'HOST_OUTCOME_CONNECTED');
      assert.deepEqual(outcomes('10.9.9.9:6346'), ['HOST_OUTCOME_LEARNED']);
    });

    it('candidates of bootstrap while ultrapeers are wanted', async () => {
      const server = await listen();
      await start({ maxUltrapeers: 4 });
      harness.bus.respond(hostsCandidates, ({ wanted }) => {
        assert.ok(wanted <= 3, 'three of four slots are for dials');
        return { addresses: [server.address] };
      });
      assert.ok((await server.accept()).accepted);
    });

    it('and tells bootstrap of a refusal, with the hosts that it named', async () => {
      const server = await listen({
        statusLine: 'GNUTELLA/0.6 503 Too many ultra connections',
        headers: { 'X-Try-Ultrapeers': '10.9.9.8:6346,127.0.0.0:1,rubbish' },
      });
      await start();
      harness.edge.connect(server.address);
      await waitFor('the reports', () => outcomes(server.address).length > 0 && outcomes('10.9.9.8:6346').length > 0);
      assert.deepEqual(outcomes(server.address), ['HOST_OUTCOME_REFUSED']);
      assert.equal(harness.edge.counters.outgoing['refused-by-peer'], 1);
      assert.equal(harness.edge.links.taken('ultrapeer'), 0);
    });

    it('and tells bootstrap of a host that speaks something else, or nothing', async () => {
      const sockets = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      });
      const resets = createServer((socket) => socket.destroy());
      for (const server of [sockets, resets]) {
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      }
      const addressOf = (server: typeof sockets): string => {
        const address = server.address();
        return `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
      };
      await start();
      harness.edge.connect(addressOf(sockets));
      harness.edge.connect(addressOf(resets));
      await waitFor(
        'the reports',
        () => outcomes(addressOf(sockets)).length > 0 && outcomes(addressOf(resets)).length > 0,
      );
      assert.deepEqual(outcomes(addressOf(sockets)), ['HOST_OUTCOME_INCOMPATIBLE']);
      assert.deepEqual(outcomes(addressOf(resets)), ['HOST_OUTCOME_UNREACHABLE']);
      const closed = addressOf(resets);
      sockets.close();
      await new Promise((resolve) => resets.close(resolve));
      harness.edge.connect(closed);
      await waitFor('the report', () => outcomes(closed).length === 2);
      assert.equal(outcomes(closed)[1], 'HOST_OUTCOME_UNREACHABLE');
      assert.equal(harness.edge.budget.usedBytes, 0);
    });

    it('and refuses one that turns out to be a leaf, or one that is linked already', async () => {
      const leaf = await listen({ role: 'leaf' });
      const guid = randomGuid();
      const twin = await listen({ serventGuid: guid });
      await start();
      await harness.join({ role: 'ultrapeer', serventGuid: guid });
      harness.edge.connect(leaf.address);
      assert.equal((await leaf.accept()).status.line, 'GNUTELLA/0.6 503 Not an ultrapeer');
      harness.edge.connect(twin.address);
      assert.equal((await twin.accept()).status.code, 409);
      await waitFor('both reports', () => outcomes(leaf.address).length + outcomes(twin.address).length === 2);
      assert.equal(harness.edge.links.size, 1);
    });

    it('and ends one with 503 for which there is no slot any more, and does not hold that against the host', async () => {
      const received: Buffer[] = [];
      const server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', (chunk: Buffer) => received.push(chunk));
        // The other edge of the node has taken the only slot before the peer answers.
        harness.bus.publish(
          edgesSummary,
          EdgeSummary.fromPartial({ edgeId: 'edge-other', ultrapeers: 1, listenPort: 6346 }),
        );
        setImmediate(() =>
          setImmediate(() => socket.write('GNUTELLA/0.6 200 OK\r\nUser-Agent: x/1\r\nX-Ultrapeer: True\r\n\r\n')),
        );
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const listening = server.address();
      const address = `127.0.0.1:${typeof listening === 'object' && listening !== null ? listening.port : 0}`;
      await start({ maxUltrapeers: 1 });
      assert.equal(harness.edge.connect(address), undefined);
      await waitFor('the refusal', () =>
        /GNUTELLA\/0\.6 503 Too many ultra connections \(1 max\)/.test(Buffer.concat(received).toString('latin1')),
      );
      assert.equal(harness.edge.links.size, 0);
      assert.match(harness.edge.connect('127.0.0.9:6346') ?? '', /all ultrapeer slots are taken/);
      await waitFor('the next heartbeat', () => harness.summaries.length > 2);
      assert.deepEqual(outcomes(address), []);
      await new Promise((resolve) => server.close(resolve));
    });

    it('and does not become its own neighbour', async () => {
      await start({ listen: { host: '0.0.0.0', port: 0 } });
      harness.edge.connect(`127.0.0.1:${harness.port}`);
      await waitFor('both ends', () => {
        const { incoming, outgoing } = harness.edge.counters;
        return incoming.refused === 1 && outgoing['refused-by-peer'] === 1;
      });
      assert.equal(harness.edge.links.size, 0);
      await harness.stop();
      await start();
      assert.match(harness.edge.connect(`127.0.0.1:${harness.port}`) ?? '', /is this node itself/);
    });
  });

  it('gives an ultrapeer the merged table right after the greeting', async () => {
    await start();
    harness.bus.respond(mergedTableRequest, () => ({
      epoch: 1,
      number: 1,
      bits: 12,
      full: true,
      setSlots: packed(Uint32Array.of(7, 4000)),
      clearedSlots: new Uint8Array(0),
      bitmap: new Uint8Array(0),
    }));
    const { peer } = await harness.join({ role: 'ultrapeer' });
    await peer.waitTable(({ completed }) => completed === 1);
    assert.deepEqual([peer.table.bits, [...peer.table.slots]], [12, [7, 4000]]);
    const { peer: leaf } = await harness.join();
    await leaf.pingBarrier();
    assert.equal(leaf.table.resets, 0);
  });

  it('tells metrics that add up, whatever it went through', async () => {
    await start();
    const metrics = createMetrics({ service: 'connections', strict: true });
    declareMetrics(metrics, harness.edge);
    const { peer, link } = await harness.join();
    await harness.join({ role: 'ultrapeer' });
    peer.sendQuery({ text: 'hello', ttl: 3 });
    peer.sendFrame(0x99, Buffer.alloc(0));
    await waitFor('both', () => link.counters.messagesIn === 2);
    harness.verdict(link, 0);
    await waitFor('the batch', () => harness.edge.counters.egressAge.count === 1);
    const received = [...harness.edge.links.all()].reduce((sum, one) => sum + one.counters.bytesIn, 0);
    await peer.close();
    await waitFor('the end of the link', () => harness.edge.links.size === 1);
    const { link: ended } = await harness.join();
    harness.edge.disconnect(ended.number, '', 413);
    await waitFor('the end of the other', () => harness.edge.links.size === 1);
    const text = await metrics.registry.metrics();
    const lines = new Map(
      text.split('\n').flatMap((line): [string, number][] => {
        const at = line.lastIndexOf(' ');
        return line.startsWith('#') || at < 0 ? [] : [[line.slice(0, at), Number(line.slice(at + 1))]];
      }),
    );
    const value = (name: string): number | undefined => lines.get(`filbert_connections_${name}`);
    assert.equal(value('links{role="leaf"}'), 0);
    assert.equal(value('links{role="ultrapeer"}'), 1);
    assert.equal(value('slots{role="leaf"}'), 100);
    assert.equal(value('handshakes_total{direction="in",result="connected"}'), 3);
    assert.equal(value('frames_dropped_total{reason="unknown-function"}'), 1);
    assert.equal(value('ingress_frames_total{result="batched"}'), 1);
    assert.equal(value('links_closed_total'), 2);
    assert.deepEqual([value('byes_total{code="413"}'), value('byes_total{code="401"}')], [1, 0]);
    assert.ok((value('received_bytes_total') ?? 0) >= received);
    assert.equal(value('handshake_seconds_count{direction="in",result="connected"}'), 3);
    assert.equal(value('handshake_seconds_count{direction="in",result="other"}'), 0);
    assert.ok((value('handshake_seconds_sum{direction="in",result="connected"}') ?? 0) > 0);
    assert.ok((value('egress_age_seconds_sum') ?? 9) < 5);
  });
});
