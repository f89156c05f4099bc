import assert from 'node:assert/strict';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { parseProxyHeader, transfersSummary, type TransfersSummary } from '@filbert/contracts';
import { createInProcessBus, type Bus } from '@filbert/kit';
import { HandOver } from '../../services/connections/src/hand-over.ts';
import { freePort } from '../support/node-process.ts';
import { waitFor } from '../support/wait-for.ts';

const GET = Buffer.from('GET /uri-res/N2R?urn:sha1:x HTTP/1.1\r\n\r\n');

/** What a worker at the other end of a hand-over got: the header in front, and the rest. */
class StandInWorker {
  readonly sockets: Socket[] = [];
  readonly received: Buffer[] = [];
  readonly #server: Server;

  constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const index = this.sockets.push(socket) - 1;
      this.received[index] = Buffer.alloc(0);
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        this.received[index] = Buffer.concat([this.received[index] ?? Buffer.alloc(0), chunk]);
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === 'object');
    return `127.0.0.1:${address.port}`;
  }

  /** The header of the connection, and what came behind it. */
  async connection(index: number): Promise<{ source: string; rest: Buffer; socket: Socket }> {
    return waitFor(`connection ${index} at the worker`, () => {
      const bytes = this.received[index];
      const socket = this.sockets[index];
      if (bytes === undefined || socket === undefined) return undefined;
      const header = parseProxyHeader(bytes);
      if (header.kind !== 'proxied' || bytes.length < header.headerBytes + GET.length) return undefined;
      const { host, port } = header.connection.source;
      return { source: `${host}:${port}`, rest: bytes.subarray(header.headerBytes), socket };
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

describe('connections: hand-over to workers of other processes', () => {
  let bus: Bus;
  let handOver: HandOver;
  let nowMs: number;
  const workers: StandInWorker[] = [];
  const clients: Socket[] = [];
  const servers: Server[] = [];

  beforeEach(() => {
    bus = createInProcessBus();
    nowMs = 1_000;
    handOver = new HandOver({ bus, now: () => nowMs, workerWaitMs: 20 });
    handOver.start();
  });

  afterEach(async () => {
    handOver.stop();
    for (const worker of workers.splice(0)) worker.close();
    for (const client of clients.splice(0)) client.destroy();
    for (const server of servers.splice(0)) server.close();
    await bus.drain();
  });

  /** A worker that has said where it is. */
  async function announced(workerId: string, changes: Partial<TransfersSummary> = {}): Promise<StandInWorker> {
    const worker = new StandInWorker();
    workers.push(worker);
    await say(workerId, { internalAddress: await worker.listen(), ...changes });
    return worker;
  }

  async function say(workerId: string, changes: Partial<TransfersSummary>): Promise<void> {
    const summary = { workerId, internalAddress: '', publicAddress: '', uploads: 0, freeSlots: 10, draining: false };
    bus.publish(transfersSummary, { ...summary, ...changes });
    // In process a message arrives within a few turns.
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** A peer whose first bytes were read, handed over. */
  async function handedOver(): Promise<{ client: Socket; text: () => string }> {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (first: Buffer) => handOver.take(socket, '127.0.0.1', first));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const client = connect(address.port, '127.0.0.1');
    clients.push(client);
    let text = '';
    client.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    client.on('error', () => undefined);
    client.write(GET);
    return { client, text: () => text };
  }

  async function refused(): Promise<void> {
    const { text } = await handedOver();
    await waitFor('the refusal', () => text().startsWith('HTTP/1.1 503 ') || undefined);
  }

  for (const [how, leave] of [
    ['resets', (socket: Socket) => socket.resetAndDestroy()],
    ['goes away', (socket: Socket) => socket.destroy()],
  ] as const) {
    it(`forgets a peer that ${how} before the worker is reached, and goes on`, async () => {
      const worker = await announced('transfers-0');
      const server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.once('data', (first: Buffer) => {
          handOver.take(socket, '127.0.0.1', first);
          // As if its reset had come while the worker was dialled.
          leave(socket);
        });
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      assert.ok(address !== null && typeof address === 'object');
      const client = connect(address.port, '127.0.0.1');
      clients.push(client);
      client.on('error', () => undefined);
      client.write(GET);
      await waitFor('the worker to see it come', () => worker.sockets[0]);
      await waitFor('the worker to see it go', () => worker.sockets[0]?.readableEnded);
      assert.equal(worker.received[0]?.length, 0, 'nothing was said');
      assert.equal(handOver.active, 0);
      assert.equal(handOver.results.worker, 0);
      await handedOver();
      await worker.connection(1);
    });
  }

  it('goes with the peer’s address and port in front, and then byte for byte in both directions', async () => {
    const worker = await announced('transfers-0');
    const { client, text } = await handedOver();
    const { source, rest, socket } = await worker.connection(0);
    assert.equal(source, `127.0.0.1:${client.localPort}`);
    assert.deepEqual(rest, GET);
    socket.write('HTTP/1.1 404 Not Found\r\n\r\n');
    await waitFor('the answer', () => text() === 'HTTP/1.1 404 Not Found\r\n\r\n' || undefined);
    assert.deepEqual([handOver.active, handOver.results.worker], [1, 1]);
    socket.end();
    client.end();
    await waitFor('the pipe to be given up', () => handOver.active === 0 || undefined);
  });

  it('lets a peer that has closed its half read on', async () => {
    const worker = await announced('transfers-0');
    const { client, text } = await handedOver();
    client.end();
    const { socket } = await worker.connection(0);
    socket.end('late');
    await waitFor('the answer', () => text() === 'late' || undefined);
  });

  it('goes to the worker with the most free slots, else to the one with the fewest uploads', async () => {
    await announced('transfers-0', { freeSlots: 3 });
    const roomy = await announced('transfers-1', { freeSlots: 4, uploads: 9 });
    await handedOver();
    await roomy.connection(0);
    const idle = await announced('transfers-2', { freeSlots: 4, uploads: 1 });
    await say('transfers-1', { freeSlots: 4, uploads: 9 });
    await handedOver();
    await idle.connection(0);
  });

  it('is spread over equal workers also between two of their heartbeats', async () => {
    const all = [await announced('transfers-0'), await announced('transfers-1'), await announced('transfers-2')];
    for (let i = 0; i < 9; i++) await handedOver();
    await waitFor('nine hand-overs', () => handOver.results.worker === 9 || undefined);
    for (const worker of all) await worker.connection(2);
    assert.deepEqual(
      all.map(({ sockets }) => sockets.length),
      [3, 3, 3],
    );
  });

  it('waits a little for a worker that has not said yet that it lives, and goes to it', async () => {
    handOver.stop();
    handOver = new HandOver({ bus, now: () => nowMs, workerWaitMs: 60_000 });
    handOver.start();
    const first = await handedOver();
    const second = await handedOver();
    await say('transfers-9', { draining: true });
    const worker = await announced('transfers-0');
    for (const at of [0, 1]) assert.deepEqual((await worker.connection(at)).rest, GET);
    await waitFor('the hand-overs', () => handOver.results.worker === 2);
    assert.equal(handOver.results['no-worker'], 0);
    assert.equal(first.text() + second.text(), '');
  });

  it('goes to no worker that drains, has no address, or fell silent; the peer gets 503', async () => {
    await refused();
    await announced('transfers-0', { draining: true });
    await say('transfers-1', { internalAddress: '' });
    await refused();
    const silent = await announced('transfers-2');
    nowMs += 3_501;
    await refused();
    assert.equal(handOver.results['no-worker'], 3);
    assert.equal(silent.sockets.length, 0);
    await say('transfers-0', { internalAddress: '127.0.0.1:1', draining: true });
  });

  it('goes to the next worker where one cannot be reached, and is refused where none can', async () => {
    await say('transfers-0', { internalAddress: `127.0.0.1:${await freePort()}`, freeSlots: 20 });
    const other = await announced('transfers-1');
    await handedOver();
    assert.deepEqual((await other.connection(0)).rest, GET);
    assert.deepEqual([handOver.results['worker-unreachable'], handOver.results.worker], [1, 1]);
    await say('transfers-1', { internalAddress: `127.0.0.1:${await freePort()}` });
    await refused();
    assert.deepEqual([handOver.results['worker-unreachable'], handOver.results['no-worker']], [2, 1]);
  });

  it('holds a worker back whose peer does not read', async () => {
    const worker = await announced('transfers-0');
    const { client } = await handedOver();
    client.pause();
    const { socket } = await worker.connection(0);
    const megabyte = Buffer.alloc(1024 * 1024, 0x61);
    // What sockets and kernels hold is a few megabytes; a pipe without back-pressure would take all of it.
    let sent = 0;
    while (socket.write(megabyte) && ++sent < 256);
    let drained = false;
    socket.once('drain', () => (drained = true));
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 64; i++) socket.write(megabyte);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(!drained, 'the worker is not told to go on');
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * megabyte.length, 'and the edge does not hold it');
    client.resume();
    await waitFor('the worker to go on', () => drained || undefined);
  });
});
