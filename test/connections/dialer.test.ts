import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { hostsCandidates } from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import { Dialer, MAX_DIALS, type DialerOptions } from '../../services/connections/src/dialer.ts';
import { EDGE_ID, turns } from '../support/frame-bench.ts';
import { freePort } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

const OWN_ADDRESS = '127.0.0.1:6346';

describe('connections dialer', () => {
  let bus: Bus;
  let server: Server;
  let port: number;
  let accepted: Socket[];
  let connected: { address: string; socket: Socket; done: (problem: string | undefined) => void }[];
  let unreachable: string[];
  let asked: number[];
  let candidates: string[];
  let wanted: number;
  let free: number;
  let askedConfigured: number[];
  let dialers: Dialer[];

  beforeEach(async () => {
    bus = createInProcessBus();
    [accepted, connected, unreachable, asked, candidates, dialers] = [[], [], [], [], [], []];
    wanted = 0;
    free = 0;
    askedConfigured = [];
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      accepted.push(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
    bus.respond(hostsCandidates, (request) => {
      assert.equal(request.edgeId, EDGE_ID);
      (request.configuredOnly ? askedConfigured : asked).push(request.wanted);
      return { addresses: candidates };
    });
  });
  afterEach(async () => {
    for (const dialer of dialers) dialer.stop();
    for (const { socket } of connected) socket.destroy();
    for (const socket of accepted) socket.destroy();
    server.close();
    await bus.drain();
  });

  function dialer(options: Partial<DialerOptions> = {}): Dialer {
    const made = new Dialer({
      bus,
      edgeId: EDGE_ID,
      allowPrivate: true,
      wanted: () => wanted,
      free: () => free,
      isOwn: (address) => address === OWN_ADDRESS,
      isTaken: (address) => connected.some((one) => one.address === address),
      onConnected: (socket, address, done) => connected.push({ socket, address, done }),
      onUnreachable: (address) => unreachable.push(address),
      ...options,
    });
    dialers.push(made);
    return made;
  }

  /** Different addresses of the one listener. */
  function hosts(count: number): string[] {
    return Array.from({ length: count }, (_, i) => `127.0.0.${i + 2}:${port}`);
  }

  it('dials what it is asked for, once, and frees the dial when its handshake is over', async () => {
    const one = dialer();
    free = 10;
    const [address = ''] = hosts(1);
    assert.equal(one.request(address), undefined);
    assert.equal(one.request(` ${address}`), undefined);
    assert.equal(one.dialling, 1);
    await waitFor('the connection', () => connected.length === 1);
    assert.equal(one.dialling, 1, 'until the handshake is over');
    connected[0]?.done(undefined);
    assert.equal(one.dialling, 0);
    assert.equal(one.request(address), `${address} is connected already`);
    assert.equal(accepted.length, 1);
  });

  it('tells who waits how a dial ended', async () => {
    const one = dialer();
    free = 10;
    const signal = new AbortController().signal;
    const [linked = '', refused = '', slow = ''] = hosts(3);
    const closed = `127.0.0.1:${await freePort()}`;
    for (const address of [linked, refused, slow, closed]) assert.equal(one.request(address), undefined);
    const ends = [linked, refused, closed].map((address) => one.whenEnded(address, signal));
    const tooLong = new AbortController();
    const unknown = one.whenEnded(slow, tooLong.signal);
    await waitFor('the connections', () => connected.length === 3);
    connected.find(({ address }) => address === linked)?.done(undefined);
    connected.find(({ address }) => address === refused)?.done('it refused: 503 full');
    const [first, second, third] = await Promise.all(ends);
    assert.deepEqual([first, second], [{ problem: undefined }, { problem: 'it refused: 503 full' }]);
    assert.match(third?.problem ?? '', /^it cannot be reached: connect ECONNREFUSED/);
    tooLong.abort();
    assert.equal(await unknown, undefined);
    assert.equal(await one.whenEnded(closed, signal), undefined, 'a dial that is not under way');
    const stopped = one.whenEnded(slow, signal);
    one.stop();
    connected.find(({ address }) => address === slow)?.done('no handshake: connection closed');
    assert.deepEqual(await stopped, { problem: 'no handshake: connection closed' });
  });

  it('says why it will not dial an address', () => {
    const strict = dialer({ allowPrivate: false });
    assert.match(strict.request('example.org:6346') ?? '', /not an address of the form IP:PORT/);
    assert.match(strict.request('10.0.0.1:6346') ?? '', /--allow-private/);
    assert.match(strict.request('5.6.7.8:25') ?? '', /not an address of a peer/);
    assert.match(dialer().request(OWN_ADDRESS) ?? '', /is this node itself$/);
    assert.equal(strict.dialling, 0);
  });

  it('has a bounded number of dials under way and of requests that wait', async () => {
    const one = dialer();
    free = 1_000;
    const addresses = hosts(MAX_DIALS + 64);
    for (const address of addresses) assert.equal(one.request(address), undefined);
    assert.match(one.request(`127.0.1.1:${port}`) ?? '', /too many addresses wait/);
    assert.equal(one.dialling, MAX_DIALS);
    await waitFor('the connections', () => connected.length === MAX_DIALS);
    await turns(5);
    assert.equal(connected.length, MAX_DIALS);
    connected[0]?.done(undefined);
    one.tick();
    await waitFor('the next', () => connected.length === MAX_DIALS + 1);
  });

  it('asks bootstrap for as many candidates as links are wanted, and dials them', async () => {
    const one = dialer();
    candidates = [...hosts(3), '5.6.7.8:25', 'rubbish'];
    one.tick();
    await turns();
    assert.deepEqual(asked, [], 'none are wanted');
    wanted = 3;
    one.tick();
    one.tick();
    await waitFor('the connections', () => connected.length === 3);
    assert.deepEqual(asked, [3], 'one request at a time');
    one.tick();
    await turns();
    assert.deepEqual(asked, [3], 'those under way count');
    wanted = 100;
    one.tick();
    await turns();
    assert.deepEqual(asked, [3, MAX_DIALS - 3]);
  });

  it('says that there is no slot left, dials under way and requests counted', async () => {
    const one = dialer();
    const addresses = hosts(3);
    assert.match(one.request(addresses[0] ?? '') ?? '', /all ultrapeer slots are taken; --max-ultrapeers/);
    free = 2;
    assert.equal(one.request(addresses[0] ?? ''), undefined);
    assert.equal(one.request(addresses[1] ?? ''), undefined);
    assert.match(one.request(addresses[2] ?? '') ?? '', /all ultrapeer slots are taken/);
    assert.equal(one.request(addresses[1] ?? ''), undefined, 'that one is dialled already');
    await waitFor('the connections', () => connected.length === 2);
  });

  it('asks for configured hosts while slots are free, though no others are wanted', async () => {
    const one = dialer();
    candidates = hosts(1);
    free = 3;
    one.tick();
    await waitFor('the connection', () => connected.length === 1);
    assert.deepEqual([asked, askedConfigured], [[], [3]]);
    wanted = 2;
    one.tick();
    await turns();
    assert.deepEqual([asked, askedConfigured], [[1], [3]], 'with others where these are wanted');
    [wanted, free] = [0, 0];
    one.tick();
    await turns();
    assert.equal(askedConfigured.length, 1, 'no slot is free');
  });

  it('does not trust bootstrap with more addresses than there is room for', async () => {
    const one = dialer();
    wanted = 2;
    candidates = hosts(40);
    one.tick();
    await waitFor('the connections', () => connected.length === MAX_DIALS);
    assert.equal(one.dialling, MAX_DIALS);
  });

  it('tells of a host that cannot be reached and frees the dial', async () => {
    const one = dialer();
    free = 1;
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const address = closed.address();
    const gone = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    await new Promise((resolve) => closed.close(resolve));
    assert.equal(one.request(gone), undefined);
    await waitFor('the failure', () => unreachable.length === 1);
    assert.deepEqual([unreachable, one.dialling, connected.length], [[gone], 0, 0]);
  });

  it('goes on when bootstrap is away', async () => {
    const alone = createInProcessBus();
    const one = dialer({ bus: alone });
    wanted = 2;
    one.tick();
    await turns(5);
    alone.respond(hostsCandidates, () => ({ addresses: hosts(1) }));
    one.tick();
    await waitFor('the connection', () => connected.length === 1);
    await alone.drain();
  });

  it('gives up the dials under way when it is stopped, and begins none after', async () => {
    const one = dialer();
    free = 3;
    for (const address of hosts(3)) assert.equal(one.request(address), undefined);
    assert.equal(one.dialling, 3);
    one.stop();
    await waitFor('the end of the dials', () => one.dialling === 0);
    assert.equal(one.request(`127.0.0.99:${port}`), 'the node is stopping');
    wanted = 5;
    one.tick();
    await turns(10);
    assert.deepEqual([connected, unreachable, asked], [[], [], []]);
  });
});
